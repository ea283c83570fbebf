"""The approximate vector index and its tuning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaleidobert.data.product import Product
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.records import StoredView, StoreInfo
from kaleidobert.index.vector_index import MIN_RECALL, tune


def test_tuning_finds_settings_with_the_required_recall(tmp_path: Path) -> None:
    store = LanceDBIndex.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", 64, 3, 4, "0"))
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((2000, 64)), rng.standard_normal((30, 64)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    products = [Product(id=f"{number:04d}", title="") for number in range(len(vectors))]
    rows = zip(products, vectors, strict=True)
    store.upsert([StoredView(product, 0, vector, 0.0, np.zeros((3, 4)), b"") for product, vector in rows])
    tune(store, queries)
    assert store.info.index == {}  # the search is exact
    store.optimize(index_above=100)
    store.describe(index={**store.info.index, "probes": 1, "refine": 1})
    exact = [{hit.id for hit in store.recall(query, 10, exact=True)} for query in queries]

    def share_found() -> float:
        found = [{hit.id for hit in store.recall(query, 10)} for query in queries]
        return float(np.mean([len(one & other) / 10 for one, other in zip(found, exact, strict=True)]))

    assert share_found() < 0.9
    tune(store, queries)
    index = store.info.index
    assert index["kind"] == "IvfRq" and index["rows"] == 2000 and index["recall"] >= MIN_RECALL
    assert share_found() == pytest.approx(index["recall"], abs=0.01)
