"""The embeddings of a table in memory, in a graph of neighbours (HNSW: Malkov and Yashunin, TPAMI 2020).

A service searches the graph where it would else read thousands of rows from the table's own approximate index. The
table stays the truth: the graph names rows, which are then read from it, and is left aside while it is behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from usearch.index import Index

from kaleidobert.index.facets import hashes

KEYS = ["id", "view", "content"]  # that tell a row and its embedding
DEPTH = 1.25  # entries that a search visits, in multiples of the nearest that are wanted
MIN_DEPTH = 512
MARGINS = (1.5, 8.0)  # rows looked at under a filter, in multiples of those that would do if it passed any as often
MAX_COUNT = 20_000
SHARE = 0.1  # of the time that may go into reading the table again and again, after writes of other processes
BATCH = 1024  # rows added at a time, while no search runs

_LOGGER = logging.getLogger(__name__)


class Rows(NamedTuple):
    """N rows of the table: row ids, and hashes of their products, their views and their embeddings, (N,) each."""

    labels: np.ndarray  # of the embeddings, by which the rows are sorted
    row_ids: np.ndarray
    products: np.ndarray
    views: np.ndarray

    @classmethod
    def of(cls, rows: pa.Table, version: int) -> Rows:
        """Rows with ``KEYS`` and their ids; the embedding of one without content counts as changed in each version."""
        ids, views = (rows[name].to_pylist() for name in ("id", "view"))
        contents = [content or version for content in rows["content"].to_pylist()]
        labels = hashes(zip(ids, views, contents, strict=True))
        return cls(labels, rows["_rowid"].to_numpy(), hashes(ids), hashes(zip(ids, views, strict=True)))

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        found = cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        return found.take(np.argsort(found.labels))

    def take(self, which: np.ndarray) -> Rows:
        return Rows(*(column[which] for column in self))


class Graph(NamedTuple):
    """The neighbours of one version of the table, whose entries are the rows' labels."""

    version: int
    entries: Index
    rows: Rows


class Passing:
    """Which of N products, given by the `hashes` (N,) of their ids, pass a filter, as a mask (N,) says."""

    def __init__(self, products: np.ndarray, mask: np.ndarray) -> None:
        self.share = float(mask.mean()) if len(mask) else 0.0
        self._passing = np.sort(products[mask])

    def of(self, products: np.ndarray) -> np.ndarray:
        """Whether each of these hashes (M,) of ids is that of a product that passes."""
        places = np.searchsorted(self._passing, products)
        return self._passing.take(places, mode="clip") == products


