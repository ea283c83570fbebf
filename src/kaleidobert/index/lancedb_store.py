"""The product index in LanceDB: tables at a folder or object-store address, one row per view (photo) of a product.

A row holds everything an answer needs, so that a query opens no photo and runs no image backbone: the product's
fields, the view's embedding for recall, its patch states for the joint model, and a thumbnail.

Choices, measured on 100,000 rows: rows are written with ``merge_insert``, so that re-indexing replaces
them; up to ``INDEX_ABOVE`` rows the search is exact; beyond, an IVF_RQ index is searched with a measured minimum of
probes and no maximum, because LanceDB's default number silently loses results under a filter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from lancedb.index import FTS, BTree, IvfFlat, IvfRq, LabelList

from kaleidobert.errors import InputError
from kaleidobert.index.grouping import assign_groups, family_of
from kaleidobert.index.lancedb_reader import LanceDBReader, batches
from kaleidobert.index.lancedb_rows import table_rows
from kaleidobert.index.operators import literals
from kaleidobert.index.records import FORMAT, StoredView, StoreInfo
from kaleidobert.index.versions import BUILDING, Versions

INDEX_ABOVE = 20_000  # rows; below this an exact scan is as fast as an index
WORDS = FTS(base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False, ascii_folding=False)
GRACE = timedelta(minutes=10)  # for readers that still use replaced files or versions


class LanceDBIndex(LanceDBReader):
    """One version of a product store, opened for reading and writing with ``open`` or ``create``.

    It stays with its version: when ``superseded`` is true, another version is searched now and can be opened.
    """

    @classmethod
    def open(cls, uri: str, refresh_seconds: float = 2.0) -> LanceDBIndex:
        """Open an existing store; others' writes are seen after ``refresh_seconds`` at most.

        Raises ``InputError`` when there is no store, or one of another format.
        """
        store = cls.find(uri, refresh_seconds)
        if store is None:
            command = f"kaleidobert index DATA --model RUN --store {uri}"
            raise InputError(f"no product store at {uri}: make one with `{command}`")
        store.info.check_format(uri)
        return store

    @classmethod
    def find(cls, uri: str, refresh_seconds: float = 2.0) -> LanceDBIndex | None:
        """Like ``open``, but None when there is no store."""
        versions = Versions(uri, refresh_seconds)
        current = versions.current()
        return cls(versions, current) if current else None

    @classmethod
    def create(cls, uri: str, info: StoreInfo, new_version: bool = False) -> LanceDBIndex:
        """Open the store at ``uri`` for writing; create it if there is none.

        ``new_version``: write to a version that is not searched before ``publish``, continuing an unfinished one of
        the same model. Raises ``InputError`` when the store holds another model's embeddings or cannot be written.
        """
        unfinished = cls.find_unfinished(uri, info.fingerprint, info.photos) if new_version else None
        if unfinished is not None:
            return unfinished
        versions = Versions(uri, refresh_seconds=0.0)
        current = None if new_version else versions.current()
        store = cls(versions, current or versions.add(info))
        store.info.check_format(uri)
        store.check_model(info.fingerprint, info.model)
        return store

    @classmethod
    def find_unfinished(cls, uri: str, fingerprint: str, photos: str) -> LanceDBIndex | None:
        """The latest unpublished version with this model and this way of keeping photos."""
        versions = Versions(uri, refresh_seconds=0.0)
        for version in reversed(versions.all()):
            info = version.info
            same = (info.fingerprint, info.photos, info.format) == (fingerprint, photos, FORMAT)
            if version.state == BUILDING and same:
                return cls(versions, version)
        return None

    @property
    def superseded(self) -> bool:
        """Whether another version of the store is searched now."""
        current = self._versions.current()
        return current is not None and current.number != self.number

    def check_model(self, fingerprint: str, model: str) -> None:
        """Raise ``InputError`` unless the store was made with the model with this fingerprint."""
        self.info.check_model(fingerprint, model, self.uri)

    # Writing

    def describe(self, **changes: Any) -> None:
        """Change fields of ``info``, such as ``calibration``."""
        self._versions.describe(self.number, replace(self.info, **changes))

    def publish(self) -> None:
        """Make this the version that is searched, atomically."""
        current = self._versions.current()
        if current is None or current.number != self.number:
            self._versions.switch(self.number)

    def drop_old_versions(self, grace: timedelta = GRACE) -> list[int]:
        """Drop versions that were replaced more than ``grace`` ago; returns their numbers."""
        return self._versions.drop_retired(grace)

    def upsert(self, views: Sequence[StoredView]) -> None:
        """Insert or replace products. All views of a product must be in one call: its other views are removed.

        On return they are committed: the next query finds them, and only ``delete`` or ``upsert`` removes them.
        """
        if not views:
            return
        latest = {view.product.id: view.product for view in views}  # if a product is given twice, the last one counts
        views = [view for view in views if view.product is latest[view.product.id]]
        families = {product_id: family_of(product) for product_id, product in latest.items()}
        groups = self._groups(views, families)
        (
            self._table.merge_insert(["id", "view"])
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(f"id IN ({literals(latest)})")
            .execute(table_rows(views, families, groups, self._table.schema))
        )
        self._written(f"id IN ({literals(latest)})", latest)

    def delete(self, ids: Collection[str]) -> int:
        """Remove products; returns how many existed."""
        deleted = 0
        for batch in batches(sorted(set(ids))):
            where = f"id IN ({literals(batch)})"
            existing = {row["id"] for row in self._select(["id"], where)}
            if existing:
                self._table.delete(where)
                self._written(where, existing)
            deleted += len(existing)
        return deleted

    def _written(self, where: str, ids: Collection[str]) -> None:
        self._polled.forget()
        if self._graph:
            self._graph.advance(where, ids)

    def _groups(self, views: Sequence[StoredView], families: Mapping[str, str]) -> dict[str, str]:
        """The group of each product of these views, considering the stored members of its family."""
        vectors: dict[str, list[np.ndarray]] = {}
        for view in views:
            vectors.setdefault(view.product.id, []).append(view.vector)
        stored: dict[str, dict[str, tuple[str, list[np.ndarray]]]] = {}  # family -> id -> group and vectors
        for batch in batches(sorted({family for family in families.values() if family})):
            columns = ["id", "family", "group", "vector"]
            for row in self._select(columns, f"family IN ({literals(batch)})"):
                if row["id"] not in families:
                    members = stored.setdefault(row["family"], {})
                    members.setdefault(row["id"], (row["group"], []))[1].append(np.asarray(row["vector"]))
        known = {
            family: [(group, np.stack(found)) for group, found in members.values()]
            for family, members in stored.items()
        }
        return assign_groups([(each, families[each], np.stack(own)) for each, own in vectors.items()], known)

    # Upkeep

    def optimize(self, index_above: int = INDEX_ABOVE, grace: timedelta = GRACE) -> None:
        """Compact the files that many writes leave and update the indexes; call it after the last ``upsert``.

        Files replaced more than ``grace`` ago are removed.
        """
        indexed = {column for index in self._table.list_indices() for column in index.columns}
        if not self.rows():
            return
        for column, config in (("id", BTree()), ("family", BTree()), ("facets", LabelList()), ("words", WORDS)):
            if column not in indexed:
                self._table.create_index(column, config=config)
        self._table.optimize(cleanup_older_than=grace)
        self._polled.forget()
        if self.rows() > index_above and self.rows() > 2 * self.info.index.get("rows", 0):
            divisible = self.info.vector_size % 8 == 0  # RaBitQ packs eight dimensions into a byte
            kind = IvfRq if divisible else IvfFlat
            self._table.create_index("vector", config=kind(distance_type="cosine"))
            self._polled.forget()
            self.describe(index={"kind": kind.__name__, "rows": self.rows(), "probes": 20, "refine": 5})
