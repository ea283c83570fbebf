"""Stores in LanceDB: opening, indexing, vector index, thumbnails."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.shop import Shop, drawn
from fixtures.source_files import broken_png
from fixtures.views import stored, unit
from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters
from kaleidobert.index.indexer import Indexer, index_catalogue
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.search.ranker import Ranker


def test_an_index_finds_what_the_exact_search_finds(store: LanceDBIndex) -> None:
    vectors = np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    products = [Product(id=f"{i:03d}", title="", attributes={"third": str(i % 3)}) for i in range(600)]
    store.upsert([stored(p, 0, v) for p, v in zip(products, vectors, strict=True)])
    exact = [hit.id for hit in store.recall(unit(1), 10, Filters.of({"third": "1"}))]
    store.optimize(index_above=100)
    store.describe(index={**store.info.index, "refine": 20})  # the index keeps one bit for each of the eight dimensions
    found = [hit.id for hit in store.recall(unit(1), 10, Filters.of({"third": "1"}))]
    assert found[0] == exact[0] and len(set(found) & set(exact)) >= 9  # its clusters are random
    store.upsert([stored("new", 0, unit(1))])  # not yet in the vector index
    assert store.recall(unit(1), 1)[0].id == "new"
    store.optimize(index_above=100)
    assert store.recall(unit(1), 1)[0].id == "new"


def test_an_open_reader_sees_new_rows(store: LanceDBIndex) -> None:
    reader = LanceDBIndex.open(store.uri, refresh_seconds=0)
    version = reader.version
    store.upsert([stored("a", 0, unit(1))])
    assert [hit.id for hit in reader.recall(unit(1), 1)] == ["a"]
    assert reader.version != version


def test_a_missing_store_is_reported_and_creates_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no product store at .*nowhere: make one with `kaleidobert index"):
        LanceDBIndex.open(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="no product store"):
        LanceDBIndex.open(str(tmp_path))
    with pytest.raises(InputError, match="cannot be opened"):
        LanceDBIndex.open("nonsense://x/y")
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_refused(shop: Shop, other_model_folder: Path) -> None:
    with pytest.raises(InputError, match=r"holds embeddings of model \w{16} .*, not of model \w{16} .*: re-index"):
        Ranker.open(shop.uri, other_model_folder)
    with pytest.raises(InputError, match="re-index"):
        Indexer(KaleidoBertScorer.from_pretrained(other_model_folder), shop.uri)


def test_indexing_twice_stores_rows_once(new_shop: Shop) -> None:
    first = new_shop.indexer().index(new_shop.products, batch_size=5)
    second = new_shop.indexer().index(new_shop.products, batch_size=64)
    assert (first["products"], first["views"], first["rows_in_store"]) == (12, 14, 14)
    assert second["rows_in_store"] == 14


def test_indexing_again_replaces_only_the_changed_product(new_shop: Shop) -> None:
    new_shop.indexer().index(new_shop.products)
    new_shop.indexer().index([replace(new_shop.products[0], title="renamed", images=new_shop.products[0].images[:1])])
    store = LanceDBIndex.open(new_shop.uri)
    product, views = store.product("p00") or pytest.fail("gone")
    assert (product.title, views, store.rows()) == ("renamed", [0], 12)


@pytest.mark.parametrize("damaged", [b"no picture", broken_png()])
def test_unreadable_photos_are_counted(new_shop: Shop, damaged: bytes) -> None:
    problems = Problems()
    half = Product(id="half", title="half", images=(damaged, drawn("red", "ellipse")))
    none = Product(id="none", title="none", images=(damaged,))
    figures = new_shop.indexer().index([half, none], problems=problems)
    assert (figures["products"], figures["views"], problems.count) == (1, 1, 2)
    assert "product none: photo 0 cannot be read" in problems.summary()
    assert LanceDBIndex.open(new_shop.uri).product("half")[1] == [1]  # type: ignore[index]


def test_nothing_to_index_is_an_error_and_creates_no_store(new_shop: Shop) -> None:
    with pytest.raises(InputError, match="no product could be indexed"):
        new_shop.indexer().index([Product(id="none", title="none")])
    assert not Path(new_shop.uri).exists()


def test_a_catalogue_file_is_indexed_with_its_thumbnails(new_shop: Shop, catalogue_file: Path) -> None:
    figures = index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri)
    assert (figures["products"], figures["bad_rows"]) == (12, 0)
    store = LanceDBIndex.open(new_shop.uri)
    assert store.info.model == str(new_shop.model_folder)
    assert Image.open(io.BytesIO(store.thumbnails([("p03", 0)])["p03", 0])).size == (60, 80)
    assert [
        hit.id for hit in store.recall(np.ones(16), 5, Filters.of({"colour": "green", "fabric": "silk=cotton"}))
    ] == ["p07"]


def test_a_large_photo_gets_a_small_thumbnail(new_shop: Shop) -> None:
    new_shop.indexer().index([Product(id="big", title="big", images=(drawn("red", "ellipse", (600, 800)),))])
    photo = LanceDBIndex.open(new_shop.uri).thumbnails([("big", 0)])["big", 0]
    assert Image.open(io.BytesIO(photo)).size == (256, 341)
