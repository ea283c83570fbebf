"""The product store: LanceDB tables at a folder or object-store address, one row per (product, view).

A row holds everything an answer needs, so a query opens no photo and runs no image backbone: the product's
fields, the view's vector (for recall), its patch states (for the joint model) and a thumbnail.

Choices, measured on 100k rows (DESIGN: the store): rows are written by ``merge_insert``, so indexing again
replaces instead of doubling; under ``INDEX_ABOVE`` rows the search is exact; above it IVF_RQ with as many
probes as measuring asks for, at least, and unlimited where a filter needs more, because LanceDB's default number
silently loses filtered results. A ``Store`` stays with the version it opened (see `versions`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from lancedb.index import FTS, BTree, IvfFlat, IvfRq, LabelList

from kaleidobert.errors import InputError
from kaleidobert.index.filters import literals
from kaleidobert.index.grouping import family_of, grouped
from kaleidobert.index.lancedb_reader import StoreReader, in_parts
from kaleidobert.index.records import StoredView, StoreInfo, table_rows
from kaleidobert.index.versions import BUILDING, Versions

INDEX_ABOVE = 20_000  # rows; below this an exact scan is as fast as an index
GRACE = timedelta(minutes=10)  # how long readers may go on with files or a version that were replaced


class Store(StoreReader):
    """One version of a product store, opened for reading or writing. Use ``Store.open`` or ``Store.create``.

    Safe to read from several threads. ``superseded`` tells that another version is searched now: open it anew.
    """

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
    def find(cls, uri: str, refresh_seconds: float = 2.0) -> Store | None:
        """Like ``open``, but None where there is no store."""
        versions = Versions(uri, refresh_seconds)
        current = versions.current()
        return cls(versions, current) if current else None

    @classmethod
    def create(cls, uri: str, info: StoreInfo, new_version: bool = False) -> Store:
        """Open the store at ``uri`` for writing, making it where there is none.

        ``new_version``: a version that is searched after ``publish`` only; an unfinished one of this model is
        continued. Raises ``InputError`` where the store holds another model's vectors or cannot be written.
        """
        unfinished = cls.find_unfinished(uri, info.fingerprint, info.photos) if new_version else None
        if unfinished is not None:
            return unfinished
        versions = Versions(uri, refresh_seconds=0.0)
        current = None if new_version else versions.current()
        store = cls(versions, current or versions.add(info))
        store.check_model(info.fingerprint, info.model)
        return store

    @classmethod
    def find_unfinished(cls, uri: str, fingerprint: str, photos: str) -> Store | None:
        """The latest version that was begun with this model and way of keeping photos, and never published."""
        versions = Versions(uri, refresh_seconds=0.0)
        alike = (each for each in reversed(versions.all()) if each.state == BUILDING)
        found = (each for each in alike if (each.info.fingerprint, each.info.photos) == (fingerprint, photos))
        version = next(found, None)
        return cls(versions, version) if version else None

    @property
    def superseded(self) -> bool:
        """Whether another version of the store is searched now (``Store.open`` gives it)."""
        current = self._versions.current()
        return current is not None and current.number != self.number

    @property
    def published(self) -> bool:
        """Whether this version is the one that ``Store.open`` gives."""
        current = self._versions.current()
        return current is not None and current.number == self.number

    def check_model(self, fingerprint: str, model: str) -> None:
        """Raise ``InputError`` unless the store was made by the model with this fingerprint."""
        info = self.info
        if info.fingerprint != fingerprint:
            raise InputError(
                f"{self.uri} holds vectors of model {info.fingerprint} ({info.model}), not of model "
                f"{fingerprint} ({model}): re-index into a new version with `kaleidobert index DATA "
                f"--model {model} --store {self.uri} --new-version`"
            )

    # Writing

    def describe(self, **changes: Any) -> StoreInfo:
        """Change fields of ``info``, such as ``calibration``."""
        info = replace(self.info, **changes)
        self._versions.describe(self.number, info)
        return info

    def publish(self) -> None:
        """Let this version be the one that is searched, in one step."""
        if not self.published:
            self._versions.switch(self.number)

    def drop_old_versions(self, grace: timedelta = GRACE) -> list[int]:
        """Drop versions replaced longer than ``grace`` ago; returns their numbers."""
        return self._versions.drop_retired(grace)

    def upsert(self, views: Sequence[StoredView]) -> None:
        """Insert or replace products. A product's views must all be in one call: others of it are removed.

        When this returns, they are stored for good: the next query sees them, and nothing but ``delete`` or
        another ``upsert`` takes them away.
        """
        if not views:
            return
        latest = {row.product.id: row.product for row in views}  # a product given twice: the last one counts
        rows = [row for row in views if row.product is latest[row.product.id]]
        families = {product_id: family_of(product) for product_id, product in latest.items()}
        groups = self._groups(rows, families)
        (
            self._table.merge_insert(["id", "view"])
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(f"id IN ({literals(latest)})")
            .execute(table_rows(rows, families, groups, self._table.schema))
        )

    def delete(self, ids: Collection[str]) -> int:
        """Remove products; returns how many there were."""
        deleted = 0
        for part in in_parts(sorted(set(ids))):
            where = f"id IN ({literals(part)})"
            there = {row["id"] for row in self._select(["id"], where)}
            if there:
                self._table.delete(where)
            deleted += len(there)
        return deleted

    def _groups(self, rows: Sequence[StoredView], families: Mapping[str, str]) -> dict[str, str]:
        """The group of each product of these rows, given what is stored already."""
        vectors: dict[str, list[np.ndarray]] = {}
        for row in rows:
            vectors.setdefault(row.product.id, []).append(row.vector)
        members: dict[str, dict[str, tuple[str, list[np.ndarray]]]] = {}
        for part in in_parts(sorted({family for family in families.values() if family})):
            columns = ["id", "family", "group", "vector"]
            for found in self._select(columns, f"family IN ({literals(part)})"):
                if found["id"] not in families:
                    own = members.setdefault(found["family"], {})
                    own.setdefault(found["id"], (found["group"], []))[1].append(np.asarray(found["vector"]))
        known = {family: [(group, np.stack(found)) for group, found in own.values()] for family, own in members.items()}
        return grouped([(each, families[each], np.stack(own)) for each, own in vectors.items()], known)

    # Upkeep

    def optimize(self, index_above: int = INDEX_ABOVE, grace: timedelta = GRACE) -> None:
        """Compact what many writes left and update the indexes; call it after the last ``upsert``.

        Files replaced longer than ``grace`` ago are removed.
        """
        indexed = {column for index in self._table.list_indices() for column in index.columns}
        if not self.rows():
            return
        for column, config in (("id", BTree()), ("family", BTree()), ("facets", LabelList()), ("text", FTS())):
            if column not in indexed:
                self._table.create_index(column, config=config)
        self._table.optimize(cleanup_older_than=grace)
        if self.rows() > index_above and self.rows() > 2 * self.info.index.get("rows", 0):
            divisible = self.info.vector_size % 8 == 0  # RaBitQ packs eight dimensions into a byte
            kind = IvfRq if divisible else IvfFlat
            self._table.create_index("vector", config=kind(distance_type="cosine"))
            self.describe(index={"kind": kind.__name__, "rows": self.rows(), "probes": 20, "refine": 5})
