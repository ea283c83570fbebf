"""What an export is known by, and how its rows become the rows of products."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kaleidobert.data.tables import NumberedRows

Row = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """An export whose columns have meanings of their own.

    name: as in docs/catalogues.md. header: the columns by which it is known; a table that has all of them is one.
    others: more columns that ``rows`` reads. translations: what these are called in other languages. Rows have the
    columns of header and others under these names, however the file writes them. fields: the columns of a product's
    fields; those that are missing are left out. added: columns that ``rows`` adds. rows: a function that reads the
    export's rows from their start, and yields rows of products. image_template: where photos are, for exports without
    a column of them.
    """

    name: str
    header: tuple[str, ...]
    fields: Mapping[str, str]
    others: tuple[str, ...] = ()
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    rows: Callable[[Callable[[], NumberedRows]], NumberedRows] = field(default=lambda read: read())
    image_template: str = ""


def text(row: Mapping[str, Any], column: str) -> str:
    """A cell of a text file, "" where the row has none; the values of a repeated column, separated by commas."""
    cell = row.get(column)
    if isinstance(cell, list):
        return ", ".join(map(str, cell))
    if isinstance(cell, bool):
        return str(cell).lower()
    return "" if cell is None else str(cell).strip()


def distinct(values: Iterable[str]) -> list[str]:
    """The values that are not empty, each once, in order."""
    return [value for value in dict.fromkeys(values) if value]


def joined(rows: Sequence[Row]) -> Row:
    """One row of several: of each column the distinct values, separated by commas."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: ", ".join(distinct(text(row, column) for row in rows)) for column in columns}


def with_details(row: Row, details: Mapping[str, str], kind: str) -> Row:
    """A product with details that the shop named; one that is named as a column of the export has its kind added."""
    return row | {f"{name} ({kind})" if row.get(name) else name: value for name, value in details.items()}


def path_labels(path: str) -> tuple[str, str]:
    """The first and last label of a path: "Women > Dresses > Maxi" -> ("Women", "Maxi"); one label is the first."""
    labels = distinct(label.strip() for label in path.split(">"))
    return (labels[0] if labels else ""), (labels[-1] if len(labels) > 1 else "")


def lowest(prices: Iterable[str]) -> str:
    """The lowest of the prices that are numbers; "" if none is."""
    found = {}
    for price in prices:
        with contextlib.suppress(ValueError):
            found[float(price.replace("_", " "))] = price  # float() would read "1_000"
    found = {number: price for number, price in found.items() if math.isfinite(number)}
    return found[min(found)] if found else ""
