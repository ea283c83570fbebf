"""The operators of filters. Each is one entry of ``OPERATORS``, with everything that depends on it.

A condition is written NAME, sign, operand: ``price<=50``. If a name has several operands with the same operator, the
operator gets all of them at once: ``colour=red`` and ``colour=blue`` mean either colour.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaleidobert.index.facet_column import NUMBER, FacetColumn, number

LABELS = ("category", "subcategory")  # columns of the store's table; every other name but ID is an attribute
ID = "id"
RANGE = re.compile(rf"({NUMBER})?\.\.({NUMBER})?")

Limits = tuple[float, float]  # lowest and highest number, infinite if there is none


@dataclass(frozen=True, slots=True)
class Operator:
    """What one operator does with its operands.

    sign: as written between name and operand. Operators may share a sign; the first whose ``parse`` accepts is used.
    parse: text -> operand, None if the text is another operator's. Raises ``ValueError`` for invalid text.
    mask: column of the name, operands -> which products (products,) pass.
    sql: name, operands -> SQL for the same over the rows of a store's table.
    text: operand -> sign and operand as written.
    limits: operand -> the interval that it allows, for operators that compare numbers.
    """

    sign: str
    parse: Callable[[str], Any]
    mask: Callable[[FacetColumn, Sequence[Any]], np.ndarray]
    sql: Callable[[str, Sequence[Any]], str]
    text: Callable[[Any], str]
    limits: Callable[[Any], Limits] | None = None


def literals(texts: Iterable[str]) -> str:
    """Strings as a comma-separated list of SQL literals."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def number_text(value: float) -> str:
    """A number without an exponent, so that it can be parsed again: 50, 0.1, 12000000."""
    return np.format_float_positional(value, trim="-")


def _equal_sql(name: str, values: Sequence[str]) -> str:
    if name in (*LABELS, ID):
        return f"{name} IN ({literals(values)})"
    return f"array_has_any(facets, make_array({literals(f'{name}={value}' for value in values)}))"


def _number_sql(name: str) -> str:
    """A label's or attribute's value as a number; NULL if it is none.

    Attributes are read from their JSON, because a LanceDB table has no columns for names unknown in advance.
    """
    if name in LABELS:
        column, pattern = name, rf"^\s*({NUMBER})\s*$"
    else:
        column, pattern = "attributes", rf'{re.escape(json.dumps(name, ensure_ascii=False))}: "\s*({NUMBER})\s*"'
    return f"CAST(regexp_match({column}, {literals([pattern])})[1] AS DOUBLE)"


def _parse_number(text: str) -> float:
    value = number(text)
    if value is None:
        raise ValueError(f"{text!r} is not a number; write for example price<=50 or price=10..50")
    return value


def _parse_range(text: str) -> Limits | None:
    found = RANGE.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    low, high = found.groups()
    return float(low) if low else -math.inf, float(high) if high else math.inf


def _in_ranges(column: FacetColumn, ranges: Sequence[Limits]) -> np.ndarray:
    numbers = column.numbers
    return np.all([(numbers >= low) & (numbers <= high) for low, high in ranges], axis=0)


def _in_ranges_sql(name: str, ranges: Sequence[Limits]) -> str:
    ends = [(sign, end) for limits in ranges for sign, end in zip((">=", "<="), limits, strict=True)]
    return " AND ".join(f"{_number_sql(name)} {sign} {end!r}" for sign, end in ends if math.isfinite(end))


def _range_text(limits: Limits) -> str:
    low, high = (number_text(end) if math.isfinite(end) else "" for end in limits)
    return f"={low}..{high}"


def _comparison(sign: str, compare: Callable[[np.ndarray, float], np.ndarray], limits: Callable) -> Operator:
    """An operator that compares a number with its operand; all operands must hold."""
    return Operator(
        sign=sign,
        parse=_parse_number,
        mask=lambda column, ends: np.all([compare(column.numbers, end) for end in ends], axis=0),
        sql=lambda name, ends: " AND ".join(f"{_number_sql(name)} {sign} {end!r}" for end in ends),
        text=lambda end: sign + number_text(end),
        limits=limits,
    )


EQUAL = "="
OPERATORS: dict[str, Operator] = {
    "..": Operator("=", _parse_range, _in_ranges, _in_ranges_sql, _range_text, limits=lambda limits: limits),
    EQUAL: Operator("=", str, FacetColumn.has_any, _equal_sql, "={}".format),
    "<": _comparison("<", operator.lt, lambda end: (-math.inf, end)),
    "<=": _comparison("<=", operator.le, lambda end: (-math.inf, end)),
    ">": _comparison(">", operator.gt, lambda end: (end, math.inf)),
    ">=": _comparison(">=", operator.ge, lambda end: (end, math.inf)),
}
