"""What a product store's rows are: the records written and found, and the table's schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from kaleidobert.data.product import Product
from kaleidobert.errors import InputError

FORMAT = 3  # raised when a column changes its meaning
FIELDS = (
    *("id", "view", "views", "title", "description", "category", "subcategory", "attributes", "group"),
    *("hubness", "box"),
)

ViewKey = tuple[str, int]  # (product id, view index)
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the photo
KEY = {b"lance-schema:unenforced-primary-key": b"true"}  # else two writers at once may both insert a row
PHOTOS = ("thumbnails", "stored", "referenced")


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a version of a store says about itself: whose vectors it holds, and how it is searched."""

    fingerprint: str  # KaleidoBertForRetrieval.fingerprint()
    model: str  # the model folder, absolute, as it was when the store was made
    vector_size: int  # P
    patches: int  # 55 for the published levels
    hidden_size: int  # H
    package: str  # the kaleidobert version that made it
    photos: str = "thumbnails"  # one of PHOTOS
    calibration: dict[str, Any] = field(default_factory=dict)  # of match probabilities
    index: dict[str, Any] = field(default_factory=dict)  # of the vectors: kind, rows, probes, refine, recall
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class StoredView:
    """One row to write: ``vector`` (P,), unit length, and its hubness, ``states`` (patches, H), ``thumbnail`` JPEG.

    ``box`` is the locked portion as fractions of the photo; it may reach beyond it where it was widened to a
    square. ``photo``: the original file's bytes, or b""; ``source``: where the photo lies, or "".
    ``content`` tells whether the product has changed; "" never equals anything.
    """

    product: Product
    view: int
    vector: np.ndarray
    hubness: float
    states: np.ndarray
    thumbnail: bytes
    box: Box = (0.0, 0.0, 1.0, 1.0)
    content: str = ""
    photo: bytes = b""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product found by its vector or its words, with its best view; ``hubness`` is that photo's.

    ``cosine`` is in [-1, 1]. ``box`` is the locked portion of the view, which its patches divide, as fractions
    of the photo; it may reach beyond it. Products with one ``group`` are near-duplicates or variants of each other.
    """

    id: str
    view: int
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]
    hubness: float
    cosine: float
    box: Box = (0.0, 0.0, 1.0, 1.0)
    group: str = ""
    views: int = 1  # how many photos the product has

    @property
    def key(self) -> ViewKey:
        """The view that was found."""
        return self.id, self.view


def table_schema(info: StoreInfo) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=KEY),
            pa.field("view", pa.int32(), nullable=False, metadata=KEY),
            ("views", pa.int32()),
            ("title", pa.string()),
            ("description", pa.string()),
            ("text", pa.string()),  # both, for the full-text search
            ("category", pa.string()),
            ("subcategory", pa.string()),
            ("attributes", pa.string()),  # JSON object
            ("facets", pa.list_(pa.string())),  # the same as "name=value", for filtering
            ("family", pa.string()),  # products of one family may be of one group
            ("group", pa.string()),
            ("content", pa.string()),
            ("vector", pa.list_(pa.float32(), info.vector_size)),
            ("hubness", pa.float32()),
            ("box", pa.list_(pa.float32(), 4)),
            ("states", pa.binary()),  # (patches, H) float16
            ("thumbnail", pa.binary()),  # JPEG
            ("photo", pa.binary()),
            ("source", pa.string()),
        ]
    )


def table_rows(
    views: Sequence[StoredView], families: Mapping[str, str], groups: Mapping[str, str], schema: pa.Schema
) -> pa.Table:
    """``families`` and ``groups`` by product id."""
    counts: dict[str, int] = {}
    for row in views:
        counts[row.product.id] = counts.get(row.product.id, 0) + 1
    return pa.Table.from_pylist(
        [
            {
                "id": row.product.id,
                "view": row.view,
                "views": counts[row.product.id],
                "title": row.product.title,
                "description": row.product.description,
                "text": row.product.text,
                "category": row.product.category,
                "subcategory": row.product.subcategory,
                "attributes": json.dumps(dict(row.product.attributes), ensure_ascii=False),
                "facets": [f"{name}={value}" for name, value in row.product.attributes.items()],
                "family": families[row.product.id],
                "group": groups[row.product.id],
                "content": row.content,
                "vector": row.vector.astype(np.float32),
                "hubness": row.hubness,
                "box": row.box,
                "states": row.states.astype(np.float16).tobytes(),
                "thumbnail": row.thumbnail,
                "photo": row.photo,
                "source": row.source,
            }
            for row in views
        ],
        schema=schema,
    )


def candidate(row: Mapping[str, Any], cosine: float) -> Candidate:
    fields = {name: row[name] for name in FIELDS}
    parts = {"attributes": json.loads(row["attributes"]), "box": tuple(row["box"])}
    return Candidate(**{**fields, **parts}, cosine=cosine)


def parse_filters(conditions: Iterable[str]) -> dict[str, str]:
    """["gender=Women"] -> {"gender": "Women"}. To be replaced by `filters.parse_filters` where it is still used."""
    found: dict[str, str] = {}
    for text in conditions:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"a filter is written NAME=VALUE, for example baseColour=Red, not {text!r}")
        if name in found:
            raise InputError(f"filter {name!r} is given twice; a product has one value of it")
        found[name] = value
    return found
