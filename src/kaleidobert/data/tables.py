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

    return Table(str(path), path.parent, schema.names, rows, stem=path.stem)


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
        for row in batch.to_pylist():
            for column, names in labels.items():
                if isinstance(row[column], int):
                    row[column] = names[row[column]] if 0 <= row[column] < len(names) else None
            yield number, row
            number += 1


def _parquet_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The class names of `ClassLabel` columns, from the metadata written by the ``datasets`` library."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: feature["names"]
            for column, feature in features.items()
            if column in schema.names and isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
