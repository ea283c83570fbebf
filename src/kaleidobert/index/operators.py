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

from kaleidobert.data.product import Product
from kaleidobert.index.facet_column import NUMBER, FacetColumn, number, number_text, value_key

LABELS = ("category", "subcategory")
ID = "id"  # a name of filters, but no facet

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


def facet_keys(product: Product) -> list[str]:
    """What `_equal_sql` compares of a product: "name=key" of its labels and attributes."""
    return [f"{name}={value_key(value)}" for name, value in _facets(product).items()]


def numbers_json(product: Product) -> str:
    """What `_number_sql` reads of a product: those of its labels and attributes that are numbers, as JSON."""
    found = {name: number(value) for name, value in _facets(product).items()}
    return json.dumps({name: value for name, value in found.items() if value is not None}, ensure_ascii=False)


def _facets(product: Product) -> dict[str, str]:
    return dict(product.attributes) | {label: getattr(product, label) for label in LABELS}


def _equal_sql(name: str, values: Sequence[str]) -> str:
    if name == ID:
        return f"{name} IN ({literals(values)})"
    return f"array_has_any(facets, make_array({literals(f'{name}={value_key(value)}' for value in values)}))"


def _number_sql(name: str) -> str:
    """A label's or attribute's value as a number; NULL if it is none.

    It is read from JSON, because a LanceDB table has no columns for names unknown in advance.
    """
    pattern = rf"{re.escape(json.dumps(name, ensure_ascii=False))}: ({NUMBER})"
    return f"CAST(regexp_match(numbers, {literals([pattern])})[1] AS DOUBLE)"


def _parse_value(text: str) -> str:
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text


def _value_text(value: str) -> str:
    """In quotes where it would be read as something else."""
    quoted = len(value) > 2 and value[0] == value[-1] == '"'
    return f'="{value}"' if quoted or _parse_range(value) else f"={value}"


def _parse_number(text: str) -> float:
    value = number(text)
    if value is None:
        raise ValueError(f"{text!r} is not a number; write for example price<=50 or price=10..50")
    return value


def _parse_range(text: str) -> Limits | None:
    low, found, high = (part.strip() for part in text.partition(".."))
    ends = number(low), number(high)
    if not found or not (low or high) or (low and ends[0] is None) or (high and ends[1] is None):
        return None
    return -math.inf if ends[0] is None else ends[0], math.inf if ends[1] is None else ends[1]


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


EQUAL, RANGE = "=", ".."
OPERATORS: dict[str, Operator] = {
    RANGE: Operator("=", _parse_range, _in_ranges, _in_ranges_sql, _range_text, limits=lambda limits: limits),
    EQUAL: Operator("=", _parse_value, FacetColumn.has_any, _equal_sql, _value_text),
    "<": _comparison("<", operator.lt, lambda end: (-math.inf, end)),
    "<=": _comparison("<=", operator.le, lambda end: (-math.inf, end)),
    ">": _comparison(">", operator.gt, lambda end: (end, math.inf)),
    ">=": _comparison(">=", operator.ge, lambda end: (end, math.inf)),
}
