"""Google Merchant feeds: tab-separated, RSS or Atom. A variant is a product; the index groups by ``item_group_id``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kaleidobert.data.formats.base import Format, distinct, path_labels
from kaleidobert.data.photo_names import listed_photos
from kaleidobert.data.tables import NumberedRows

PHOTOS = ("image_link", "additional_image_link")
TYPES = ("product_type", "google_product_category")  # a shop's own path first


def _products(read: Callable[[], NumberedRows]) -> NumberedRows:
    for number, row in read():
        if isinstance(row, str):
            yield number, row
            continue
        images = distinct(
            photo for column in PHOTOS for cell in _values(row.get(column)) for photo in listed_photos(cell)
        )
        paths = [path for column in TYPES for path in _values(row.get(column)) if path and not path.isdecimal()]
        category, subcategory = path_labels(paths[0] if paths else "")
        kept = {column: cell for column, cell in row.items() if column not in PHOTOS}
        yield number, kept | {"images": images, "category": category, "subcategory": subcategory}


def _values(cell: Any) -> list[str]:
    """The values of an element, repeated or not."""
    return [str(value).strip() for value in (cell if isinstance(cell, list) else [cell]) if value is not None]


# Text files could have names of any language; those of today are English.
GERMAN_AND_FRENCH = {
    "id": ("identifiant",),
    "title": ("Titel", "titre"),
    "description": ("Beschreibung", "descriptif"),
    "image_link": ("Bildlink", "lien image"),
    "additional_image_link": ("zusätzlicher Bildlink", "lien image supplémentaire"),
    "google_product_category": ("Google Produktkategorie", "catégorie de produits Google"),
    "product_type": ("Produkttyp", "catégorie", "type de produit"),
}
GOOGLE_MERCHANT = Format(
    "Google Merchant",
    header=("id", "title", "image_link"),
    others=("description", "additional_image_link", "item_group_id", *TYPES),
    translations=GERMAN_AND_FRENCH,
    fields={"id": "id", "title": "title", "description": "description", "images": "images"},
    added=("images", "category", "subcategory"),
    rows=_products,
)
