"""Groups of near-duplicates, and an approximate index that is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kaleidobert.data.product import Product
from kaleidobert.index.lancedb_store import Store
from kaleidobert.index.records import StoredView, StoreInfo
from kaleidobert.index.vector_index import RECALL, tune


def view(product_id: str, title: str, *vector: float, **attributes: str) -> StoredView:
    return views(product_id, title, vector, **attributes)[0]


def views(product_id: str, title: str, *vectors: tuple[float, ...], **attributes: str) -> list[StoredView]:
    product = Product(id=product_id, title=title, attributes=attributes)
    rows = []
    for number, vector in enumerate(vectors):
        values = np.zeros(8, dtype=np.float32)
        values[: len(vector)] = vector
        rows.append(StoredView(product, number, values / np.linalg.norm(values), 0.0, np.zeros((3, 4)), b""))
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", 8, 3, 4, "0"))


def groups(store: Store) -> dict[str, str]:
    return {hit.id: hit.group for hit in store.recall(np.ones(8), 100)}


def test_equal_texts_with_nearly_equal_photos_are_one_group(store: Store) -> None:
    store.upsert([view("a", "Silver ring", 1), view("b", "silver  RING", 1, 0.1), view("far", "silver ring", 1, 1)])
    store.upsert([view("later", "silver ring", 1, 0.05), view("other", "gold ring", 1), view("none", "", 1)])
    found = groups(store)
    assert found["a"] == found["b"] == found["later"]
    assert len(set(found.values())) == 4 and found["none"] == "none"


def test_the_catalogue_s_own_groups_count_whatever_the_photos(store: Store) -> None:
    store.upsert([view("a", "red", 1, item_group_id="7"), view("b", "blue", 0, 1, item_group_id="7")])
    store.upsert([view("c", "red", 1, item_group_id="8")])
    found = groups(store)
    assert found["a"] == found["b"] != found["c"]


def test_a_product_that_changed_leaves_its_group(store: Store) -> None:
    store.upsert([view("a", "ring", 1), view("b", "ring", 1)])
    before = groups(store)
    store.upsert([view("a", "ring", 0, 1)])
    after = groups(store)
    assert before["a"] == before["b"] == after["b"] != after["a"]
    store.upsert([view("a", "ring", 1)])
    assert groups(store) == before


def test_any_view_may_show_that_two_are_one(store: Store) -> None:
    store.upsert(views("a", "ring", (1,), (0, 1)))
    store.upsert(views("b", "ring", (0, 0, 1), (0, 1, 0.05)))
    found = store.recall(np.ones(8), 5)
    assert len({hit.group for hit in found}) == 1 and [hit.views for hit in found] == [2, 2]


def test_words_find_products_by_bm25_with_their_best_view(store: Store) -> None:
    store.upsert([*views("a", "silver ring", (1,), (0, 1)), view("b", "gold ring", 1)])
    for _ in range(2):  # without an index, then with one and a row that is not in it
        found = store.text_recall("silver shoes", 5, vector=np.eye(8, dtype=np.float32)[1])
        assert [(hit.id, hit.view, hit.cosine) for hit, _ in found] == [("a", 1, 1.0)] and found[0][1] > 0
        assert {hit.id for hit, _ in store.text_recall("ring", 5)} >= {"a", "b"}
        assert [hit.id for hit, _ in store.text_recall("ring", 5, {"colour": "red"})] == []
        assert store.text_recall("  ", 5) == []
        store.optimize()
        store.upsert([view("c", "a bronze ring", 1)])
    assert [hit.id for hit, _ in store.text_recall("bronze", 5)] == ["c"]


def test_the_index_is_searched_as_hard_as_its_recall_asks(tmp_path: Path) -> None:
    store = Store.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", 64, 3, 4, "0"))
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((2000, 64)), rng.standard_normal((30, 64)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    products = [Product(id=f"{number:04d}", title="") for number in range(len(vectors))]
    rows = zip(products, vectors, strict=True)
    store.upsert([StoredView(product, 0, vector, 0.0, np.zeros((3, 4)), b"") for product, vector in rows])
    tune(store, queries)
    assert store.info.index == {}  # an exact search
    store.optimize(index_above=100)
    store.describe(index={**store.info.index, "probes": 1, "refine": 1})
    exact = [{hit.id for hit in store.recall(query, 10, exact=True)} for query in queries]

    def share_found() -> float:
        found = [{hit.id for hit in store.recall(query, 10)} for query in queries]
        return float(np.mean([len(one & other) / 10 for one, other in zip(found, exact, strict=True)]))

    assert share_found() < 0.9
    tune(store, queries)
    index = store.info.index
    assert index["kind"] == "IvfRq" and index["rows"] == 2000 and index["recall"] >= RECALL
    assert share_found() == pytest.approx(index["recall"], abs=0.01)
