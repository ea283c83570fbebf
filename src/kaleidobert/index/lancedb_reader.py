"""Reads one version of a store: vector and full-text search, rows by key, and facets of the whole catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.query import MatchQuery

from kaleidobert.data.product import Product
from kaleidobert.index.caching import CachedPerVersion, Polled
from kaleidobert.index.facet_column import Counts
from kaleidobert.index.facets import COLUMNS, FacetTable
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.lancedb_rows import CANDIDATE_COLUMNS, FoundRows, candidate_of
from kaleidobert.index.operators import literals
from kaleidobert.index.records import Box, Candidate, StoreInfo, ViewKey
from kaleidobert.index.vector_graph import Passing, VectorGraph, matrix
from kaleidobert.index.versions import Version, Versions
from kaleidobert.words import Lexicon, Terms

WORD = re.compile(r"[^\W\d_][\w'-]*")
IDS_PER_QUERY = 2000
PRODUCTS_PER_READ = 100  # of those with all their original photos


class LanceDBReader:
    """The reading half of `LanceDBIndex`. Safe to use from several threads."""

    def __init__(self, versions: Versions, version: Version) -> None:
        self.uri = versions.uri
        self.number = version.number
        self._versions = versions
        self._table = versions.open(version)
        self._polled = Polled(lambda: self._table.version, versions.poll_seconds)
        self._facet_table = CachedPerVersion(self._read_facet_table, lambda: self.version)
        self._words = CachedPerVersion(self._read_words, lambda: self.version)
        self._lexicon = CachedPerVersion(self._read_lexicon, lambda: self.version)
        self._graph: VectorGraph | None = None
        self._rows_per_product = 1  # rows to fetch for one product; doubled when products have more matching views

    @property
    def info(self) -> StoreInfo:
        """The current description of this version."""
        return self._versions.get(self.number).info

    @property
    def version(self) -> str:
        """Changes with every write."""
        return f"{self.number}.{self._polled()}"

    def rows(self) -> int:
        """Number of views."""
        return self._table.count_rows()

    def check_files(self) -> None:
        """Read a little of each file that holds rows. Raises what LanceDB does where one is missing or damaged."""
        self._table.search().select(["view"]).to_arrow()

    def contents(self) -> dict[str, str]:
        """Product id -> the content hash it was stored with."""
        rows = self._table.search().select(["id", "content"]).to_arrow()
        return dict(zip(rows["id"].to_pylist(), rows["content"].to_pylist(), strict=True))

    # Search

    def hold_vectors(self) -> None:
        """From now on keep the embeddings in memory, too, where an exact search is slow.

        They are read in the background; until then, the table itself is searched.
        """
        self._graph = self._graph or VectorGraph(self._table, self._polled, self.info.vector_size)
        if self.info.index:
            self._graph.update()

    def recall(
        self, vector: np.ndarray, count: int, filters: Filters = NO_FILTERS, exact: bool = False
    ) -> list[Candidate]:
        """The ``count`` products nearest to ``vector`` (P,) by cosine, each with its best view; ties by id.

        ``exact``: do not use the approximate vector index.
        """

        index = None if exact else self.info.index

        def nearest(limit: int) -> FoundRows:
            rows = self._held(vector, limit, filters) if index else None
            if rows is not None:
                cosines = (matrix(rows["vector"]) @ vector).astype(float)
            else:
                query = self.nearest(vector, limit, index, filters)
                rows = query.select([*CANDIDATE_COLUMNS, "_distance"]).to_arrow()
                cosines = 1.0 - rows["_distance"].to_numpy().astype(float)
            return FoundRows(rows, cosines, cosines)

        return [candidate for candidate, _ in self._first_per_product(nearest, count)]

    def _held(self, vector: np.ndarray, limit: int, filters: Filters) -> pa.Table | None:
        """The nearest rows by the embeddings in memory; None where those cannot tell."""
        passing = None
        if self._graph and filters:
            facets = self._facet_table.current()
            if facets is None:
                return None
            passing = Passing(facets.hashes, facets.mask(filters))
        return self._graph and self._graph.nearest(vector, limit, [*CANDIDATE_COLUMNS, "vector"], passing)

    def text_recall(
        self, terms: Terms, count: int, filters: Filters = NO_FILTERS, vector: np.ndarray | None = None
    ) -> list[tuple[Candidate, float]]:
        """The ``count`` products whose words match best, with their BM25 scores.

        With a ``vector`` (P,), each has the view nearest to it and that cosine; otherwise the cosine is 0.
        """
        if not terms:
            return []
        match = MatchQuery(" ".join(terms.forms), "words")  # type: ignore[call-arg]  # stubs lack the defaults

        def matching(limit: int) -> FoundRows:
            columns = [*CANDIDATE_COLUMNS, *([] if vector is None else ["vector"]), "_score"]
            query = self._table.search(match, query_type="fts").select(columns).limit(limit)
            condition = filters.sql()
            rows = (query.where(condition, prefilter=True) if condition else query).to_arrow()
            scores = rows["_score"].to_numpy().astype(float)
            cosines = np.zeros(len(scores)) if vector is None else matrix(rows["vector"]) @ vector
            return FoundRows(rows, scores, cosines)

        return self._first_per_product(matching, count)

    def nearest(
        self, vector: np.ndarray, limit: int, index: Mapping[str, Any] | None, filters: Filters = NO_FILTERS
    ) -> Any:
        """A LanceDB query for the ``limit`` nearest rows; ``index`` as in ``StoreInfo.index``, None: exact search."""
        query = self._table.search(np.asarray(vector, dtype=np.float32), vector_column_name="vector")
        query = query.distance_type("cosine").limit(limit)
        if not index:
            query = query.bypass_vector_index()
        else:  # 0: probe as many partitions as the filter needs
            query = query.minimum_nprobes(index["probes"]).maximum_nprobes(0).refine_factor(index["refine"])
        condition = filters.sql()
        return query.where(condition, prefilter=True) if condition else query

    def _first_per_product(self, find: Callable[[int], FoundRows], count: int) -> list[tuple[Candidate, float]]:
        """The best row of each of the first ``count`` products, with its score; ``find(limit)`` finds up to as many."""
        factor = self._rows_per_product
        while True:
            found = find(factor * count)
            first = found.first_per_product()
            if len(first) >= count or len(found.scores) < factor * count:
                return found.candidates(first[:count])
            factor = self._rows_per_product = 2 * factor

    # Rows by key

    def vectors(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Image embeddings (P,) float32 of these views; deleted views are missing, here and below."""
        return {key: np.asarray(found, np.float32) for key, found in self._column(keys, "vector").items()}

    def states(self, keys: Iterable[ViewKey]) -> dict[ViewKey, np.ndarray]:
        """Patch states (patches, H) float32."""
        info = self.info
        return {
            key: np.frombuffer(blob, dtype=np.float16).reshape(info.patches, info.hidden_size).astype(np.float32)
            for key, blob in self._column(keys, "states").items()
        }

    def boxes(self, keys: Iterable[ViewKey]) -> dict[ViewKey, Box]:
        """Locked portions as fractions of the photo."""
        return {key: (box[0], box[1], box[2], box[3]) for key, box in self._column(keys, "box").items()}

    def thumbnails(self, keys: Iterable[ViewKey]) -> dict[ViewKey, bytes]:
        """JPEG thumbnails."""
        return self._column(keys, "thumbnail")

    def photos(self, keys: Iterable[ViewKey], folder: Path | None = None) -> dict[ViewKey, bytes]:
        """Original image files; thumbnails where the originals are not kept or no longer exist.

        Those kept by reference are read below ``folder`` alone, so that no store can name other files.
        """
        found = self._column(keys, "photo")
        sources = self._column([key for key, photo in found.items() if not photo], "source")
        paths = {key: Path(source).resolve() for key, source in sources.items() if source}
        root = folder.resolve() if folder else None
        found |= {key: path.read_bytes() for key, path in paths.items() if root in path.parents and path.is_file()}
        return {key: photo or self.thumbnails([key]).get(key, b"") for key, photo in found.items()}

    def product(self, product_id: str) -> tuple[Candidate, list[int]] | None:
        """A product with its first view (cosine 1), and the indices of its views; None for an unknown id."""
        rows = self._select(list(CANDIDATE_COLUMNS), f"id IN ({literals([product_id])})")
        if not rows:
            return None
        rows.sort(key=lambda row: row["view"])
        return candidate_of(rows[0], 1.0), [row["view"] for row in rows]

    def members(self, groups: Collection[str]) -> list[Candidate]:
        """The products of these groups, each with its first view, by id; the cosines are 0."""
        first: dict[str, Candidate] = {}
        for batch in batches(sorted(groups)):
            rows = self._select(list(CANDIDATE_COLUMNS), f"`group` IN ({literals(batch)})")
            for row in sorted(rows, key=lambda row: row["view"]):
                first.setdefault(row["id"], candidate_of(row, 0.0))
        return [first[product_id] for product_id in sorted(first)]

    def stored_products(self, ids: Collection[str]) -> Iterator[Product]:
        """These products with their stored photos, as the catalogue had them, for a store that keeps originals."""
        for batch in batches(sorted(ids), PRODUCTS_PER_READ):
            columns = ["id", "view", "title", "description", "category", "subcategory", "attributes", "photo"]
            rows = self._select(columns, f"id IN ({literals(batch)})")
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

    def _column(self, keys: Iterable[ViewKey], column: str) -> dict[ViewKey, Any]:
        ids_by_view: dict[int, list[str]] = {}
        for product_id, view in keys:
            ids_by_view.setdefault(view, []).append(product_id)
        if not ids_by_view:
            return {}
        where = " OR ".join(f"(view = {view} AND id IN ({literals(ids)}))" for view, ids in ids_by_view.items())
        return {(row["id"], row["view"]): row[column] for row in self._select(["id", "view", column], where)}

    def _select(self, columns: list[str], where: str) -> list[dict[str, Any]]:
        return self._table.search().where(where).select(columns).to_list()

    # The catalogue as a whole

    def product_ids(self) -> list[str]:
        return self._facet_table().ids

    def count(self, filters: Filters = NO_FILTERS) -> int:
        """Number of products that pass."""
        return int(self._facet_table().mask(filters).sum())

    def facets(
        self, filters: Filters = NO_FILTERS, names: Iterable[str] | None = None, ids: Collection[str] | None = None
    ) -> dict[str, Counts]:
        """For each name (None: all) its values among the products that pass; only among ``ids``, if given."""
        table = self._facet_table()
        return table.counts(table.mask(filters, ids), names)

    def filter_names(self) -> list[str]:
        """The names that filters may use: category, subcategory and all attributes."""
        return list(self._facet_table().columns)

    def lexicon(self) -> Lexicon:
        """How many products have each word."""
        return self._lexicon()

    def words(self) -> set[str]:
        """The lower-case words of all titles and descriptions."""
        return self._words()

    def titles(self) -> list[str]:
        """The title of every product."""
        rows = self._table.search().select(["id", "title"]).to_arrow()
        return list(dict(zip(rows["id"].to_pylist(), rows["title"].to_pylist(), strict=True)).values())

    def sample_texts(self, count: int) -> list[str]:
        """The texts of up to ``count`` random products; the same sample for the same rows."""
        ids = sorted(self.product_ids())
        sample = np.random.default_rng(0).permutation(len(ids))[:count]
        rows = self._select(["id", "text"], f"id IN ({literals(ids[place] for place in sample)})") if ids else []
        return [row["text"] for row in rows if row["text"]]

    def _read_facet_table(self) -> FacetTable:
        return FacetTable(self._table.search().select(list(COLUMNS)).to_arrow())

    def _read_lexicon(self) -> Lexicon:
        rows = self._table.search().select(["id", "words"]).to_arrow()
        products = dict(zip(rows["id"].to_pylist(), rows["words"].to_pylist(), strict=True))
        return Lexicon(words.split() for words in products.values())

    def _read_words(self) -> set[str]:
        texts = self._table.search().select(["text"]).to_arrow()["text"].to_pylist()
        return {word for text in texts for word in WORD.findall(text.lower())}


def batches(values: Sequence[str], size: int = IDS_PER_QUERY) -> list[Sequence[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
