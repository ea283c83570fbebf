"""Matching a table's columns to product fields, and reading its cells as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kaleidobert.data.problems import BadRow
from kaleidobert.errors import InputError

# Matched ignoring case, spaces, "_" and "-". If several are present, the first one listed here is used.
ALIASES = {
    "id": ("id", "productid", "sku", "asin", "itemid", "articleid"),
    "title": ("title", "name", "productdisplayname", "producttitle", "productname"),
    "description": ("description", "productdescription", "text", "caption", "body"),
    "category": ("category", "mastercategory", "productcategory"),
    "subcategory": ("subcategory", "producttype"),
    "images": (
        *("images", "image", "imagepaths", "imagepath", "img", "photos", "photo", "filename"),
        *("imageurls", "imageurl"),
    ),
}
EMPTY = {"", "nan", "na", "n/a", "null"}


def find_columns(
    columns: Sequence[str], mapping: Mapping[str, str] | None = None, source: object = "the data"
) -> dict[str, str]:
    """Map fields to columns: by ``mapping`` if given, and by the known aliases for the remaining fields.

    Raises ``InputError`` if ``mapping`` names an unknown field or column, or if there is no image column, or neither
    a title nor a description column. The message lists the columns.
    """
    listed = ", ".join(columns)
    found = {}
    for key, column in (mapping or {}).items():
        name = "images" if key == "image" else key
        if name not in ALIASES:
            raise InputError(f"columns: no field {key!r}; the fields are {', '.join(ALIASES)}")
        if column not in columns:
            raise InputError(f"{source}: no column {column!r} (mapped to {key}); it has: {listed}")
        found[name] = column
    free = {_normalized(column): column for column in reversed(columns) if column not in found.values()}
    for name, aliases in ALIASES.items():
        if name not in found and (alias := next((alias for alias in aliases if alias in free), None)):
            found[name] = free[alias]
    if "images" not in found:
        raise InputError(f"{source}: no image column among: {listed}; {_how_to_map('images')}")
    if "title" not in found and "description" not in found:
        raise InputError(f"{source}: no title or description column among: {listed}; {_how_to_map('title')}")
    return found


def load_columns(file: str | Path) -> dict[str, str]:
    """Read a mapping of fields to columns from a YAML or JSON file, such as ``title: prod_name``.

    Raises ``InputError`` if the file is missing or contains anything but column names.
    """
    path = Path(file)
    try:
        text = path.read_text("utf-8-sig")
        mapping = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML or JSON: {' '.join(str(error).split())}") from error
    if not isinstance(mapping, dict) or not all(isinstance(x, str) for pair in mapping.items() for x in pair):
        raise InputError(f"{path}: expected lines 'field: column', with fields {', '.join(ALIASES)}")
    return mapping


def cell_text(cell: Any, column: str) -> str:
    """A cell as text: "" for a missing value, "7" for 7.0, "true" for True, a list joined by commas.

    Raises ``BadRow`` for bytes, nested values, and text that is not valid Unicode.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        cell = str(cell).lower()
    elif isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of integers with a missing value is read as floats
    elif isinstance(cell, float) and float(np.float32(cell)) == cell:
        cell = np.float32(cell)  # 19.99 in a column of single precision, which is read as 19.989999771118164
    if isinstance(cell, list | tuple):
        return ", ".join(filter(None, (cell_text(part, column) for part in cell)))
    if isinstance(cell, dict | bytes):
        raise BadRow(f"{column} holds {type(cell).__name__}, not text")
    text = str(cell).strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRow(f"{column} is not valid UTF-8 text; save the file as UTF-8") from None
    return "" if text.lower() in EMPTY else text


def row_attributes(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, str]:
    """All columns that are not fields and not empty, as text. A JSON object in a column "attributes" is unpacked.

    Columns of bytes or nested values are ignored.
    """
    used = {*fields.values(), "masks", "regions"}
    cells = {column: cell for column, cell in row.items() if column not in used}
    unpacked = cells.get("attributes")
    if isinstance(unpacked, str) and unpacked.lstrip().startswith("{"):
        try:
            unpacked = json.loads(unpacked)
        except ValueError:
            raise BadRow("attributes is not a valid JSON object") from None
    if isinstance(unpacked, dict):
        del cells["attributes"]
        cells |= unpacked
    texts = {column: cell_text(cell, column) for column, cell in cells.items() if _is_scalar_or_list(cell)}
    return {column: text for column, text in texts.items() if text}


def _is_scalar_or_list(cell: Any) -> bool:
    if isinstance(cell, list):
        return all(not isinstance(part, dict | list | bytes) for part in cell)
    return not isinstance(cell, dict | bytes)


def _normalized(column: str) -> str:
    return "".join(column.lower().replace("_", " ").replace("-", " ").split())


def _how_to_map(name: str) -> str:
    return f"name it in a columns file with a line '{name}: COLUMN' (--columns FILE)"
