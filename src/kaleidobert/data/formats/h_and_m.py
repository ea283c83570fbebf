"""The articles of H&M's Personalized Fashion Recommendations, whose photos are in folders by the id's first digits."""

from __future__ import annotations

from collections.abc import Callable

from kaleidobert.data.formats.base import Format, text
from kaleidobert.data.tables import NumberedRows

ID = "article_id"
DIGITS = 10  # of an id; zeros in front get lost where it is stored as a number


def _articles(read: Callable[[], NumberedRows]) -> NumberedRows:
    for number, row in read():
        if isinstance(row, dict) and text(row, ID):
            row = row | {ID: text(row, ID).zfill(DIGITS)}
        yield number, row


H_AND_M = Format(
    "H&M",
    header=(ID, "prod_name", "product_type_name", "product_group_name", "detail_desc"),
    fields={
        **{"id": ID, "title": "prod_name", "description": "detail_desc"},
        **{"category": "product_group_name", "subcategory": "product_type_name"},
    },
    rows=_articles,
    image_template="images/{id:.3}/{id}.jpg",
)
