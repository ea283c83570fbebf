"""WooCommerce's product export: variations are rows of their own, which name their product in ``Parent``."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

from kaleidobert.data.formats.base import Format, Row, distinct, lowest, path_labels, text, with_details
from kaleidobert.data.formats.woocommerce_languages import TRANSLATIONS
from kaleidobert.data.tables import NumberedRows

LIST = re.compile(r"(?<!\\),")  # a comma that belongs to a value has a backslash before it
PRICES = ("Sale price", "Regular price")
READ = ("ID", "Type", "SKU", "Name", "Regular price", "Images")
NEW_LINE = re.compile(r"(?<!\\)\\n")  # as the export writes those of descriptions
GUARDED = re.compile(r"'(?=[=+\-@])")  # what it puts before text that a spreadsheet would compute
DETAIL = re.compile(r"Attribute \d+ (name|value\(s\)|visible|global|default)", re.IGNORECASE)


def _products(read: Callable[[], NumberedRows]) -> NumberedRows:
    """Products with what their variations add; a variation whose product is missing is one itself.

    The rows are read three times, since variations may be anywhere.
    """
    product_of: dict[str, int] = {}  # what variations may call a product -> its row
    for number, row in read():
        if isinstance(row, dict) and not _is_variation(row):
            product_of |= dict.fromkeys(_names(row), number)
    variations: dict[int, list[Row]] = {}
    for _, row in read():
        if isinstance(row, dict) and _is_variation(row) and text(row, "Parent") in product_of:
            variations.setdefault(product_of[text(row, "Parent")], []).append(row)
    for number, row in read():
        if isinstance(row, str):
            yield number, row
        elif not (_is_variation(row) and text(row, "Parent") in product_of):
            yield number, _product(row, variations.get(number, []))


def _product(row: Row, variations: list[Row]) -> Row:
    rows = [row, *variations]
    details = _details(rows)
    product = {column: cell for column, cell in row.items() if not DETAIL.fullmatch(column)}
    product["ID"] = text(row, "ID") or text(row, "SKU")
    product["Name"] = _text(row, "Name")
    product["description"] = "\n".join(distinct(_text(row, name) for name in ("Short description", "Description")))
    product["images"] = distinct(name for each in rows for name in _list(text(each, "Images")))
    deepest = max(_list(text(row, "Categories")), key=lambda path: path.count(">"), default="")
    product["category"], product["subcategory"] = path_labels(deepest)
    product["price"] = lowest(next(filter(None, (text(each, name) for name in PRICES)), "") for each in rows)
    for used in ("Images", "Short description", "Description", *PRICES):
        product.pop(used, None)
    return with_details(product, {name: ", ".join(values) for name, values in details.items()}, "attribute")


def _details(rows: list[Row]) -> dict[str, list[str]]:
    """The numbered attributes by name, each with the distinct values of all rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for number in count(1):
            if f"Attribute {number} name" not in row:
                break
            if name := text(row, f"Attribute {number} name"):
                values = _list(text(row, f"Attribute {number} value(s)"))
                found[name] = distinct([*found.get(name, []), *values])
    return {name: values for name, values in found.items() if values}


def _text(row: Row, column: str) -> str:
    """A text without what the export adds to it."""
    cell = text(row, column)
    return NEW_LINE.sub("\n", cell[1:] if GUARDED.match(cell) else cell)


def _is_variation(row: Row) -> bool:
    return "variation" in _list(text(row, "Type"))


def _names(row: Row) -> list[str]:
    """What a variation may call this product: its id or its SKU."""
    return distinct([f"id:{text(row, 'ID')}", text(row, "SKU")])


def _list(cell: str) -> list[str]:
    return distinct(value.strip().replace("\\,", ",") for value in LIST.split(cell))


WOOCOMMERCE = Format(
    "WooCommerce",
    header=READ,
    others=("Parent", "Sale price", "Short description", "Description", "Categories"),
    translations=TRANSLATIONS,
    fields={"id": "ID", "title": "Name", "description": "description", "images": "images"},
    added=("description", "images", "category", "subcategory", "price"),
    rows=_products,
)
