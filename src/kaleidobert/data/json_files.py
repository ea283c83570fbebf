"""JSON and JSONL files of records."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kaleidobert.data.columns import ALIASES, column_key
from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError

RECORDS_FOR_COLUMNS = 100  # as records may have different keys
# Where the answers of searches and interfaces have their records: Elasticsearch, Solr, GraphQL and others.
HOLDERS = ("hits", "response", "docs", "results", "data", "products", "edges")
SAID = {"_highlightResult", "_snippetResult", "_rankingInfo"}  # of an Algolia record by a search, not by the shop
HELD = ("_source", "document", "node")  # where one has its record: Elasticsearch, Typesense, GraphQL
TEXTS = {*ALIASES["title"], *ALIASES["description"]}  # of a record


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
    records = _records(content)
    columns = _columns(path, _numbered(records), "record")
    return Table(str(path), path.parent, columns, lambda: _numbered(records), "record", path.stem)


def _parsed(text: bytes) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        return pairs[0][1]  # as MongoDB writes ids and numbers: {"$oid": "5f1d"}
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _records(content: Any) -> list[Any]:
    content = _held(content)
    if isinstance(content, list):
        answers = bool(content) and all(
            isinstance(each, dict) and isinstance(each.get("hits"), list) for each in content
        )
        return [record for answer in content for record in _held(answer)] if answers else content
    if not isinstance(content, dict):
        return []
    lists = [value for value in content.values() if isinstance(value, list) and any(isinstance(v, dict) for v in value)]
    if lists and not any(isinstance(value, str) for value in content.values()):
        return max(lists, key=len)
    if content and all(isinstance(value, dict) for value in content.values()):
        return [{"id": key} | value for key, value in content.items()]
    return [content]


def _held(content: Any) -> Any:
    """What an answer holds, however deep. A record, which has a text, holds none."""
    while isinstance(content, dict) and not _has_text(content):
        name = next((name for name in HOLDERS if isinstance(content.get(name), dict | list)), None)
        if name is None:
            break
        content = content[name]
        if name == "hits" and isinstance(content, list):
            return [_own(hit) for hit in content]
    return content


def _own(hit: Any) -> Any:
    """A hit without what the search says of it: _score, _highlights, _highlightResult and so on."""
    if not isinstance(hit, dict):
        return hit
    return {key: value for key, value in hit.items() if key in ("_id", *HELD) or not key.startswith("_")}


def _has_text(record: dict[str, Any]) -> bool:
    return any(column_key(key) in TEXTS for key in record)


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
    held = next((record[name] for name in HELD if isinstance(record.get(name), dict)), None)
    if held is None or _has_text(record):
        return {key: value for key, value in record.items() if key not in SAID}
    return ({"id": record["_id"]} if "_id" in record else {}) | held


def _columns(path: Path, rows: Iterable[tuple[int, dict[str, Any] | str]], unit: str) -> list[str]:
    first = list(itertools.islice(rows, RECORDS_FOR_COLUMNS))
    keys = {key: None for _, row in first if isinstance(row, dict) for key in row}
    if not keys:
        reason = next((f"{unit} {number}: {row}" for number, row in first if isinstance(row, str)), "nothing in it")
        raise InputError(f"{path}: no {unit} with a JSON object ({reason})")
    return list(keys)
