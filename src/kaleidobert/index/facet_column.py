"""One label or attribute of all products, held in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"  # a plain decimal number, as a regular expression
Counts = list[tuple[str, int]]  # values with their number of products, most frequent first


def number(text: str) -> float | None:
    """The number that a value is, None for any other value. Whitespace around it is ignored."""
    return float(text) if re.fullmatch(rf"\s*{NUMBER}\s*", text) else None


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
        """Which products (products,) have one of these values."""
        code_of = {value: code for code, value in enumerate(self.values)}
        return np.isin(self.codes, [code_of[value] for value in values if value in code_of])

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
