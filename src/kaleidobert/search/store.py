"""The product store: LanceDB tables at a folder or object-store address, one row per (product, view).

A row holds everything an answer needs, so a query opens no photo and runs no image backbone: the product's
fields, the view's vector (for recall), its patch states (for the joint model) and a thumbnail.

Choices, measured on 100k rows (DESIGN: the store): rows are written by ``merge_insert``, so indexing again
replaces instead of doubling; under ``INDEX_ABOVE`` rows the search is exact; above it IVF_RQ with as many
probes as measuring asks for, at least, and unlimited where a filter needs more, because LanceDB's default number
silently loses filtered results. A ``Store`` stays with the version it opened (see `versions`).
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
from lancedb.index import FTS, BTree, IvfFlat, IvfRq, LabelList

from kaleidobert.errors import InputError
from kaleidobert.search.catalogue import COLUMNS, Catalogue, Counts
from kaleidobert.search.filters import NO_FILTERS, Filters, literals
from kaleidobert.search.grouping import family_of, grouped
from kaleidobert.search.records import (
    FIELDS,
    Box,
    Candidate,
    StoredView,
    StoreInfo,
    ViewKey,
    candidate,
    table_rows,
)
from kaleidobert.search.versions import BUILDING, Version, Versions

Where = Filters | Mapping[str, str] | None
Found = TypeVar("Found")
WORD = re.compile(r"[^\W\d_][\w'-]*")
INDEX_ABOVE = 20_000  # rows; below this an exact scan is as fast as an index
GRACE = timedelta(minutes=10)  # how long readers may go on with files or a version that were replaced
PART = 2000  # ids in one condition


class Store:
    """One version of a product store, opened for reading or writing. Use ``Store.open`` or ``Store.create``.

    Safe to read from several threads. ``superseded`` tells that another version is searched now: open it anew.
    """

    def __init__(self, versions: Versions, version: Version) -> None:
        self.uri = versions.uri
        self.number = version.number
        self._versions = versions
        self._table = versions.open(version)
        self._kept: dict[str, tuple[str, Any]] = {}  # what was derived from the rows, with their version
        self._deriving = threading.Lock()

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
        versions = Versions(uri, refresh_seconds=0.0)
        version = versions.current()
        if new_version:
            unfinished = [each for each in versions.all() if each.state == BUILDING and _alike(each.info, info)]
            version = unfinished[-1] if unfinished else None
        store = cls(versions, version or versions.add(info))
        store.check_model(info.fingerprint, info.model)
        return store

    @property
    def info(self) -> StoreInfo:
        """The version's own description, as it is now."""
        return self._versions.get(self.number).info

    @property
    def version(self) -> str:
        """Changes with every write; what was derived from the rows is valid for one version."""
        return f"{self.number}.{self._table.version}"

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
        for part in _parts(sorted(set(ids))):
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
        for part in _parts(sorted({family for family in families.values() if family})):
            columns = ["id", "family", "group", "vector"]
            for found in self._select(columns, f"family IN ({literals(part)})"):
                if found["id"] not in families:
                    own = members.setdefault(found["family"], {})
                    own.setdefault(found["id"], (found["group"], []))[1].append(np.asarray(found["vector"]))
        known = {family: [(group, np.stack(found)) for group, found in own.values()] for family, own in members.items()}
        return grouped([(each, families[each], np.stack(own)) for each, own in vectors.items()], known)

    # Reading

    def rows(self) -> int:
        """Rows, which is views, not products."""
        return self._table.count_rows()

    def products(self) -> int:
        return len(self.catalogue.ids)

    def contents(self) -> dict[str, str]:
        """Product id -> what tells whether it has changed since it was stored."""
        rows = self._table.search().select(["id", "content"]).to_arrow()
        return dict(zip(rows["id"].to_pylist(), rows["content"].to_pylist(), strict=True))

    def recall(self, vector: np.ndarray, count: int, where: Where = None, exact: bool = False) -> list[Candidate]:
        """The ``count`` products nearest to ``vector`` (P,) by cosine, nearest first, ties by id.

        Each product comes once, with its best view; ``exact`` passes the index by.
        """

        def nearest(limit: int) -> list[Candidate]:
            query = self._nearest(vector, limit, as_filters(where), exact)
            found = [candidate(row, 1.0 - row["_distance"]) for row in query.select([*FIELDS, "_distance"]).to_list()]
            return sorted(found, key=lambda each: (-each.cosine, each.id, each.view))

        return _once_each(nearest, count, lambda each: each.id)

    def text_recall(
        self, words: str, count: int, where: Where = None, vector: np.ndarray | None = None
    ) -> list[tuple[Candidate, float]]:
        """The ``count`` products whose title and description match ``words`` best, with their BM25 scores.

        With a ``vector`` (P,) candidates have their cosine with it and the best of the views found; else 0.
        """
        if not words.strip():
            return []

        def matching(limit: int) -> list[tuple[Candidate, float]]:
            columns = [*FIELDS, "vector", "_score"]
            query = self._table.search(words, query_type="fts", fts_columns="text").select(columns).limit(limit)
            condition = as_filters(where).sql()
            rows = (query.where(condition, prefilter=True) if condition else query).to_list()
            cosines = [0.0 if vector is None else float(np.dot(row["vector"], vector)) for row in rows]
            found = [(candidate(row, cosine), row["_score"]) for row, cosine in zip(rows, cosines, strict=True)]
            return sorted(found, key=lambda pair: (-pair[1], pair[0].id, -pair[0].cosine, pair[0].view))

        return _once_each(matching, count, lambda pair: pair[0].id)

    def _nearest(self, vector: np.ndarray, limit: int, filters: Filters, exact: bool) -> Any:
        query = self._table.search(np.asarray(vector, dtype=np.float32), vector_column_name="vector")
        query = query.distance_type("cosine").limit(limit)
        if exact:
            query = query.bypass_vector_index()
        elif index := self.info.index:
            # 0: as many as the filter needs
            query = query.minimum_nprobes(index["probes"]).maximum_nprobes(0).refine_factor(index["refine"])
        condition = filters.sql()
        return query.where(condition, prefilter=True) if condition else query

    def vectors(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Vectors (P,) float32 of the given views; a view gone in the meantime is left out."""
        return {key: np.asarray(found, np.float32) for key, found in self._columns(keys, "vector").items()}

    def states(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Patch states (patches, H) float32 of the given views; a view gone in the meantime is left out."""
        info = self.info
        return {
            key: np.frombuffer(blob, dtype=np.float16).reshape(info.patches, info.hidden_size).astype(np.float32)
            for key, blob in self._columns(keys, "states").items()
        }

    def boxes(self, keys: Iterable[ViewKey]) -> dict[ViewKey, Box]:
        """Locked portions of the given views, as fractions of the photo; a view gone in the meantime is left out."""
        found = self._columns(keys, "box")
        return {key: (box[0], box[1], box[2], box[3]) for key, box in found.items()}

    def thumbnails(self, keys: Iterable[ViewKey]) -> dict[ViewKey, bytes]:
        """Thumbnail JPEGs of the given views; a view gone in the meantime is left out."""
        return self._columns(keys, "thumbnail")

    def _columns(self, keys: Iterable[ViewKey], column: str) -> dict[ViewKey, Any]:
        by_view: dict[int, list[str]] = {}
        for product_id, view in keys:
            by_view.setdefault(view, []).append(product_id)
        if not by_view:
            return {}
        where = " OR ".join(f"(view = {view} AND id IN ({literals(ids)}))" for view, ids in by_view.items())
        return {(row["id"], row["view"]): row[column] for row in self._select(["id", "view", column], where)}

    def product(self, product_id: str) -> tuple[Candidate, list[int]] | None:
        """A product's fields (its cosine is 1) and the indices of its views; None where there is none."""
        rows = self._select(list(FIELDS), f"id IN ({literals([product_id])})")
        if not rows:
            return None
        rows.sort(key=lambda row: row["view"])
        return candidate(rows[0], 1.0), [row["view"] for row in rows]

    def _select(self, columns: list[str], where: str) -> list[dict[str, Any]]:
        return self._table.search().where(where).select(columns).to_list()

    # What the whole catalogue holds

    @property
    def catalogue(self) -> Catalogue:
        return self._derived("catalogue", lambda: Catalogue(self._table.search().select(list(COLUMNS)).to_arrow()))

    def count(self, where: Where = None) -> int:
        """How many products pass."""
        return int(self.catalogue.mask(as_filters(where)).sum())

    def facets(
        self, where: Where = None, names: Iterable[str] | None = None, ids: Collection[str] | None = None
    ) -> dict[str, Counts]:
        """For each name (None: all of them) its values with the number of products that pass, most first.

        ``ids``: count among these products only.
        """
        catalogue = self.catalogue
        return catalogue.counts(catalogue.mask(as_filters(where), ids), names)

    def filter_names(self) -> list[str]:
        """The names that filters can have: category, subcategory and every attribute's name."""
        return list(self.catalogue.facets)

    def words(self) -> Counter[str]:
        """The words of all titles and descriptions, in lower case, with the number of rows they are in."""
        return self._derived("words", self._count_words)

    def _count_words(self) -> Counter[str]:
        texts = self._table.search().select(["text"]).to_arrow()["text"].to_pylist()
        return Counter(word for text in texts for word in set(WORD.findall(text.lower())))

    def subcategories(self) -> list[tuple[str, str]]:
        """Every (category, sub-category), the one with most products first."""
        facets = self.catalogue.facets
        category, subcategory = facets["category"], facets["subcategory"]
        pairs = Counter(zip(category.codes.tolist(), subcategory.codes.tolist(), strict=True))
        named = [(category.values[one], subcategory.values[two], total) for (one, two), total in pairs.items()]
        return [(one, two) for one, two, _ in sorted(named, key=lambda each: (-each[2], each[:2]))]

    def _derived(self, name: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives for the rows as they are now, made once for each version of them."""
        version = self.version
        with self._deriving:
            if self._kept.get(name, ("",))[0] != version:
                self._kept[name] = (version, make())
            return self._kept[name][1]

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
            config = IvfRq(distance_type="cosine") if divisible else IvfFlat(distance_type="cosine")
            self._table.create_index("vector", config=config)
            self.describe(index={"kind": type(config).__name__, "rows": self.rows(), "probes": 20, "refine": 5})


def as_filters(where: Where) -> Filters:
    if isinstance(where, Filters):
        return where
    return Filters.of(where) if where else NO_FILTERS


def _once_each(find: Callable[[int], list[Found]], count: int, id_of: Callable[[Found], str]) -> list[Found]:
    """The first ``count`` products of ``find(limit)``, whose rows come best first, each with its best row."""
    limit = 2 * count
    while True:
        found = find(limit)
        best: dict[str, Found] = {}
        for each in found:
            best.setdefault(id_of(each), each)
        if len(best) >= count or len(found) < limit:
            return list(best.values())[:count]
        limit *= 2  # products with many views filled the answer


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + PART] for start in range(0, len(values), PART)]


def _alike(one: StoreInfo, other: StoreInfo) -> bool:
    """Whether rows written for one may lie beside rows written for the other."""
    return (one.fingerprint, one.photos) == (other.fingerprint, other.photos)