class VectorGraph:
    """Follows a LanceDB ``table`` of vectors of this ``size``, whose current version ``version`` tells.

    Safe to use from several threads.
    """

    def __init__(self, table: Any, version: Callable[[], int], size: int) -> None:
        self._table = table
        self._version = version
        self._size = size
        self._graph: Graph | None = None
        self._given_up = -1  # the version that could not be read
        self._due = 0.0  # when a search may start an update
        self._update = threading.Thread()
        self._starting = threading.Lock()
        self._following = threading.Lock()  # one change of the graph at a time
        self._changing = threading.Lock()  # the entries are not searched meanwhile

    def update(self) -> threading.Thread:
        """Read the table anew in the background; returns the thread that does it."""
        with self._starting:
            if not self._update.is_alive():
                self._update = threading.Thread(target=self._follow, name="vector-graph")
                self._update.start()
            return self._update

    def advance(self, condition: str, products: Iterable[str]) -> None:
        """Follow a write of this process, of all rows of ``products``, which are those that meet an SQL condition.

        Where others have written meanwhile, the graph stays behind.
        """
        with self._following:
            version, graph = self._version(), self._graph
            if graph is None or graph.version != version - 1:
                return
            try:
                query = self._table.search().where(condition).with_row_id(True).select([*KEYS, "vector"])
                found = query.to_arrow()
                new, changed = Rows.of(found, version), np.isin(graph.rows.products, hashes(products))
                old = graph.rows.labels[changed]
                self._add(graph.entries, old, new, matrix(found["vector"]))
                self._remove(graph.entries, np.setdiff1d(old, new.labels))
                self._graph = Graph(version, graph.entries, Rows.joined([graph.rows.take(~changed), new]))
            except Exception as error:  # the write itself is done
                self._give_up(version, error)

    def nearest(
        self, vector: np.ndarray, count: int, columns: Sequence[str], passing: Passing | None = None
    ) -> pa.Table | None:
        """These columns of the ``count`` rows nearest to ``vector`` (V,) by cosine, in any order.

        ``passing`` tells which products may be found. None where the graph is behind the table, in which case an update
        has been started, or where too many rows would have to be looked at.
        """
        graph, version = self._graph, self._version()
        if graph is None or graph.version != version:
            if version != self._given_up and time.monotonic() >= self._due:
                self.update()
            return None
        if passing is None:
            places = self._search(graph, vector, count)
            return None if places is None else self._read(graph.rows, places, columns)
        for margin in MARGINS:
            places = self._search(graph, vector, round(margin * count / max(passing.share, 1e-9)))
            if places is None:
                return None
            places = places[passing.of(graph.rows.products[places])]
            if len(places) >= count:
                return self._read(graph.rows, places[:count], columns)
        return None

    def _search(self, graph: Graph, vector: np.ndarray, count: int) -> np.ndarray | None:
        """The places of the nearest rows, the nearest first; None for too many, all of which no graph reaches."""
        if 2 * count > len(graph.rows.labels) or count > MAX_COUNT:
            return None
        with self._changing:
            graph.entries.expansion_search = max(MIN_DEPTH, round(DEPTH * count))  # type: ignore[misc]  # it has a setter
            labels = graph.entries.search(vector, count, threads=1).keys
        places = np.searchsorted(graph.rows.labels, labels)
        known = np.array_equal(graph.rows.labels.take(places, mode="clip"), labels)
        return places if known else None  # else rows of a later version are being added

    def _read(self, known: Rows, places: np.ndarray, columns: Sequence[str]) -> pa.Table | None:
        names = list(dict.fromkeys(["id", "view", *columns]))
        rows = self._table.take_row_ids(known.row_ids[places].tolist()).select(names).to_arrow()
        views = hashes(zip(rows["id"].to_pylist(), rows["view"].to_pylist(), strict=True))
        # where the table has been changed since the version was read, other rows may have these row ids
        return rows.select(columns) if np.array_equal(np.sort(views), np.sort(known.views[places])) else None

    def _add(self, entries: Index, known: np.ndarray, rows: Rows, vectors: np.ndarray) -> None:
        """Add the rows whose labels are not among those ``known``, with their embeddings (N, V)."""
        new = ~np.isin(rows.labels, known)
        with self._changing:
            entries.add(rows.labels[new], vectors[new])

    def _remove(self, entries: Index, labels: np.ndarray) -> None:
        with self._changing:
            entries.remove(labels)

    def _give_up(self, version: int, error: Exception) -> None:
        """Search the table instead, whatever the error is."""
        self._graph, self._given_up = None, version
        _LOGGER.warning("the embeddings of version %s cannot be held in memory: %s", version, error)

    def _follow(self) -> None:
        """Add the rows that are new, and remove those that have gone."""
        with self._following:
            version, graph, started = self._version(), self._graph, time.monotonic()
            try:
                entries = Index(ndim=self._size, metric="cos", dtype="f16") if graph is None else graph.entries
                known = np.zeros(0, np.uint64) if graph is None else graph.rows.labels
                parts = []
                for batch in self._table.search().with_row_id(True).select([*KEYS, "vector"]).to_batches(BATCH):
                    if not threading.main_thread().is_alive():
                        return  # the process ends, and waits for this thread
                    found = pa.Table.from_batches([batch])
                    parts.append(Rows.of(found, version))
                    self._add(entries, known, parts[-1], matrix(found["vector"]))
                rows = Rows.joined(parts)
                self._remove(entries, np.setdiff1d(known, rows.labels))
                self._graph = Graph(version, entries, rows)
            except Exception as error:
                self._give_up(version, error)
            ended = time.monotonic()
            self._due = ended + (ended - started) * (1 / SHARE - 1)


def matrix(vectors: pa.ChunkedArray) -> np.ndarray:
    """A column of N vectors as an array (N, V)."""
    flat = vectors.combine_chunks()
    return flat.flatten().to_numpy().reshape(len(flat), flat.type.list_size)
