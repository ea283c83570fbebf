"""Text that anybody may send takes time in proportion to its length."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import regex

import kaleidobert.data
import kaleidobert.index
import kaleidobert.search
import kaleidobert.server
from kaleidobert.errors import InputError
from kaleidobert.index.facet_column import number, value_key
from kaleidobert.index.filters import MAX_CONDITION, MAX_CONDITIONS, condition_pattern, parse_filters
from kaleidobert.model.describing import detokenize
from kaleidobert.search.suggestions import MAX_CORRECTED, Suggester, Vocabulary
from kaleidobert.words import folded, words_of

LENGTH = 100_000
SECONDS = 2.0  # of the processor; quadratic patterns take minutes
UNITS = ("1", "1.", "1,111,", "1 ", " ", "a'", "A_", '"', '="', "<", "$ ", "no ", "without a ", "and ", "from 1 ", "1-")
MARKS = ("\u0315\u0300", "\u0315" * 30 + "\uff9e", "\u093c\u094d", "日", "٣")
AROUND = (("", ""), ('no $1x="', "!"))


def patterns() -> list[Any]:
    """Every pattern of the modules that read queries, products and requests."""
    packages = (kaleidobert.data, kaleidobert.index, kaleidobert.search, kaleidobert.server)
    names = [
        each.name for package in packages for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    modules = [
        importlib.import_module(name) for name in (*names, "kaleidobert.words", "kaleidobert.alignment.matching")
    ]
    found = {
        value.pattern: pytest.param(value, id=f"{module.__name__}.{name}")
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern | regex.Pattern)
    }
    return list(found.values())


def hostile() -> list[str]:
    return [start + (unit * LENGTH)[:LENGTH] + end for unit in (*UNITS, *MARKS) for start, end in AROUND]


def check(call: Callable[[str], object]) -> None:
    for text in hostile():
        started = time.process_time()
        call(text)
        assert time.process_time() - started < SECONDS, text[:40]


@pytest.mark.parametrize("pattern", patterns())
def test_patterns_are_linear(pattern: Any) -> None:
    as_read = str.encode if isinstance(pattern.pattern, bytes) else str
    check(lambda text: pattern.search(as_read(text)))
    check(lambda text: pattern.fullmatch(as_read(text)))


def test_pattern_of_every_kind_is_found() -> None:
    assert {"REFUSALS", "BETWEEN", "_NUMBER", "LINE_BREAK", "UNSPACED"} <= {
        str(each.id).rpartition(".")[2] for each in patterns()
    }


@pytest.mark.parametrize("function", [folded, words_of, number, value_key, detokenize, condition_pattern().fullmatch])
def test_functions_of_text_are_linear(function: Callable[[str], object]) -> None:
    check(function)


def test_filters_are_limited_in_length_and_number() -> None:
    with pytest.raises(InputError, match="more than 2000 characters"):
        parse_filters(["name=" + "x" * MAX_CONDITION])
    with pytest.raises(InputError, match="51 filters are given: use at most 50"):
        parse_filters(["a=b"] * (MAX_CONDITIONS + 1))


def test_few_words_of_a_long_query_are_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vocabulary, compared = Vocabulary.of(["green bags"]), []
    similar = Vocabulary._similar

    def counted(self: Vocabulary, word: str, choices: Any) -> dict[str, int]:
        compared.append(word)
        return similar(self, word, choices)

    monkeypatch.setattr(Vocabulary, "_similar", counted)
    query = "green " + " ".join(f"gren{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    Suggester(lambda: vocabulary).correction(query)
    assert len(compared) == MAX_CORRECTED - 1  # "green" is known
    compared.clear()
    Suggester(lambda: vocabulary).suggest(query)
    assert len(compared) <= MAX_CORRECTED
