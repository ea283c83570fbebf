"""What a catalogue says of its products in columns: values that shoppers type, such as a type, a colour or a brand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TYPE, COLOUR, PERSON, BRAND, USAGE = "type", "colour", "person", "brand", "usage"
CATEGORY, SUBCATEGORY = "category", "subcategory"
# Names of columns, in lower-case letters alone, that hold the fact. Other columns are facts under their own names.
COLUMNS = {
    TYPE: ("articletype", "producttype", "producttypename", "itemtype", "type", "kind"),
    COLOUR: ("colour", "color", "basecolour", "basecolor", "colourgroupname", "colorname", "shade"),
    PERSON: ("gender", "person", "audience", "department", "targetgender", "indexgroupname", "sex"),
    BRAND: ("brand", "brandname", "vendor", "manufacturer", "label"),
    USAGE: ("usage", "occasion", "use", "activity"),
}
MAX_LENGTH = 40  # characters of a value that somebody may type
MIN_PRODUCTS = 3  # that share a value, on average; columns with fewer hold names and numbers of single products


@dataclass(frozen=True)
class FactTable:
    """The facts of N products: ``names`` of F facts, ``values`` of each, and codes (N, F) into these, -1 for none."""

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: np.ndarray

    @classmethod
    def of(
        cls, categories: Sequence[str], subcategories: Sequence[str], attributes: Sequence[Mapping[str, str]]
    ) -> FactTable:
        """From the labels and attributes of N products.

        The type is that of a column of types, else the sub-category, else the category. Left out are columns of
        numbers, of long texts and, but for those of ``COLUMNS``, of values that hardly any two products share.
        """
        products = [_facts(*each) for each in zip(categories, subcategories, attributes, strict=True)]
        columns: dict[str, Counter[str]] = {}
        for facts in products:
            for name, value in facts.items():
                columns.setdefault(name, Counter())[value] += 1
        kept = {name: tuple(sorted(counts)) for name, counts in sorted(columns.items()) if _typed(name, counts)}
        codes = np.full((len(products), len(kept)), -1, dtype=np.int64)
        for place, (name, values) in enumerate(kept.items()):
            code = {value: index for index, value in enumerate(values)}
            codes[:, place] = [code[facts[name]] if name in facts else -1 for facts in products]
        return cls(tuple(kept), tuple(kept.values()), codes)

    def __len__(self) -> int:
        return len(self.codes)

    def product(self, row: int) -> dict[str, str]:
        """The facts of one product, by name."""
        return {
            name: values[code]
            for name, values, code in zip(self.names, self.values, self.codes[row], strict=True)
            if code >= 0
        }

    def asked(self, row: int, names: Sequence[str]) -> np.ndarray:
        """The codes (F,) of a product's facts that a query names, -1 for all others."""
        named = np.isin(self.names, names)
        return np.where(named, self.codes[row], -1)

    def fitting(self, asked: np.ndarray) -> np.ndarray:
        """Which products (N,) have all the facts (F,) of `asked`."""
        return ((self.codes == asked) | (asked < 0)).all(axis=1)


def fact_name(column: str) -> str:
    """The fact that a column holds, by its name: "baseColour" -> "colour"."""
    letters = "".join(filter(str.isalpha, column.lower()))
    return next((fact for fact, columns in COLUMNS.items() if letters in columns), column)


def _facts(category: str, subcategory: str, attributes: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column, value in attributes.items():
        found.setdefault(fact_name(column), " ".join(value.lower().split()))
    labels = {CATEGORY: " ".join(category.lower().split()), SUBCATEGORY: " ".join(subcategory.lower().split())}
    found |= labels
    found.setdefault(TYPE, labels[SUBCATEGORY] or labels[CATEGORY])
    return {name: value for name, value in found.items() if value}


def _typed(name: str, counts: Counter[str]) -> bool:
    """Whether the values of a column, with their counts, are what somebody may type."""
    products = counts.total()
    short = sum(count for value, count in counts.items() if len(value) <= MAX_LENGTH and any(map(str.isalpha, value)))
    known = name in COLUMNS or name in (CATEGORY, SUBCATEGORY)
    return short > 0.9 * products and (known or products >= MIN_PRODUCTS * len(counts))
