"""Finding the records in JSON, as searches, interfaces and pandas wrap them."""

from __future__ import annotations

from typing import Any

from kaleidobert.data.columns import ALIASES, column_key
from kaleidobert.data.tables import row_of

# Where the answers of searches and interfaces have their records: Elasticsearch, Solr, GraphQL and others.
HOLDERS = ("hits", "response", "docs", "results", "data", "products", "items", "edges")
SAID = {"_highlightResult", "_snippetResult", "_rankingInfo"}  # of an Algolia record by a search, not by the shop
HELD = ("_source", "document", "node")  # where one has its record: Elasticsearch, Typesense, GraphQL
TEXTS = {*ALIASES["title"], *ALIASES["description"]}  # of a record


def records_of(content: Any) -> list[Any]:
    """The records of a JSON file: a list of them, or what an answer, a table or one record alone holds."""
    content = _held(_by_rows(content))
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


def own_record(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what holds it, and without what a search says of it."""
    held = next((record[name] for name in HELD if isinstance(record.get(name), dict)), None)
    if held is None or _has_text(record):
        return {key: value for key, value in record.items() if key not in SAID}
    return ({"id": record["_id"]} if "_id" in record else {}) | held


def _by_rows(content: Any) -> Any:
    """The rows of what pandas writes by columns, {"id": [1, 2]} or {"id": {"0": 1}}, or apart from their names."""
    if not isinstance(content, dict):
        return content
    names, data = content.get("columns"), content.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(name, str) for name in names):
        whole = [isinstance(row, list) and len(row) == len(names) for row in data]
        return [row_of(zip(names, row, strict=True)) if fits else row for row, fits in zip(data, whole, strict=True)]
    columns = list(content.values())
    lists, keyed = (all(isinstance(each, kind) for each in columns) for kind in (list, dict))
    if not _has_text(content) or not (lists or keyed) or len({_keys(each) for each in columns}) > 1:
        return content
    cells = [each.values() if keyed else each for each in columns]
    return [dict(zip(content, row, strict=True)) for row in zip(*cells, strict=True)]


def _keys(column: Any) -> tuple[Any, ...]:
    """What the columns of a table have in common."""
    return tuple(column) if isinstance(column, dict) else (len(column),)


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
