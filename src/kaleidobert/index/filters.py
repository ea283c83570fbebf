"""What every hit must have: values of labels and attributes, and ranges of attributes that are numbers.

A filter is written NAME=VALUE (several of one name: any of them), NAME<=50, NAME>=10, NAME<50, NAME>50, or
NAME=10..50, both ends included. ``Filters`` holds them, and says them as SQL over a store's rows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kaleidobert.errors import InputError

LABELS = ("category", "subcategory")  # columns of their own; every other name is an attribute's
WRITTEN = re.compile(r"(?P<name>.*?)(?P<sign><=|>=|<|>|=)(?P<value>.*)", re.DOTALL)
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
BETWEEN = re.compile(rf"({NUMBER})?\.\.({NUMBER})?")


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from ``low`` to ``high``, with an end or without it."""

    low: float = -math.inf
    high: float = math.inf
    with_low: bool = True
    with_high: bool = True

    def to_strings(self, name: str) -> list[str]:
        """As `parse_filters` reads it."""
        low = [f"{name}>{'=' if self.with_low else ''}{self.low:g}"] if self.low != -math.inf else []
        high = [f"{name}<{'=' if self.with_high else ''}{self.high:g}"] if self.high != math.inf else []
        return low + high


@dataclass(frozen=True)
class Filters:
    """``values``: name -> the values of which a product must have one; ``ranges``: name -> where its number lies.

    All of them must hold. Hashable, and equal whatever order they were given in.
    """

    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ranges: tuple[tuple[str, Range], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, str | Iterable[str]], ranges: Mapping[str, Range] | None = None) -> Filters:
        """From plain mappings; a name may have one value or several."""
        several = {name: (given,) if isinstance(given, str) else tuple(given) for name, given in values.items()}
        unique = {name: tuple(sorted(set(given))) for name, given in several.items() if given}
        return cls(tuple(sorted(unique.items())), tuple(sorted((ranges or {}).items(), key=lambda item: item[0])))

    def __bool__(self) -> bool:
        return bool(self.values or self.ranges)

    @property
    def names(self) -> list[str]:
        return sorted({name for name, _ in (*self.values, *self.ranges)})

    def without(self, name: str, value: str | None = None) -> Filters:
        """Less this value of ``name``, or all that is asked of it."""
        kept = {
            each: [one for one in given if value not in (None, one)] if each == name else given
            for each, given in self.values
        }
        ranges = {each: limits for each, limits in self.ranges if each != name or value is not None}
        return Filters.of(kept, ranges)

    def adding(self, name: str, value: str) -> Filters:
        """With one more value of ``name`` that will do."""
        values = dict(self.values)
        return Filters.of({**values, name: (*values.get(name, ()), value)}, dict(self.ranges))

    def to_strings(self) -> list[str]:
        """As `parse_filters` reads them."""
        equal = [f"{name}={value}" for name, given in self.values for value in given]
        return equal + [text for name, limits in self.ranges for text in limits.to_strings(name)]

    def sql(self) -> str | None:
        """SQL that holds for a store's row where every filter does; None where there is none."""
        parts = [_one_of(name, given) for name, given in self.values]
        return " AND ".join(parts + [_within(name, limits) for name, limits in self.ranges]) or None


NO_FILTERS = Filters()


def parse_filters(conditions: Iterable[str]) -> Filters:
    """["gender=Women", "gender=Girls", "price<=50", "year=2010..2014"] -> ``Filters``.

    Raises ``InputError`` for what is not written so, and for ends of a range that are no numbers.
    """
    values: dict[str, list[str]] = {}
    ranges: dict[str, Range] = {}
    for text in conditions:
        found = WRITTEN.fullmatch(text)
        name = found["name"].strip() if found else ""
        if found is None or not name:
            raise InputError(f"a filter is written NAME=VALUE, for example baseColour=Red, not {text!r}")
        value = found["value"].strip()
        between = BETWEEN.fullmatch(value) if found["sign"] == "=" else None
        if found["sign"] == "=" and not (between and any(between.groups())):
            values.setdefault(name, []).append(value)
            continue
        new = Range(*_ends(between)) if between else _half(found["sign"], _number(text, value))
        ranges[name] = _both(ranges.get(name, Range()), new)
    return Filters.of(values, ranges)


def number(text: str) -> float | None:
    """An attribute's value as a number, None where it is none; as the SQL of a range reads it."""
    return float(text) if re.fullmatch(rf"\s*{NUMBER}\s*", text) else None


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def _ends(between: re.Match[str]) -> tuple[float, float]:
    low, high = between.groups()
    return float(low) if low else -math.inf, float(high) if high else math.inf


def _half(sign: str, end: float) -> Range:
    if sign.startswith("<"):
        return Range(high=end, with_high=sign == "<=")
    return Range(low=end, with_low=sign == ">=")


def _both(one: Range, other: Range) -> Range:
    """What lies in both."""
    low, without_low = max((one.low, not one.with_low), (other.low, not other.with_low))
    high, with_high = min((one.high, one.with_high), (other.high, other.with_high))
    return Range(low, high, not without_low, with_high)


def _number(text: str, value: str) -> float:
    found = number(value)
    if found is None:
        raise InputError(f"filter {text!r}: {value!r} is no number; a range is written price<=50 or price=10..50")
    return found


def _one_of(name: str, values: tuple[str, ...]) -> str:
    if name in LABELS:
        return f"{name} IN ({literals(values)})"
    return f"array_has_any(facets, make_array({literals(f'{name}={value}' for value in values)}))"


def _within(name: str, limits: Range) -> str:
    """Reads the number out of the attributes' JSON, since LanceDB has no columns of a name unknown beforehand."""
    key = re.escape(json.dumps(name, ensure_ascii=False))
    pattern = rf': "\s*({NUMBER})\s*"'
    found = f"regexp_match(attributes, {literal(key + pattern)})[1]"
    signs = (">=" if limits.with_low else ">", "<=" if limits.with_high else "<")
    ends = [(sign, end) for sign, end in zip(signs, (limits.low, limits.high), strict=True) if math.isfinite(end)]
    return " AND ".join(f"CAST({found} AS DOUBLE) {sign} {end!r}" for sign, end in ends) or "true"
