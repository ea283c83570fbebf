"""Matching a table's columns to product fields, and reading its cells as text."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kaleidobert.data.plain_text import is_unicode, plain_text
from kaleidobert.data.problems import BadRow
from kaleidobert.data.tables import row_of
from kaleidobert.errors import InputError
from kaleidobert.files import once_each, parse_yaml

# Matched by `column_key`. If several are present, the first one listed here is used.
ALIASES = {
    "id": ("id", "productid", "sku", "asin", "itemid", "articleid", "objectid"),
    "title": ("title", "name", "productdisplayname", "producttitle", "productname"),
    "description": ("description", "productdescription", "text", "caption", "body", "bodyhtml"),
    "category": ("category", "mastercategory", "productcategory"),
    "subcategory": ("subcategory", "producttype"),
    "images": (
        *("images", "image", "imagepaths", "imagepath", "img", "photos", "photo", "filename"),
        *("imageurls", "imageurl", "imagelink"),
    ),
}
IMAGE_TEMPLATE = "image_template"  # in a columns file: where photos are, beside the fields
SHEET_ERRORS = {"#n/a", "#value!", "#ref!", "#name?", "#div/0!", "#null!", "#num!"}
EMPTY = {"", "nan", "na", "n/a", "null", *SHEET_ERRORS}
CONTROLS = re.compile(r"[\0-\x08\x0e-\x1f\x7f-\x9f]")  # characters that command a terminal
NAMES_SHOWN, LETTERS_SHOWN = 30, 40  # of columns, in a message


def column_key(name: str) -> str:
    """What names of columns are compared by: without case, blanks, "_", "-" and the prefix "g:" of feeds.

    Typographic apostrophes are plain ones.
    """
    folded = unicodedata.normalize("NFKC", name).replace("’", "'").casefold().strip().removeprefix("g:")
    return "".join(folded.replace("_", " ").replace("-", " ").split())


def column_name(name: str) -> str:
    """A column's name in composed Unicode, as keyboards write it, so that filters and mappings find it."""
    return unicodedata.normalize("NFC", name.strip())


def find_columns(
    columns: Sequence[str], mapping: Mapping[str, str] | None = None, source: object = "the data", photos: bool = True
) -> dict[str, str]:
    """Map fields to columns: by ``mapping`` if given, and by the known aliases for the remaining fields.

    Raises ``InputError`` if ``mapping`` names an unknown field or column, or if there is no image column though
    ``photos`` says that there must be one, or neither a title nor a description column. The message lists the columns.
    """
    listed = _listed(columns)
    found = {}
    for key, column in (mapping or {}).items():
        name, column = "images" if key == "image" else key, column_name(column)
        if name not in ALIASES:
            raise InputError(f"columns: no field {key!r}; the fields are {', '.join(ALIASES)}")
        if column not in columns:
            raise InputError(f"{source}: no column {column!r} (mapped to {key}); it has: {listed}")
        found[name] = column
    free = {column_key(column): column for column in reversed(columns) if column not in found.values()}
    for name, aliases in ALIASES.items():
        if name not in found and (alias := next((alias for alias in aliases if alias in free), None)):
            found[name] = free[alias]
    if photos and "images" not in found:
        raise InputError(f"{source}: no image column among: {listed}; {_how_to_map('images')}")
    if "title" not in found and "description" not in found:
        raise InputError(f"{source}: no title or description column among: {listed}; {_how_to_map('title')}")
    return found


def load_columns(file: str | Path) -> dict[str, str]:
    """Read a mapping of fields to columns from a YAML or JSON file, such as ``title: prod_name``.

    It may also hold ``image_template: images/{id:.3}/{id}.jpg``: where a product's photo is.
    Raises ``InputError`` if the file is missing or contains anything but column names.
    """
    path = Path(file)
    try:
        text = path.read_text("utf-8-sig")
        is_json = path.suffix.lower() == ".json"
        mapping = json.loads(text, object_pairs_hook=once_each) if is_json else parse_yaml(text)
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
    text = CONTROLS.sub(" ", str(cell)).strip()
    if not is_unicode(text):
        raise BadRow(f"{column} is not valid UTF-8 text; save the file as UTF-8")
    return "" if text.lower() in EMPTY else text


def row_attributes(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, str]:
    """All columns that are not fields and not empty, as text. A JSON object in a column "attributes" is unpacked.

    Nested values become columns of their own, such as "colour.name". Columns of bytes are ignored.
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
        cells = row_of([*cells.items(), *unpacked.items()])
    texts = {name: plain_text(cell_text(cell, name)) for name, cell in row_of(_flat(cells)).items()}
    return {name: text for name, text in texts.items() if text}


def _flat(cells: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Cells without nesting: "a.b" for b in a; of a list of objects, each key with the list of its values."""
    for key, cell in cells.items():
        name = column_name(f"{prefix}{key}")
        if not is_unicode(name):
            raise BadRow(f"the name of column {name!a} is not valid Unicode text")
        if isinstance(cell, list) and cell and all(isinstance(part, dict) for part in cell):
            keys = dict.fromkeys(inner for part in cell for inner in part)
            cell = {inner: [part[inner] for part in cell if inner in part] for inner in keys}
        if isinstance(cell, dict):
            yield from _flat(cell, f"{name}.")
        elif isinstance(cell, list):
            yield name, [part for part in cell if not isinstance(part, dict | list | bytes)]
        elif not isinstance(cell, bytes):
            yield name, cell


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(name[:LETTERS_SHOWN] for name in columns[:NAMES_SHOWN])
    return shown + (f", ... ({len(columns):,} in all)" if len(columns) > NAMES_SHOWN else "")


def _how_to_map(name: str) -> str:
    return f"name it in a columns file with a line '{name}: COLUMN' (--columns FILE)"
