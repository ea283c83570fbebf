"""What a product store's rows are: the records written and found, the table's schema, the SQL of a filter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from kaleidobert.data.product import Product
from kaleidobert.errors import InputError

METADATA_KEY = b"kaleidobert"
FORMAT = 2  # raised when a column changes its meaning
FIELDS = ("id", "view", "title", "description", "category", "subcategory", "attributes", "hubness")

ViewKey = tuple[str, int]  # (product id, view index)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store says about itself: whose vectors it holds and how large they are."""

    fingerprint: str  # KaleidoBertForRetrieval.fingerprint()
    model: str  # the model folder, absolute, as it was when the store was made
    vector_size: int  # P
    patches: int  # 55 for the published levels
    hidden_size: int  # H
    package: str  # the kaleidobert version that made it
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class StoredView:
    """One row to write: ``vector`` (P,), unit length, and its hubness, ``states`` (patches, H), ``thumbnail`` JPEG."""

    product: Product
    view: int
    vector: np.ndarray
    hubness: float
    states: np.ndarray
    thumbnail: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product found by its vector, with its best view; ``cosine`` is in [-1, 1], ``hubness`` the photo's own."""

    id: str
    view: int
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]
    hubness: float
    cosine: float


def table_schema(info: StoreInfo) -> pa.Schema:
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("view", pa.int32(), nullable=False),
        ("title", pa.string()),
        ("description", pa.string()),
        ("category", pa.string()),
        ("subcategory", pa.string()),
        ("attributes", pa.string()),  # JSON object
        ("facets", pa.list_(pa.string())),  # the same as "name=value", for filtering
        ("vector", pa.list_(pa.float32(), info.vector_size)),
        ("hubness", pa.float32()),
        ("states", pa.binary()),  # (patches, H) float16
        ("thumbnail", pa.binary()),  # JPEG
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(asdict(info)).encode()})


def table_rows(views: Sequence[StoredView], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": row.product.id,
                "view": row.view,
                "title": row.product.title,
                "description": row.product.description,
                "category": row.product.category,
                "subcategory": row.product.subcategory,
                "attributes": json.dumps(dict(row.product.attributes), ensure_ascii=False),
                "facets": [f"{name}={value}" for name, value in row.product.attributes.items()],
                "vector": row.vector.astype(np.float32),
                "hubness": row.hubness,
                "states": row.states.astype(np.float16).tobytes(),
                "thumbnail": row.thumbnail,
            }
            for row in views
        ],
        schema=schema,
    )


def candidate(row: Mapping[str, Any]) -> Candidate:
    fields = {name: row[name] for name in FIELDS}
    return Candidate(**{**fields, "attributes": json.loads(row["attributes"])}, cosine=1.0 - row["_distance"])


def condition(filters: Mapping[str, str]) -> str | None:
    """SQL that holds where every filter does."""
    parts = [
        f"{name} = {literal(value)}"
        if name in ("category", "subcategory")
        else f"array_has(facets, {literal(f'{name}={value}')})"
        for name, value in filters.items()
    ]
    return " AND ".join(parts) or None


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def parse_filters(conditions: Iterable[str]) -> dict[str, str]:
    """["gender=Women"] -> {"gender": "Women"}. Raises ``InputError`` where there is no name or no "="."""
    filters: dict[str, str] = {}
    for text in conditions:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"a filter is written NAME=VALUE, for example baseColour=Red, not {text!r}")
        if name in filters:
            raise InputError(f"filter {name!r} is given twice; a product has one value of it")
        filters[name] = value
    return filters
