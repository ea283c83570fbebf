"""The product store: one LanceDB table, one row per (product, view), at a folder or object-store address.

A row holds everything an answer needs, so a query opens no photo and runs no image backbone: the product's
fields, the view's vector (for recall), its patch states (for the joint model) and a thumbnail.

Choices, measured on 100k rows (DESIGN: the store): rows are written by ``merge_insert``, so indexing again
replaces instead of doubling; under ``INDEX_ABOVE`` rows the search is exact; above it IVF_RQ with unlimited
probes, because LanceDB's default number of probes silently loses filtered results. The model's fingerprint
lies in the table's schema metadata: vectors of two models are never compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from lancedb.index import BTree, IvfFlat, IvfRq

from kaleidobert.errors import InputError
from kaleidobert.search.records import (
    FIELDS,
    FORMAT,
    METADATA_KEY,
    Candidate,
    StoredView,
    StoreInfo,
    ViewKey,
    candidate,
    condition,
    literals,
    table_rows,
    table_schema,
)

TABLE = "products"
INDEX_ABOVE = 20_000  # rows; below this an exact scan is as fast as an index


class Store:
    """A product store opened for reading or writing. Use ``Store.open`` or ``Store.create``."""

    def __init__(self, uri: str, table: Any) -> None:
        self.uri = uri
        self._table = table

    @classmethod
    def open(cls, uri: str, refresh_seconds: float = 2.0) -> Store:
        """Open an existing store; rows others write are seen after at most ``refresh_seconds``.

        Raises ``InputError`` where there is no store, or one of another format.
        """
        store = cls.find(uri, refresh_seconds)
        if store is None:
            command = f"kaleidobert index DATA --model RUN --store {uri}"
            raise InputError(f"no product store at {uri}: make one with `{command}`")
        return store

    @classmethod
    def create(cls, uri: str, info: StoreInfo) -> Store:
        """Open the store at ``uri`` for writing, making it where there is none.

        Raises ``InputError`` where it holds another model's vectors or the address cannot be written.
        """
        store = cls.find(uri, refresh_seconds=0.0)
        if store is None:
            with _explained(uri):
                database = lancedb.connect(uri, read_consistency_interval=timedelta(0))
                store = cls(uri, database.create_table(TABLE, schema=table_schema(info)))
        store.check_model(info.fingerprint, info.model)
        return store

    @classmethod
    def find(cls, uri: str, refresh_seconds: float = 2.0) -> Store | None:
        """Like ``open``, but None where there is no store."""
        if _is_local(uri) and not _local_path(uri).is_dir():
            return None  # connecting would make the folder
        with _explained(uri):
            database = lancedb.connect(uri, read_consistency_interval=timedelta(seconds=refresh_seconds))
            try:
                store = cls(uri, database.open_table(TABLE))
            except (ValueError, FileNotFoundError) as error:
                if "not found" in str(error):
                    return None
                raise
        found = store.info.format
        if found != FORMAT:
            raise InputError(f"{uri} has store format {found}, this version reads {FORMAT}: re-index")
        return store

    @property
    def info(self) -> StoreInfo:
        """The store's own description, read anew each time: the table can be replaced under a reader."""
        metadata = self._table.schema.metadata or {}
        if METADATA_KEY not in metadata:
            raise InputError(f"{self.uri} has a table '{TABLE}' that kaleidobert did not write: choose another store")
        return StoreInfo(**json.loads(metadata[METADATA_KEY]))

    @property
    def version(self) -> int:
        """Changes with every write; what was derived from the rows is valid for one version."""
        return self._table.version

    def check_model(self, fingerprint: str, model: str) -> None:
        """Raise ``InputError`` unless the store was made by the model with this fingerprint."""
        info = self.info
        if info.fingerprint != fingerprint:
            raise InputError(
                f"{self.uri} holds vectors of model {info.fingerprint} ({info.model}), not of model "
                f"{fingerprint} ({model}): re-index into a new store with `kaleidobert index DATA "
                f"--model {model} --store NEW_STORE`"
            )

    # Writing

    def upsert(self, views: Sequence[StoredView]) -> None:
        """Insert or replace products. A product's views must all be in one call: others of it are removed."""
        if not views:
            return
        latest = {row.product.id: row.product for row in views}  # a product given twice: the last one counts
        rows = [row for row in views if row.product is latest[row.product.id]]
        (
            self._table.merge_insert(["id", "view"])
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(f"id IN ({literals(latest)})")
            .execute(table_rows(rows, self._table.schema))
        )

    def optimize(self, index_above: int = INDEX_ABOVE) -> None:
        """Compact what many writes left and update the indexes; call it after the last ``upsert``."""
        indexed = {column for index in self._table.list_indices() for column in index.columns}
        if "id" not in indexed and self.rows():
            self._table.create_index("id", config=BTree())
        if "vector" not in indexed and self.rows() > index_above:
            divisible = self.info.vector_size % 8 == 0  # RaBitQ packs eight dimensions into a byte
            config = IvfRq(distance_type="cosine") if divisible else IvfFlat(distance_type="cosine")
            self._table.create_index("vector", config=config)
        self._table.optimize()

    # Reading

    def rows(self) -> int:
        """Rows, which is views, not products."""
        return self._table.count_rows()

    def recall(self, vector: np.ndarray, count: int, filters: Mapping[str, str] | None = None) -> list[Candidate]:
        """The ``count`` products nearest to ``vector`` (P,) by cosine, nearest first, ties by id.

        Each product comes once, with its best view. ``filters`` must all hold, by equality: ``category``,
        ``subcategory`` and any attribute's name.
        """
        where = condition(filters or {})
        limit = 2 * count
        while True:
            found = self._nearest(vector, limit, where)
            best: dict[str, Candidate] = {}
            for each in sorted(found, key=lambda each: (-each.cosine, each.id, each.view)):
                best.setdefault(each.id, each)
            if len(best) >= count or len(found) < limit:
                return list(best.values())[:count]
            limit *= 2  # products with many views filled the answer

    def _nearest(self, vector: np.ndarray, limit: int, where: str | None) -> list[Candidate]:
        query = (
            self._table.search(np.asarray(vector, dtype=np.float32), vector_column_name="vector")
            .distance_type("cosine")
            .minimum_nprobes(20)
            .maximum_nprobes(0)  # 0: as many as the filter needs
            .refine_factor(5)
            .select([*FIELDS, "_distance"])
            .limit(limit)
        )
        if where:
            query = query.where(where, prefilter=True)
        return [candidate(row) for row in query.to_list()]

    def states(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Patch states (patches, H) float32 of the given views; a view gone in the meantime is left out."""
        info = self.info
        return {
            key: np.frombuffer(blob, dtype=np.float16).reshape(info.patches, info.hidden_size).astype(np.float32)
            for key, blob in self._blobs(keys, "states").items()
        }

    def thumbnails(self, keys: Iterable[ViewKey]) -> dict[ViewKey, bytes]:
        """Thumbnail JPEGs of the given views; a view gone in the meantime is left out."""
        return self._blobs(keys, "thumbnail")

    def _blobs(self, keys: Iterable[ViewKey], column: str) -> dict[ViewKey, bytes]:
        by_view: dict[int, list[str]] = {}
        for product_id, view in keys:
            by_view.setdefault(view, []).append(product_id)
        if not by_view:
            return {}
        where = " OR ".join(f"(view = {view} AND id IN ({literals(ids)}))" for view, ids in by_view.items())
        rows = self._select(["id", "view", column], where)
        return {(row["id"], row["view"]): row[column] for row in rows}

    def product(self, product_id: str) -> tuple[Candidate, list[int]] | None:
        """A product's fields (its cosine is 1) and the indices of its views; None where there is none."""
        rows = self._select(list(FIELDS), f"id IN ({literals([product_id])})")
        if not rows:
            return None
        rows.sort(key=lambda row: row["view"])
        return candidate({**rows[0], "_distance": 0.0}), [row["view"] for row in rows]

    def subcategories(self) -> list[tuple[str, str]]:
        """Every (category, sub-category), the one with most rows first."""
        labels = self._table.search().select(["category", "subcategory"]).to_arrow()
        counts = labels.group_by(["category", "subcategory"]).aggregate([([], "count_all")]).to_pylist()
        counts.sort(key=lambda row: (-row["count_all"], row["category"], row["subcategory"]))
        return [(row["category"], row["subcategory"]) for row in counts]

    def filter_names(self) -> list[str]:
        """The names ``recall`` can filter by: category, subcategory and every attribute's name."""
        rows = self._table.search().select(["attributes"]).to_arrow()["attributes"].unique().to_pylist()
        return ["category", "subcategory", *sorted({name for row in rows for name in json.loads(row)})]

    def _select(self, columns: list[str], where: str) -> list[dict[str, Any]]:
        return self._table.search().where(where).select(columns).to_list()


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn what LanceDB raises for an address it cannot use into one line."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the store {uri} cannot be opened: {reason}") from error


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def _local_path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))
