"""Shopify's product export: one row per variant or photo, and adjacent rows with one handle are a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from kaleidobert.data.formats.base import Format, Row, distinct, joined, lowest, path_labels, text, with_details
from kaleidobert.data.tables import NumberedRows

OPTIONS = (1, 2, 3)
ONLY_VARIANT = "Default Title"  # the option's value of a product without options


def _format(name: str, handle: str, body: str, photo: str, variant_photo: str, price: str) -> Format:
    """The two headers that Shopify has had differ in these names."""
    options = [f"Option{number} {part}" for number in OPTIONS for part in ("Name", "Value")]
    position, category = "Image Position", "Product Category"

    def product(rows: list[Row]) -> Row:
        row = joined(rows)
        for once in ("Title", body):
            row[once] = next(filter(None, (text(each, once) for each in rows)), "")
        ordered = sorted(rows, key=lambda each: _number(text(each, position)))
        row["images"] = distinct([text(each, photo) for each in ordered] + [text(each, variant_photo) for each in rows])
        row["category"], row["subcategory"] = path_labels(text(row, "Type") or text(row, category))
        row["price"] = lowest(text(each, price) for each in rows)
        for used in (photo, variant_photo, position, price, *options):
            row.pop(used, None)
        return with_details(row, _options(rows), "option")

    def products(read: Callable[[], NumberedRows]) -> NumberedRows:
        broken: list[tuple[int, Any]] = []  # lines between the rows of a product, which stay together
        for same, group in groupby(_readable(read(), broken), key=lambda each: text(each[1], handle)):
            numbered = list(group)
            yield from broken
            broken.clear()
            if same:
                yield numbered[0][0], product([row for _, row in numbered])
            else:  # rows without a handle, which the reader reports
                yield from numbered
        yield from broken

    return Format(
        name,
        header=(handle, "Title", photo, "Option1 Name", "Option1 Value", price),
        others=(body, variant_photo, position, category, "Type", *options[2:]),
        fields={"id": handle, "title": "Title", "description": body, "images": "images"},
        added=("images", "category", "subcategory", "price"),
        rows=products,
    )


def _readable(rows: NumberedRows, broken: list[tuple[int, Any]]) -> Iterator[tuple[int, Row]]:
    """Rows that can be read; the others are added to ``broken``."""
    for number, row in rows:
        if isinstance(row, dict):
            yield number, row
        else:
            broken.append((number, row))


def _options(rows: list[Row]) -> Row:
    """The options as attributes, with the values of all variants. Their names are in a product's first row alone."""
    found = {}
    for number in OPTIONS:
        name = next(filter(None, (text(each, f"Option{number} Name") for each in rows)), "")
        values = distinct(text(each, f"Option{number} Value") for each in rows)
        if name and values != [ONLY_VARIANT]:
            found[name] = ", ".join(values)
    return found


def _number(position: str) -> float:
    return float(position) if position.isdecimal() else float("inf")


SHOPIFY = _format("Shopify", "Handle", "Body (HTML)", "Image Src", "Variant Image", "Variant Price")
SHOPIFY_2025 = _format("Shopify", "URL handle", "Description", "Product image URL", "Variant image URL", "Price")
