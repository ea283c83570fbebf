"""JSON and JSONL files of records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kaleidobert.data.json_records import own_record, records_of
from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError
from kaleidobert.files import once_each

RECORDS_FOR_COLUMNS = 100  # as records may have different keys


def jsonl_table(path: Path) -> Table:
    """A JSONL file in UTF-8: one JSON object per line. Its columns are the keys of the first hundred lines."""
    columns = _columns(path, _lines(path), "line")
    return Table(str(path), path.parent, columns, lambda: _lines(path), "line", path.stem)


def json_table(path: Path) -> Table:
    """A JSON file: a list of objects, one object that holds such a list, as a search's answer does, or JSONL.

    Objects of objects are records under their keys, which become ids. Records are numbered from 1.
    """
    try:
        content = _parsed(path.read_bytes())
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return jsonl_table(path)
        raise InputError(f"{path}: broken JSON ({error})") from error
    records = records_of(content)
    columns = _columns(path, _numbered(records), "record")
    return Table(str(path), path.parent, columns, lambda: _numbered(records), "record", path.stem)


def _parsed(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_int=_integer)


def _integer(digits: str) -> int | str:
    """A number; as text where it has more digits than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        return pairs[0][1]  # as MongoDB writes ids and numbers: {"$oid": "5f1d"}
    return once_each(pairs)


def _numbered(records: list[Any]) -> NumberedRows:
    for number, record in enumerate(records, start=1):
        yield number, _row(record)


def _lines(path: Path) -> NumberedRows:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                try:
                    yield number, _row(_parsed(line))
                except (ValueError, RecursionError) as error:
                    yield number, f"broken JSON ({error})"


def _row(record: Any) -> dict[str, Any] | str:
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__} where an object was expected"
    return own_record(record)


def _columns(path: Path, rows: Iterable[tuple[int, dict[str, Any] | str]], unit: str) -> list[str]:
    first = list(itertools.islice(rows, RECORDS_FOR_COLUMNS))
    keys = {key: None for _, row in first if isinstance(row, dict) for key in row}
    if not keys:
        reason = next((f"{unit} {number}: {row}" for number, row in first if isinstance(row, str)), "nothing in it")
        raise InputError(f"{path}: no {unit} with a JSON object ({reason})")
    return list(keys)
