"""One label or attribute of all products, held in memory."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kaleidobert.words import folded

NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?"  # a regular expression
_NUMBER = re.compile(NUMBER)
MAX_NUMBER = 40  # characters
MAX_DIGITS = 15  # that a number keeps exactly; longer ones are codes
Counts = list[tuple[str, int]]  # values with their number of products, most frequent first


def number(text: str) -> float | None:
    """The number that a value is, in digits of any script; None for any other value. Blanks around it are ignored."""
    if not text or not (text[-1].isdecimal() or text[-1].isspace() or text[-1] == "."):
        return None
    plain = text.strip()
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)
    if len(plain) > MAX_NUMBER or sum(map(str.isdigit, plain)) > MAX_DIGITS:
        return None
    return float(plain) if _NUMBER.fullmatch(plain) else None


def number_text(value: float) -> str:
    """A number without an exponent, exactly, so that it can be parsed again: 50, 0.1, 12000000."""
    return np.format_float_positional(value, trim="-")


def value_key(value: str) -> str:
    """What values share that a filter holds for equal: case, accents and other forms of a letter or number aside."""
    found = number(value)
    return folded(" ".join(value.split())) if found is None else number_text(found)


def numeric(values: Iterable[str]) -> bool:
    """Whether most of these values are numbers, so that they compare as such: prices with a "sold out" among them."""
    found = [number(value) is not None for value in values]
    return 2 * sum(found) > len(found)


@dataclass(frozen=True)
class FacetColumn:
    """The distinct ``values``, and ``codes`` (products,): each product's index into them, -1 for no value."""

    values: list[str]
    codes: np.ndarray

    @classmethod
    def of(cls, value_of_row: dict[int, str], rows: int) -> FacetColumn:
        """From the values of those of ``rows`` products that have one."""
        codes = np.full(rows, -1, dtype=np.int32)
        code_of: dict[str, int] = {}
        for row, value in value_of_row.items():
            codes[row] = code_of.setdefault(value, len(code_of))
        return cls(list(code_of), codes)

    def has_any(self, values: Iterable[str]) -> np.ndarray:
        """Which products (products,) have one of these values, by `value_key`."""
        wanted = set(map(value_key, values))
        return np.isin(self.codes, [code for code, key in enumerate(self.keys) if key in wanted])

    @cached_property
    def keys(self) -> list[str]:
        return [value_key(value) for value in self.values]

    @cached_property
    def numbers(self) -> np.ndarray:
        """Each product's value as a number, (products,); NaN where it has none or it is not a number."""
        parsed = [number(value) for value in self.values]
        numbers = np.array([np.nan if value is None else value for value in parsed] + [np.nan])
        return numbers[self.codes]  # the code -1 takes the last entry

    def counts(self, mask: np.ndarray) -> Counts:
        """The non-empty values among the products in ``mask`` (products,)."""
        codes = self.codes[mask]
        totals = np.bincount(codes[codes >= 0], minlength=len(self.values))
        found = [(value, int(total)) for value, total in zip(self.values, totals, strict=True) if total and value]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))
