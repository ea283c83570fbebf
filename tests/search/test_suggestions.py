"""Completions and corrections."""

import pytest

from kaleidobert.search.suggestions import Suggester, Vocabulary
from kaleidobert.server.caching import CachedPerVersion

TITLES = [
    "Red Dress with Long Sleeves",
    "Red Dress with Dots",
    "Blue Denim Jacket",
    "Blue Denim Skirt",
    "Blue Dial Watch",
    "Striped Sweater",
    "Women's Red T-Shirt",
    "Black Leather Belt",
]


@pytest.fixture(scope="module")
def suggester() -> Suggester:
    vocabulary = Vocabulary.of(TITLES, known={"comfortable"})
    return Suggester(lambda: vocabulary)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("dr", "dress"),
        ("red d", "red dress"),
        ("blue d", "blue denim"),  # the commonest after blue
        ("blu den", "blue denim"),
        ("blue denmi", "blue denim"),  # two letters swapped
        ("swaeter", "sweater"),
        ("striped swet", "striped sweater"),
        ("red ", "red dress"),
        ("RED DR", "red dress"),
        ("women", "women's"),
        ("t-sh", "t-shirt"),
    ],
)
def test_suggestions(suggester: Suggester, typed: str, first: str) -> None:
    assert suggester.suggest(typed)[0] == first


def test_what_is_not_suggested(suggester: Suggester) -> None:
    assert suggester.suggest("") == suggester.suggest("  ") == []
    assert suggester.suggest("xyzzyx") == []
    assert "dress" not in suggester.suggest("dress")
    assert not any(query.endswith(" with") for query in suggester.suggest("dress "))
    assert len(suggester.suggest("b", most=2)) == 2


@pytest.mark.parametrize(
    ("query", "corrected"),
    [
        ("red dres", None),  # an inflection for all we know
        ("red drsss", "red dress"),
        ("stripd sweter", "striped sweater"),
        ("Leathr belt, blakc!", "leather belt, black!"),
        ("comfortable belt", None),  # a description's word
        ("belts", None),
        ("a belt for me", None),
        ("2019", None),
    ],
)
def test_corrections(suggester: Suggester, query: str, corrected: str | None) -> None:
    assert suggester.correction(query) == corrected


def test_what_is_kept_belongs_to_one_version() -> None:
    version, uses = [1], []
    kept = CachedPerVersion(lambda: version[0] * 10, lambda: version[0], observe=uses.append)
    assert (kept(), kept()) == (10, 10)
    version[0] = 2
    assert kept() == 20 and uses == [False, True, False]
    stale = CachedPerVersion(lambda: version[0], lambda: version[0], seconds=60)
    assert stale() == 2
    version[0] = 3
    assert stale() == 2
