import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.shop import Shop, drawn
from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.indexer import Indexer, index_catalogue
from kaleidobert.index.lancedb_store import Store
from kaleidobert.index.records import StoredView, StoreInfo, parse_filters
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.search.ranker import Ranker


def unit(*values: float) -> np.ndarray:
    vector = np.zeros(8, dtype=np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def stored(product: Product | str, view: int, vector: np.ndarray) -> StoredView:
    if isinstance(product, str):
        product = Product(id=product, title=product)
    return StoredView(product, view, vector, 0.25, np.full((3, 4), view, dtype=np.float16), b"jpeg %d" % view)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", 8, 3, 4, "0"))


def test_recall_gives_each_product_once_with_its_best_view(store: Store) -> None:
    one, two = Product(id="one", title="one"), Product(id="two", title="two")
    many = [stored(one, view, unit(1, 0.1 * abs(view - 7))) for view in range(12)]
    store.upsert([*many, stored(two, 0, unit(1, 2))])
    assert [(hit.id, hit.view) for hit in store.recall(unit(1), 2)] == [("one", 7), ("two", 0)]


def test_recall_orders_ties_by_id_and_reports_the_cosine(store: Store) -> None:
    store.upsert([stored(name, 0, unit(3, 4)) for name in ("c", "a", "b")])
    found = store.recall(unit(1), 3)
    assert [hit.id for hit in found] == ["a", "b", "c"]
    assert found[0].cosine == pytest.approx(0.6, abs=1e-6)


def test_upsert_replaces_and_removes_stale_views_of_its_products_only(store: Store) -> None:
    store.upsert([stored("a", 0, unit(1)), stored("a", 1, unit(1)), stored("b", 0, unit(1))])
    store.upsert([stored(Product(id="a", title="new"), 0, unit(0, 1))])
    assert store.rows() == 2
    product, views = store.product("a") or pytest.fail("gone")
    assert (product.title, views) == ("new", [0])


def test_upsert_takes_the_last_of_two_products_with_one_id(store: Store) -> None:
    first, last = Product(id="a", title="first"), Product(id="a", title="last")
    store.upsert([stored(first, 0, unit(1)), stored(first, 1, unit(1)), stored(last, 0, unit(1))])
    product, views = store.product("a") or pytest.fail("gone")
    assert (product.title, views) == ("last", [0])


@pytest.mark.parametrize("value", ["Red", "it's", "100%", 'a "b"', "x' OR '1'='1", "silk=cotton", "naïve; --", ""])
def test_filters_match_exactly_whatever_the_value(store: Store, value: str) -> None:
    labels = {"category": value, "subcategory": value, "attributes": {"it's a": value}}
    store.upsert([stored(Product(id="yes", title="", **labels), 0, unit(1)), stored("no", 0, unit(1))])
    found = store.recall(unit(1), 5, {"it's a": value, **({"category": value, "subcategory": value} if value else {})})
    assert [hit.id for hit in found] == ["yes"]
    assert found[0].attributes == {"it's a": value}


def test_filters_all_have_to_hold(store: Store) -> None:
    red = Product(id="red", title="", category="Shoes", attributes={"colour": "Red"})
    store.upsert([stored(red, 0, unit(1)), stored("other", 0, unit(1))])
    assert len(store.recall(unit(1), 5, {"category": "Shoes", "colour": "Red"})) == 1
    assert store.recall(unit(1), 5, {"category": "Shoes", "colour": "Blue"}) == []
    assert store.filter_names() == ["category", "subcategory", "colour"]


def test_states_and_thumbnails_come_back_for_exactly_the_views_asked(store: Store) -> None:
    store.upsert([stored("a", 0, unit(1)), stored("a", 1, unit(1)), stored("b'", 0, unit(1))])
    states = store.states([("a", 1), ("b'", 0), ("gone", 0)])
    assert set(states) == {("a", 1), ("b'", 0)}
    np.testing.assert_array_equal(states["a", 1], np.ones((3, 4), dtype=np.float32))
    assert store.thumbnails([("a", 1)]) == {("a", 1): b"jpeg 1"}
    assert store.thumbnails([]) == {}


def test_an_index_finds_what_the_exact_search_finds(store: Store) -> None:
    vectors = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    products = [Product(id=f"{i:03d}", title="", attributes={"third": str(i % 3)}) for i in range(600)]
    store.upsert([stored(p, 0, v) for p, v in zip(products, vectors, strict=True)])
    exact = [hit.id for hit in store.recall(unit(1), 10, {"third": "1"})]
    store.optimize(index_above=100)
    store.describe(index={**store.info.index, "refine": 20})  # eight dimensions are eight bits only
    found = [hit.id for hit in store.recall(unit(1), 10, {"third": "1"})]
    assert found[0] == exact[0] and len(set(found) & set(exact)) >= 9  # its clusters are drawn anew each time
    store.upsert([stored("new", 0, unit(1))])  # not in the index yet
    assert store.recall(unit(1), 1)[0].id == "new"
    store.optimize(index_above=100)
    assert store.recall(unit(1), 1)[0].id == "new"


def test_an_open_reader_sees_new_rows(store: Store) -> None:
    reader = Store.open(store.uri, refresh_seconds=0)
    version = reader.version
    store.upsert([stored("a", 0, unit(1))])
    assert [hit.id for hit in reader.recall(unit(1), 1)] == ["a"]
    assert reader.version != version


def test_an_empty_store_finds_nothing(store: Store) -> None:
    assert store.recall(unit(1), 5) == []
    assert store.subcategories() == []


def test_a_missing_store_is_one_line_and_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no product store at .*nowhere: make one with `kaleidobert index"):
        Store.open(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no product store"):
        Store.open(str(tmp_path))
    with pytest.raises(InputError, match="cannot be opened"):
        Store.open("nonsense://x/y")
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_refused(shop: Shop, other_model_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds vectors of model \w{16} .*, not of model \w{16} .*: re-index"):
        Ranker.open(shop.uri, other_model_folder)
    with pytest.raises(InputError, match="re-index"):
        Indexer(KaleidoBertScorer.from_pretrained(other_model_folder), shop.uri)


def test_indexing_twice_does_not_double(new_shop: Shop) -> None:
    first = new_shop.indexer().index(new_shop.products, batch_size=5)
    second = new_shop.indexer().index(new_shop.products, batch_size=64)
    assert (first["products"], first["views"], first["rows_in_store"]) == (12, 14, 14)
    assert second["rows_in_store"] == 14


def test_indexing_again_changes_a_title_and_leaves_the_rest(new_shop: Shop) -> None:
    new_shop.indexer().index(new_shop.products)
    new_shop.indexer().index([replace(new_shop.products[0], title="renamed", images=new_shop.products[0].images[:1])])
    store = Store.open(new_shop.uri)
    product, views = store.product("p00") or pytest.fail("gone")
    assert (product.title, views, store.rows()) == ("renamed", [0], 12)


def test_photos_that_cannot_be_read_are_counted(new_shop: Shop) -> None:
    problems = Problems()
    half = Product(id="half", title="half", images=(b"no picture", drawn("red", "ellipse")))
    none = Product(id="none", title="none", images=(b"no picture",))
    figures = new_shop.indexer().index([half, none], problems=problems)
    assert (figures["products"], figures["views"], problems.count) == (1, 1, 2)
    assert "product none: photo 0 cannot be read" in problems.summary()
    assert Store.open(new_shop.uri).product("half")[1] == [1]  # type: ignore[index]


def test_nothing_to_index_is_an_error_and_makes_no_store(new_shop: Shop) -> None:
    with pytest.raises(InputError, match="no product could be indexed"):
        new_shop.indexer().index([Product(id="none", title="none")])
    assert not Path(new_shop.uri).exists()


def test_a_catalogue_file_is_indexed_with_its_thumbnails(new_shop: Shop, catalogue_file: Path) -> None:
    figures = index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri)
    assert (figures["products"], figures["bad_rows"]) == (12, 0)
    store = Store.open(new_shop.uri)
    assert store.info.model == str(new_shop.model_folder)
    assert Image.open(io.BytesIO(store.thumbnails([("p03", 0)])["p03", 0])).size == (60, 80)
    assert [hit.id for hit in store.recall(np.ones(16), 5, {"colour": "green", "fabric": "silk=cotton"})] == ["p07"]


def test_a_large_photo_gets_a_small_thumbnail(new_shop: Shop) -> None:
    new_shop.indexer().index([Product(id="big", title="big", images=(drawn("red", "ellipse", (600, 800)),))])
    photo = Store.open(new_shop.uri).thumbnails([("big", 0)])["big", 0]
    assert Image.open(io.BytesIO(photo)).size == (256, 341)


def test_filters_are_written_name_equals_value() -> None:
    assert parse_filters(["a=b", " c = d=e "]) == {"a": "b", "c": "d=e"}
    for bad in (["red"], ["=red"], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="filter"):
            parse_filters(bad)
