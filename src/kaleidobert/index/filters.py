"""Filters: conditions on labels and attributes that every hit must meet.

A condition is written NAME=VALUE (several with one name: any of them), NAME<=50, NAME>=10, NAME<50, NAME>50, or
NAME=10..50 with both ends included. A name with a sign in it, and a value that looks like a range, stand in double
quotes: "a<b"=x, age="3..6".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.index.facet_column import FacetColumn
from kaleidobert.index.operators import EQUAL, OPERATORS, Limits


class Condition(NamedTuple):
    """All operands that one name has with one operator (a key of ``OPERATORS``)."""

    name: str
    operator: str
    operands: tuple[Any, ...]

    def mask(self, column: FacetColumn) -> np.ndarray:
        """Which products (products,) meet it, given the column of ``name``."""
        return OPERATORS[self.operator].mask(column, self.operands)

    def sql(self) -> str:
        return OPERATORS[self.operator].sql(self.name, self.operands)

    def texts(self) -> list[str]:
        """Sign and operand of each operand, as written."""
        return [OPERATORS[self.operator].text(operand) for operand in self.operands]


@dataclass(frozen=True)
class Filters:
    """Conditions that must all hold. Hashable, and equal in whatever order the conditions were given."""

    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, str | Iterable[str]]) -> Filters:
        """Equality conditions; a name may have one value or several alternatives."""
        several = {name: (given,) if isinstance(given, str) else given for name, given in values.items()}
        return cls.collect((name, EQUAL, value) for name, given in several.items() for value in given)

    @classmethod
    def collect(cls, parts: Iterable[tuple[str, str, Any]]) -> Filters:
        """From (name, operator, operand) in any order."""
        operands: dict[tuple[str, str], set] = {}
        for name, operator, operand in parts:
            operands.setdefault((name, operator), set()).add(operand)
        return cls(tuple(Condition(*key, tuple(sorted(operands[key]))) for key in sorted(operands)))

    def __bool__(self) -> bool:
        return bool(self.conditions)

    @property
    def names(self) -> list[str]:
        return sorted({condition.name for condition in self.conditions})

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The values of the equality conditions by name."""
        return {each.name: each.operands for each in self.conditions if each.operator == EQUAL}

    def limits(self, name: str) -> Limits | None:
        """The interval that numeric conditions on ``name`` leave; None without any."""
        ends = [
            limits(operand)
            for condition in self.conditions
            if condition.name == name and (limits := OPERATORS[condition.operator].limits)
            for operand in condition.operands
        ]
        return (max(low for low, _ in ends), min(high for _, high in ends)) if ends else None

    def joined(self, other: Filters) -> Filters:
        """The conditions of both."""
        both = (*self.conditions, *other.conditions)
        return Filters.collect((each.name, each.operator, operand) for each in both for operand in each.operands)

    def without(self, name: str) -> Filters:
        """These conditions but those on ``name``."""
        return Filters(tuple(each for each in self.conditions if each.name != name))

    def split(self) -> list[tuple[str, str, Filters]]:
        """For each operand: its name, sign and operand as written, and the filters without it."""
        parts = [(each.name, each.operator, operand) for each in self.conditions for operand in each.operands]
        texts = [text for condition in self.conditions for text in condition.texts()]
        return [
            (part[0], text, Filters.collect(parts[:index] + parts[index + 1 :]))
            for index, (part, text) in enumerate(zip(parts, texts, strict=True))
        ]

    def to_strings(self) -> list[str]:
        """The conditions as `parse_filters` accepts them."""
        return [_name_text(condition.name) + text for condition in self.conditions for text in condition.texts()]

    def sql(self) -> str | None:
        """SQL that is true for the rows of a store's table that pass; None without conditions."""
        return " AND ".join(condition.sql() for condition in self.conditions) or None


NO_FILTERS = Filters()
MAX_CONDITIONS = 50
MAX_CONDITION = 2000  # characters
_QUOTED = re.compile(r'"[^"]+"')


def parse_filters(conditions: Iterable[str]) -> Filters:
    """["gender=Women", "gender=Girls", "price<=50", "year=2010..2014"] -> ``Filters``.

    Raises ``InputError`` for text that is not a condition, for limits that are not numbers, and for more than
    ``MAX_CONDITIONS`` or ``MAX_CONDITION`` characters in one.
    """
    conditions = list(conditions)
    if len(conditions) > MAX_CONDITIONS:
        raise InputError(f"{len(conditions)} filters are given: use at most {MAX_CONDITIONS}")
    pattern = condition_pattern()
    return Filters.collect(_parse(text, pattern) for text in conditions)


def condition_pattern() -> re.Pattern[str]:
    """A condition's name, sign and operand."""
    signs = sorted({each.sign for each in OPERATORS.values()}, key=len, reverse=True)  # "<=" before "<"
    sign = "|".join(map(re.escape, signs))
    return re.compile(rf'(?P<name>\s*"[^"]+"\s*(?={sign})|.*?)(?P<sign>{sign})(?P<operand>.*)', re.DOTALL)


def _name_text(name: str) -> str:
    """A name as written: in quotes where it holds a sign or quotes of its own at its ends."""
    signs = any(each.sign in name for each in OPERATORS.values())
    return f'"{name}"' if '"' not in name[1:-1] and (signs or _QUOTED.fullmatch(name)) else name


def _parse(text: str, pattern: re.Pattern[str]) -> tuple[str, str, Any]:
    if len(text) > MAX_CONDITION:
        raise InputError(f"the filter {text[:40]!r}... has more than {MAX_CONDITION} characters: shorten it")
    found = pattern.fullmatch(text)
    name = found["name"].strip() if found else ""
    if _QUOTED.fullmatch(name):
        name = name[1:-1]
    if found is None or not name:
        raise InputError(f"a filter is written NAME=VALUE, for example baseColour=Red, not {text!r}")
    for key, operator in OPERATORS.items():
        if operator.sign == found["sign"]:
            try:
                operand = operator.parse(found["operand"].strip())
            except ValueError as error:
                raise InputError(f"filter {text!r}: {error}") from error
            if operand is not None:
                return name, key, operand
    raise InputError(f"filter {text!r}: {found['operand']!r} is not valid after {found['sign']!r}")
