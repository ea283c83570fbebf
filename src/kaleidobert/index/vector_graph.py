"""The embeddings of a table in memory, in a graph of neighbours (HNSW: Malkov and Yashunin, TPAMI 2020).

A service searches the graph where it would else read thousands of rows from the table's own approximate index. The
table stays the truth: the graph names rows, which are then read from it, and is left aside while it is behind.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from usearch.index import Index

KEYS = ["id", "view", "content"]  # that tell a row and its embedding
DEPTH = 2.0  # entries that a search visits, in multiples of the nearest that are wanted
MIN_DEPTH = 256
BATCH = 1024  # rows added at a time, while no search runs

_LOGGER = logging.getLogger(__name__)


class Graph(NamedTuple):
    """The neighbours of one version of the table: labels (N,), sorted, and the row id (N,) of each."""

    version: str
    entries: Index
    labels: np.ndarray
    row_ids: np.ndarray


class VectorGraph:
    """Follows a LanceDB ``table`` of vectors of this ``size``, whose current version ``version`` tells.

    Safe to use from several threads.
    """

    def __init__(self, table: Any, version: Callable[[], str], size: int) -> None:
        self._table = table
        self._version = version
        self._size = size
        self._graph: Graph | None = None
        self._given_up = ""  # the version that could not be read
        self._update = threading.Thread()
        self._starting = threading.Lock()
        self._changing = threading.Lock()  # the index is not searched meanwhile

    def update(self) -> threading.Thread:
        """Bring the graph up to date in the background; returns the thread that does it."""
        with self._starting:
            if not self._update.is_alive():
                self._update = threading.Thread(target=self._follow, name="vector-graph", daemon=True)
                self._update.start()
            return self._update

    def nearest(self, vector: np.ndarray, count: int, columns: Sequence[str]) -> pa.Table | None:
        """These columns of the ``count`` rows nearest to ``vector`` (V,) by cosine, in any order.

        None where the graph is behind the table, in which case an update has been started, or where most rows are
        wanted, not all of which a graph reaches.
        """
        graph, version = self._graph, self._version()
        if graph is None or graph.version != version:
            if version != self._given_up:
                self.update()
            return None
        if 2 * count > len(graph.labels):
            return None
        with self._changing:
            graph.entries.expansion_search = max(MIN_DEPTH, round(DEPTH * count))  # type: ignore[misc]  # it has a setter
            labels = np.sort(graph.entries.search(vector, count, threads=1).keys)
        places = np.searchsorted(graph.labels, labels)
        if not np.array_equal(graph.labels.take(places, mode="clip"), labels):
            return None  # rows of a later version, which is being added
        wanted = list(dict.fromkeys([*KEYS, *columns]))
        rows = self._table.take_row_ids(graph.row_ids[places].tolist()).select(wanted).to_arrow()
        # where the table has been changed since the version was read, other rows may have these row ids
        return rows.select(columns) if np.array_equal(np.sort(labels_of(rows, version)), labels) else None

    def _follow(self) -> None:
        """Add the rows that are new, and remove those that have gone."""
        version, graph = self._version(), self._graph
        try:
            index = Index(ndim=self._size, metric="cos", dtype="f16") if graph is None else graph.entries
            known = np.zeros(0, np.uint64) if graph is None else graph.labels
            labels, row_ids = [known[:0]], [known[:0]]
            for batch in self._table.search().with_row_id(True).select([*KEYS, "vector"]).to_batches(BATCH):
                rows = pa.Table.from_batches([batch])
                labels.append(labels_of(rows, version))
                row_ids.append(rows["_rowid"].to_numpy())
                new = ~np.isin(labels[-1], known)
                with self._changing:
                    index.add(labels[-1][new], matrix(rows["vector"])[new])
            order = np.argsort(found := np.concatenate(labels))
            with self._changing:
                index.remove(known[~np.isin(known, found)])
            self._graph = Graph(version, index, found[order], np.concatenate(row_ids)[order])
        except Exception as error:  # whatever it is, the table is searched instead
            self._graph, self._given_up = None, version
            _LOGGER.warning("the embeddings of version %s cannot be held in memory: %s", version, error)


def matrix(vectors: pa.ChunkedArray) -> np.ndarray:
    """A column of N vectors as an array (N, V)."""
    flat = vectors.combine_chunks()
    return flat.flatten().to_numpy().reshape(len(flat), -1)


def labels_of(rows: pa.Table, version: str) -> np.ndarray:
    """A label (N,) for each row, which changes with its embedding; that of a row without content with each version."""
    keys = zip(*(rows[name].to_pylist() for name in KEYS), strict=True)
    return np.array([hash((id_, view, content or version)) for id_, view, content in keys], np.int64).view(np.uint64)
