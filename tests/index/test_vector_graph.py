"""Embeddings in memory: they find what the table has, follow its writes, and are left aside while they are behind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.views import stored
from kaleidobert.index.filters import parse_filters
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.records import StoredView, StoreInfo
from kaleidobert.index.vector_graph import Passing, VectorGraph

SIZE = 8  # of the embeddings of `stored`
RNG = np.random.default_rng(0)


def random_views(first: int, last: int) -> list[StoredView]:
    """Products with these numbers, one view each, at random places."""
    vectors = RNG.standard_normal((last - first, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [stored(f"p{number}", 0, vector) for number, vector in zip(range(first, last), vectors, strict=True)]


@pytest.fixture
def store(tmp_path: Path) -> LanceDBIndex:
    """With an approximate index that is searched as badly as can be, so that nothing else finds what the graph does."""
    store = LanceDBIndex.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", SIZE, 3, 4, "0"))
    store.upsert(random_views(0, 1000))
    store.optimize(index_above=100)
    store.describe(index={**store.info.index, "probes": 1, "refine": 1})
    return store


def held(store: LanceDBIndex) -> VectorGraph:
    store.hold_vectors()
    assert store._graph
    store._graph.update().join()
    return store._graph


def queries() -> np.ndarray:
    return RNG.standard_normal((20, SIZE)).astype(np.float32)


def share_found(store: LanceDBIndex, count: int = 10) -> float:
    """The share of the exact result that is found, in the same order and with the same cosines."""
    shares = []
    for query in queries():
        unit = query / np.linalg.norm(query)
        exact = {each.id: each.cosine for each in store.recall(unit, count, exact=True)}
        found = {each.id: each.cosine for each in store.recall(unit, count)}
        common = [each for each in found if each in exact]
        assert [found[each] for each in common] == pytest.approx([exact[each] for each in common], abs=1e-5)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        shares.append(len(common) / count)
    return float(np.mean(shares))


def test_the_nearest_rows_are_found(store: LanceDBIndex) -> None:
    assert share_found(store) < 0.9
    held(store)
    assert share_found(store) > 0.95


def test_all_rows_can_be_asked_for(store: LanceDBIndex) -> None:
    held(store)
    unit = queries()[0] / np.linalg.norm(queries()[0])
    assert len(store.recall(unit, 5000)) == 1000


def test_writes_of_this_process_are_followed_at_once(store: LanceDBIndex) -> None:
    graph = held(store)
    store.upsert(random_views(0, 50) + random_views(1000, 1100))  # other places of old products, and new ones
    store.delete([f"p{number}" for number in range(500, 600)])
    for query in queries():
        found = graph.nearest(query, 100, ["id"])
        assert found is not None and set(found["id"].to_pylist()) <= set(store.product_ids())
    assert share_found(store) > 0.95


def test_writes_of_others_and_moved_rows_are_followed_in_the_background(store: LanceDBIndex) -> None:
    graph = held(store)
    LanceDBIndex.create(store.uri, store.info).upsert(random_views(0, 50))
    assert graph.nearest(queries()[0], 10, ["id"]) is None  # behind: the table is searched, and the graph updated
    store.upsert(random_views(50, 60))  # too much has been written for this to be all
    assert graph.nearest(queries()[0], 10, ["id"]) is None
    graph.update().join()
    assert share_found(store) > 0.95
    store.optimize()
    graph.update().join()
    assert graph.nearest(queries()[0], 10, ["id"]) is not None
    assert share_found(store) > 0.95


def test_a_version_that_cannot_be_read_is_left_to_the_table(
    store: LanceDBIndex, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = VectorGraph(store._table, lambda: 1, size=SIZE + 1)
    wrong.update().join()
    assert "cannot be held in memory" in caplog.text
    assert wrong.nearest(queries()[0], 10, ["id"]) is None and not wrong._update.is_alive()


def test_what_was_just_written_is_found(store: LanceDBIndex) -> None:
    held(store)
    (view,) = random_views(2000, 2001)
    store.upsert([view])
    assert store.recall(view.vector, 1)[0].id == "p2000"
    store.delete(["p2000"])
    assert store.recall(view.vector, 1)[0].id != "p2000"


def test_rows_that_moved_unnoticed_are_not_taken_for_others(store: LanceDBIndex) -> None:
    graph = held(store)
    version = store._table.version
    behind = VectorGraph(store._table, lambda: version, SIZE)  # sees no new version
    behind.update().join()
    assert behind.nearest(queries()[0], 10, ["id"]) is not None
    store.upsert(random_views(0, 1000))
    store.optimize()
    assert behind.nearest(queries()[0], 10, ["id"]) is None
    graph.update().join()
    assert graph.nearest(queries()[0], 10, ["id"]) is not None


def test_filters_leave_out_what_does_not_pass(store: LanceDBIndex) -> None:
    views = [
        replace(view, product=replace(view.product, category=f"c{n % 3}"))
        for n, view in enumerate(random_views(0, 1000))
    ]
    store.upsert(views)
    graph = held(store)
    table = store._facet_table()
    for text in ("category=c1", "id=p7", "category=none"):
        filters = parse_filters([text])
        passing = Passing(table.hashes, table.mask(filters))
        for query in queries()[:5]:
            unit = query / np.linalg.norm(query)
            exact = store.recall(unit, 10, filters, exact=True)
            assert [each.id for each in store.recall(unit, 10, filters)] == [each.id for each in exact]
            found = graph.nearest(unit, 10, ["id"], passing)
            if text == "category=c1":
                assert found is not None and set(found["id"].to_pylist()) == {each.id for each in exact}
            else:
                assert found is None  # too few pass: the table is searched


def test_a_process_ends_while_embeddings_are_read(store: LanceDBIndex) -> None:
    store.upsert(random_views(1000, 20_000))
    store.describe(index={"kind": "IvfRq", "rows": 1, "probes": 1, "refine": 1})
    code = f"""
import time
from kaleidobert.index.lancedb_store import LanceDBIndex
store = LanceDBIndex.open({store.uri!r})
store.hold_vectors()
while not (store._graph._following.locked() and store._graph._update.is_alive()):
    time.sleep(0.001)
print(store._graph._graph)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
