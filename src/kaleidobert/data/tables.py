"""Tables as streams of rows, and parquet files and Arrow data as such tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kaleidobert.errors import InputError

BATCH_ROWS = 64  # a few megabytes if the rows contain images

NumberedRows = Iterator[tuple[int, "dict[str, Any] | str"]]


@dataclass(frozen=True)
class Table:
    """The common form of all formats: column names, and rows that are read on demand.

    ``rows()`` yields each row's number with its cells, or with a ``str``, the reason why it cannot be read. Lines of
    text files are numbered from 1, as in an editor, rows of binary formats from 0. ``format``: the name of a known
    export, which gives ``fields``, a mapping of fields to columns, and where its photos are if no column says so.
    """

    name: str
    folder: Path  # that image paths are relative to
    columns: list[str]
    rows: Callable[[], NumberedRows]
    unit: str = "row"
    stem: str = "row"  # a product without an id gets the id stem-number
    format: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    image_template: str = ""


def parquet_table(path: Path) -> Table:
    """A parquet file, read in batches. Raises ``InputError`` if it is not a parquet file."""
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable parquet file ({_first_line(error)})") from error
    labels = _parquet_labels(schema)

    def rows() -> NumberedRows:
        # Pre-buffering, the default, would keep the whole file in memory.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            yield from arrow_rows(file.iter_batches(batch_size=BATCH_ROWS), labels, path)

    return Table(str(path), path.parent, list(dict.fromkeys(schema.names)), rows, stem=path.stem)


def arrow_rows(batches: Iterable[Any], labels: dict[str, list[str]], source: object) -> NumberedRows:
    """Rows of Arrow batches or tables. ``labels``: the class names of columns that hold class numbers."""
    number = 0
    batches = iter(batches)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{source}: damaged after row {number} ({_first_line(error)})") from error
        if batch is None:
            return
        names = batch.schema.names
        for cells in zip(*map(_cells, batch.columns), strict=True):
            wrong = next((f"{name}: {cell}" for name, cell in zip(names, cells, strict=True) if _broken(cell)), "")
            yield number, wrong or _labelled(row_of(zip(names, cells, strict=True)), labels)
            number += 1


def row_of(cells: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A row of columns and cells; a column that occurs several times holds the list of its different values."""
    row: dict[str, Any] = {}
    for column, cell in cells:
        row[column] = _together(row[column], cell) if column in row else cell
    return row


def _together(one: Any, other: Any) -> Any:
    values: list[Any] = []
    for value in (part for cell in (one, other) for part in (cell if isinstance(cell, list) else [cell])):
        if value not in (None, "", *values):
            values.append(value)
    return values[0] if len(values) == 1 else values


def _cells(column: Any) -> list[Any]:
    """The cells of an Arrow column; in the place of one that is damaged, the error."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):  # bytes that are no UTF-8, a date beyond Python's years
        return [_cell(each) for each in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return error


def _broken(cell: Any) -> bool:
    return isinstance(cell, Exception)


def _labelled(row: dict[str, Any], labels: Mapping[str, list[str]]) -> dict[str, Any]:
    for column, names in labels.items():
        number = row[column]
        if isinstance(number, int) and number < len(names):
            row[column] = names[number] if number >= 0 else None  # -1 is no label
    return row


def _parquet_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The class names of `ClassLabel` columns, from the metadata written by the ``datasets`` library."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: feature["names"]
            for column, feature in features.items()
            if column in schema.names
            and isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and isinstance(feature["names"], list)
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
