"""Reading one version of a product store: nearest vectors, words, what rows hold, and facets of the whole."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kaleidobert.data.product import Product
from kaleidobert.index.facets import COLUMNS, Counts, FacetTable
from kaleidobert.index.filters import NO_FILTERS, Filters, literals
from kaleidobert.index.records import FIELDS, Box, Candidate, StoreInfo, ViewKey, candidate
from kaleidobert.index.versions import Version, Versions

Where = Filters | Mapping[str, str] | None
Found = TypeVar("Found")
WORD = re.compile(r"[^\W\d_][\w'-]*")
PART = 2000  # ids in one condition


class StoreReader:
    """One version of a store, for reading. Safe to use from several threads."""

    def __init__(self, versions: Versions, version: Version) -> None:
        self.uri = versions.uri
        self.number = version.number
        self._versions = versions
        self._table = versions.open(version)
        self._kept: dict[str, tuple[str, Any]] = {}  # what was derived from the rows, with their version
        self._deriving = threading.Lock()
        self._rows_a_product = 1  # that an answer needs, learned from those before

    @property
    def info(self) -> StoreInfo:
        """The version's own description, as it is now."""
        return self._versions.get(self.number).info

    @property
    def version(self) -> str:
        """Changes with every write; what was derived from the rows is valid for one version."""
        return f"{self.number}.{self._table.version}"

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
            query = self.nearest(vector, limit, None if exact else self.info.index, as_filters(where))
            found = [candidate(row, 1.0 - row["_distance"]) for row in query.select([*FIELDS, "_distance"]).to_list()]
            return sorted(found, key=lambda each: (-each.cosine, each.id, each.view))

        return self._once_each(nearest, count, lambda each: each.id)

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

        return self._once_each(matching, count, lambda pair: pair[0].id)

    def nearest(
        self, vector: np.ndarray, limit: int, index: Mapping[str, Any] | None, filters: Filters = NO_FILTERS
    ) -> Any:
        """A query for the ``limit`` nearest rows, searched as ``index`` says (``StoreInfo.index``), None: exactly."""
        query = self._table.search(np.asarray(vector, dtype=np.float32), vector_column_name="vector")
        query = query.distance_type("cosine").limit(limit)
        if not index:
            query = query.bypass_vector_index()
        else:  # 0: as many as the filter needs
            query = query.minimum_nprobes(index["probes"]).maximum_nprobes(0).refine_factor(index["refine"])
        condition = filters.sql()
        return query.where(condition, prefilter=True) if condition else query

    def _once_each(self, find: Callable[[int], list[Found]], count: int, id_of: Callable[[Found], str]) -> list[Found]:
        """The first ``count`` products of ``find(limit)``, whose rows come best first, each with its best row."""
        times = self._rows_a_product
        while True:
            found = find(times * count)
            best: dict[str, Found] = {}
            for each in found:
                best.setdefault(id_of(each), each)
            if len(best) >= count or len(found) < times * count:
                return list(best.values())[:count]
            times = self._rows_a_product = 2 * times  # products with many views filled the answer

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

    def photos(self, keys: Iterable[ViewKey]) -> dict[ViewKey, bytes]:
        """The original photos' files, or thumbnails where they are not kept or no longer there."""
        keys = list(keys)
        found = self._columns(keys, "photo")
        sources = self._columns([key for key, photo in found.items() if not photo], "source")
        found |= {
            key: Path(source).read_bytes() for key, source in sources.items() if source and Path(source).is_file()
        }
        return {key: photo or self.thumbnails([key]).get(key, b"") for key, photo in found.items()}

    def stored_products(self, ids: Collection[str]) -> Iterator[Product]:
        """Products as they were given, with those of their photos that could be read, where photos are stored."""
        for part in in_parts(sorted(ids), 100):
            rows = self._select([*FIELDS, "photo"], f"id IN ({literals(part)})")
            photos: dict[str, list[bytes]] = {}
            for row in sorted(rows, key=lambda row: row["view"]):
                photos.setdefault(row["id"], []).append(row["photo"])
            for product_id, row in {row["id"]: row for row in rows}.items():
                yield Product(
                    id=product_id,
                    title=row["title"],
                    description=row["description"],
                    category=row["category"],
                    subcategory=row["subcategory"],
                    attributes=json.loads(row["attributes"]),
                    images=tuple(photos[product_id]),
                )

    def texts(self, count: int) -> list[str]:
        """Texts of up to ``count`` products, drawn from all; the same ones as long as the rows are the same."""
        ids = sorted(self.catalogue.ids)
        drawn = np.random.default_rng(0).permutation(len(ids))[:count]
        rows = self._select(["id", "text"], f"id IN ({literals(ids[place] for place in drawn)})") if ids else []
        return [row["text"] for row in rows if row["text"]]

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
    def catalogue(self) -> FacetTable:
        return self._derived("catalogue", lambda: FacetTable(self._table.search().select(list(COLUMNS)).to_arrow()))

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

    def titles(self) -> list[str]:
        """The title of every product."""
        rows = self._table.search().select(["id", "title"]).to_arrow()
        return list(dict(zip(rows["id"].to_pylist(), rows["title"].to_pylist(), strict=True)).values())

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


def as_filters(where: Where) -> Filters:
    if isinstance(where, Filters):
        return where
    return Filters.of(where) if where else NO_FILTERS


def in_parts(values: Sequence[str], size: int = PART) -> list[Sequence[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
