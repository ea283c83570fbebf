"""Parquet, CSV and JSONL files as streams of rows."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kaleidobert.errors import InputError

BATCH_ROWS = 64  # a few megabytes if the rows contain images
LINES_FOR_COLUMNS = 100  # of a JSONL file, as its lines may have different keys

NumberedRows = Iterator[tuple[int, "dict[str, Any] | str"]]


@dataclass(frozen=True)
class Table:
    """The common form of all formats: column names, and rows that are read on demand.

    ``rows()`` yields each row's number with its cells, or with a ``str``, the reason why it cannot be read. Lines of
    text files are numbered from 1, as in an editor, rows of binary formats from 0.
    """

    name: str
    folder: Path  # that image paths are relative to
    columns: list[str]
    rows: Callable[[], NumberedRows]
    unit: str = "row"
    stem: str = "row"  # a product without an id gets the id stem-number


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


def csv_table(path: Path) -> Table:
    """A CSV file with a header, delimited by commas, semicolons or tabs, in UTF-8 with or without a BOM."""
    delimiter, header = _csv_header(path)
    return Table(str(path), path.parent, header, lambda: _csv_rows(path, delimiter), "line", path.stem)


def kaggle_table(path: Path) -> Table:
    """The ``styles.csv`` of Kaggle's Fashion Product Images; a product's photo is ``images/<id>.jpg``.

    About twenty of its titles contain unquoted commas. Since the title is the last column, surplus cells are
    appended to it.
    """
    delimiter, header = _csv_header(path)

    def rows() -> NumberedRows:
        for line, row in _csv_rows(path, delimiter, surplus_to_last=True):
            if isinstance(row, dict):
                row["image"] = f"images/{row.get('id', '').strip()}.jpg"
            yield line, row

    return Table(str(path), path.parent, [*header, "image"], rows, "line", path.stem)


def _csv_header(path: Path) -> tuple[str, list[str]]:
    with _open_text(path) as file:
        first = file.readline()
        delimiter = max(",;\t", key=first.count)
        header = next(csv.reader(itertools.chain([first], file), delimiter=delimiter), [])
    if not any(name.strip() for name in header):
        raise InputError(f"{path}: no header with column names in its first line")
    return delimiter, [name.strip() for name in header]


def _csv_rows(path: Path, delimiter: str, surplus_to_last: bool = False) -> NumberedRows:
    with _open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter)
        header = [name.strip() for name in next(reader)]
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, f"broken CSV ({error})"
                continue
            if surplus_to_last and len(cells) > len(header):
                cells[len(header) - 1 :] = [delimiter.join(cells[len(header) - 1 :])]
            if len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells:  # blank lines have none
                lines = f" up to line {reader.line_num}: a quote left open?" if reader.line_num > line else ""
                yield line, f"{len(cells)} cells where the header has {len(header)}{lines}"


def _open_text(path: Path) -> Any:
    # Bytes that are not UTF-8 become lone surrogates; `cell_text` reports the rows with them.
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def jsonl_table(path: Path) -> Table:
    """A JSONL file in UTF-8: one JSON object per line. Its columns are the keys of the first hundred lines."""
    first = list(itertools.islice(_jsonl_rows(path), LINES_FOR_COLUMNS))
    keys = {key: None for _, row in first if isinstance(row, dict) for key in row}
    if not keys:
        reason = next((f"line {line}: {row}" for line, row in first if isinstance(row, str)), "blank lines only")
        raise InputError(f"{path}: no line with a JSON object ({reason})")
    return Table(str(path), path.parent, list(keys), lambda: _jsonl_rows(path), "line", path.stem)


def _jsonl_rows(path: Path) -> NumberedRows:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield number, _json_object(line)


def _json_object(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"broken JSON ({error})"
    return value if isinstance(value, dict) else f"a JSON {type(value).__name__} where an object was expected"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
