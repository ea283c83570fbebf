"""Rows of a store's LanceDB table: their schema, and records to and from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from kaleidobert.index.operators import facet_keys, numbers_json
from kaleidobert.index.records import Candidate, StoredView, StoreInfo

CANDIDATE_COLUMNS = tuple(
    "id view views title description category subcategory attributes group hubness box words content".split()
)
PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}  # without it, two writers may insert a row twice


def table_schema(info: StoreInfo) -> pa.Schema:
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=PRIMARY_KEY),
            pa.field("view", pa.int32(), nullable=False, metadata=PRIMARY_KEY),
            ("views", pa.int32()),
            ("title", pa.string()),
            ("description", pa.string()),
            ("text", pa.string()),  # title and description
            ("words", pa.string()),  # for full-text search, see `Product.words`
            ("category", pa.string()),
            ("subcategory", pa.string()),
            ("attributes", pa.string()),  # JSON object
            ("facets", pa.list_(pa.string())),  # labels and attributes for filters, see `facet_keys`
            ("numbers", pa.string()),  # those that are numbers, see `numbers_json`
            ("family", pa.string()),  # only products of one family can be in one group
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
    """The rows of these views. ``families``, ``groups``: by product id."""
    view_counts = Counter(view.product.id for view in views)
    return pa.Table.from_pylist(
        [
            {
                "id": view.product.id,
                "view": view.view,
                "views": view_counts[view.product.id],
                "title": view.product.title,
                "description": view.product.description,
                "text": view.product.text,
                "words": " ".join(view.product.words),
                "category": view.product.category,
                "subcategory": view.product.subcategory,
                "attributes": json.dumps(dict(view.product.attributes), ensure_ascii=False),
                "facets": facet_keys(view.product),
                "numbers": numbers_json(view.product),
                "family": families[view.product.id],
                "group": groups[view.product.id],
                "content": view.content,
                "vector": view.vector.astype(np.float32),
                "hubness": view.hubness,
                "box": view.box,
                "states": view.states.astype(np.float16).tobytes(),
                "thumbnail": view.thumbnail,
                "photo": view.photo,
                "source": view.source,
            }
            for view in views
        ],
        schema=schema,
    )


def candidate_of(row: Mapping[str, Any], cosine: float) -> Candidate:
    """The candidate in a row with ``CANDIDATE_COLUMNS``."""
    fields = {name: row[name] for name in CANDIDATE_COLUMNS}
    decoded = {"attributes": json.loads(row["attributes"]), "box": tuple(row["box"])}
    return Candidate(**{**fields, **decoded}, cosine=cosine)


class FoundRows(NamedTuple):
    """N rows with ``CANDIDATE_COLUMNS``, the scores (N,) that they are ranked by, and their cosines (N,)."""

    rows: pa.Table
    scores: np.ndarray
    cosines: np.ndarray

    def first_per_product(self) -> np.ndarray:
        """The best row of each product, best first; ties by id, then the nearest view."""
        ids = np.array(self.rows["id"].to_pylist(), dtype=str)
        order = np.lexsort((self.rows["view"].to_numpy(), -self.cosines, ids, -self.scores))
        return order[np.sort(np.unique(ids[order], return_index=True)[1])]

    def candidates(self, places: np.ndarray) -> list[tuple[Candidate, float]]:
        """The candidates in these rows, with their scores."""
        rows = self.rows.select(CANDIDATE_COLUMNS).take(places).to_pylist()
        parts = zip(rows, self.cosines[places].tolist(), self.scores[places].tolist(), strict=True)
        return [(candidate_of(row, cosine), score) for row, cosine, score in parts]
