"""Records of an Algolia index, whose categories are a list or levels of paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kaleidobert.data.formats.base import Format, path_labels
from kaleidobert.data.tables import NumberedRows

LEVELS = "hierarchicalCategories"


def _products(read: Callable[[], NumberedRows]) -> NumberedRows:
    for number, row in read():
        yield number, row if isinstance(row, str) else _labelled(row)


def _labelled(row: dict[str, Any]) -> dict[str, Any]:
    """The row with category and sub-category, where it has a list of categories or levels of them."""
    levels, listed = row.get(LEVELS), row.get("categories")
    path = ""
    if isinstance(levels, dict) and levels:
        # lvl0, lvl1, ..., each with the path down to it, or with several paths
        deepest = [_labels(levels[level])[:1] for level in sorted(levels, key=_depth)]
        path = next(filter(None, reversed(deepest)), [""])[0]
    elif isinstance(listed, list):
        path = ">".join(_labels(listed))
    if not path or row.get("category"):
        return row
    category, subcategory = path_labels(path)
    return row | {"category": category, "subcategory": row.get("subcategory") or subcategory}


def _depth(level: str) -> tuple[int, str]:
    return len(level), level  # lvl10 is below lvl9


def _labels(cell: Any) -> list[str]:
    """The names in a cell: texts, or objects that have one."""
    parts = cell if isinstance(cell, list) else [cell]
    names = (part.get("name", part.get("title")) if isinstance(part, dict) else part for part in parts)
    return [str(name) for name in names if isinstance(name, str | int) and str(name).strip()]


ALGOLIA = Format(
    "Algolia",
    header=("objectID",),
    others=("categories", LEVELS),
    fields={"id": "objectID"},
    added=("category", "subcategory"),
    rows=_products,
)
