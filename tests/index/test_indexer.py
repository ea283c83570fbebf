"""Indexing: changed and removed products, and what is kept of photos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fixtures.shop import Shop, drawn, loaded
from kaleidobert.cli.main import app
from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.index.indexer import Indexer, index_catalogue
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.opening import open_index
from kaleidobert.search.ranker import Ranker


def counts(figures: dict) -> tuple[int, int, int]:
    return figures["products"], figures["unchanged"], figures["removed"]


def test_only_what_changed_is_embedded_again(new_shop: Shop) -> None:
    first, second, *others = new_shop.products
    assert counts(new_shop.indexer().index(new_shop.products)) == (12, 0, 0)
    assert counts(new_shop.indexer().index(new_shop.products)) == (0, 12, 0)
    changed = [replace(first, title="renamed"), replace(second, images=(drawn("green", "rectangle"),)), *others]
    assert counts(new_shop.indexer().index(changed)) == (2, 10, 0)
    store = LanceDBIndex.open(new_shop.uri)
    assert store.product("p00")[0].title == "renamed"  # type: ignore[index]
    assert [hit.id for hit, _ in store.text_recall(store.lexicon().terms("renamed"), 5)] == ["p00"]


def test_removed_products_stay_or_are_pruned(new_shop: Shop) -> None:
    new_shop.indexer().index(new_shop.products)
    assert counts(new_shop.indexer().index(new_shop.products[:5])) == (0, 5, 0)
    assert len(LanceDBIndex.open(new_shop.uri).product_ids()) == 12
    assert counts(new_shop.indexer().index(new_shop.products[:5], prune=True)) == (0, 5, 7)
    assert len(LanceDBIndex.open(new_shop.uri).product_ids()) == 5


def test_a_product_with_an_unreadable_photo_is_retried_and_never_pruned(new_shop: Shop) -> None:
    half = Product(id="half", title="half", images=(b"no picture", drawn("red", "ellipse")))
    assert counts(new_shop.indexer().index([half])) == (1, 0, 0)
    problems = Problems()
    assert counts(new_shop.indexer().index([half], problems=problems, prune=True)) == (1, 0, 0)
    assert problems.count == 1
    broken = replace(half, images=(b"no picture",))
    assert counts(new_shop.indexer().index([broken, new_shop.products[0]], prune=True)) == (1, 0, 0)
    assert len(LanceDBIndex.open(new_shop.uri).product_ids()) == 2


def test_nothing_is_pruned_where_rows_cannot_be_read(new_shop: Shop) -> None:
    """The row may belong to a stored product."""
    new_shop.indexer().index(new_shop.products)
    problems = Problems()
    problems.add("catalogue.csv", "row 3", "no id")
    assert counts(new_shop.indexer().index(new_shop.products[:5], problems=problems, prune=True)) == (0, 5, 0)
    assert len(LanceDBIndex.open(new_shop.uri).product_ids()) == 12


def test_products_are_reported_once_a_query_finds_them(new_shop: Shop) -> None:
    acknowledged: list[str] = []

    def on_stored(ids: list[str]) -> None:
        assert set(ids) <= set(LanceDBIndex.open(new_shop.uri).contents())
        acknowledged.extend(ids)

    new_shop.indexer().index(new_shop.products, 5, on_stored=on_stored)
    assert sorted(acknowledged) == [product.id for product in new_shop.products]


def test_a_write_through_the_ranker_s_store_is_seen_by_its_next_query(new_shop: Shop) -> None:
    new_shop.indexer().index(new_shop.products[:3])
    ranker = ranker_with_slow_refresh(new_shop)
    embedder = Embedder(loaded(new_shop.model_folder))
    ranker.store.upsert(embedder.embed(new_shop.products[3:4], 4, Problems()))
    assert "p03" in {hit.product.id for hit in ranker.search("bag")}
    ranker.store.delete(["p03"])
    assert "p03" not in {hit.product.id for hit in ranker.search("bag")}


def ranker_with_slow_refresh(shop: Shop) -> Ranker:
    """A ranker that would see the writes of others only after an hour."""
    store = open_index(shop.uri, refresh_seconds=3600)
    ranker = Ranker(loaded(shop.model_folder), store)
    ranker.search("bag")
    return ranker


@pytest.mark.parametrize("photos", ["thumbnails", "stored", "referenced"])
def test_photos_are_kept_as_requested(new_shop: Shop, catalogue_file: Path, photos: str) -> None:
    index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri, photos=photos)
    store = LanceDBIndex.open(new_shop.uri)
    original = (catalogue_file.parent / "p03.png").read_bytes()
    found = store.photos([("p03", 0), ("gone", 0)], catalogue_file.parent)
    assert set(found) == {("p03", 0)} and store.info.photos == photos
    assert (found["p03", 0] == original) == (photos != "thumbnails")
    if photos == "referenced":
        (catalogue_file.parent / "inside").mkdir()
        for elsewhere in (None, catalogue_file.parent / "inside"):  # the store's word alone opens no file
            assert store.photos([("p03", 0)], elsewhere) == store.thumbnails([("p03", 0)])
        (catalogue_file.parent / "p03.png").unlink()
        assert store.photos([("p03", 0)], catalogue_file.parent) == store.thumbnails([("p03", 0)])
    again = index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri) if photos == "stored" else {}
    assert again.get("unchanged", 12) == 12  # the store's setting is the default
    with pytest.raises(InputError, match=f"keeps photos {photos}, not .*: add --new-version"):
        other = "stored" if photos != "stored" else "thumbnails"
        index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri, photos=other)


def test_photos_without_a_path_cannot_be_kept_by_reference(new_shop: Shop) -> None:
    indexer = Indexer(loaded(new_shop.model_folder), new_shop.uri, photos="referenced")
    with pytest.raises(InputError, match="product p00: its photo is embedded in the catalogue file"):
        indexer.index(new_shop.products)
    with pytest.raises(InputError, match="photos must be one of thumbnails, stored, referenced, not 'all'"):
        Indexer(loaded(new_shop.model_folder), new_shop.uri, photos="all")


def test_the_box_is_the_locked_portion_of_the_photo(new_shop: Shop) -> None:
    new_shop.indexer().index([Product(id="a", title="a", images=(drawn("red", "rectangle", (60, 80)),))])
    (hit,) = LanceDBIndex.open(new_shop.uri).recall(np.ones(16), 1)
    x1, y1, x2, y2 = hit.box
    assert (x2 - x1) * 60 == pytest.approx((y2 - y1) * 80, abs=1e-3)  # a square on the photo
    assert x1 <= 0.2 + 0.02 and x2 >= 0.8 - 0.02 and y1 == pytest.approx(0.2, abs=0.05)  # around the drawn shape


def test_the_command_reports_what_it_did(new_shop: Shop, catalogue_file: Path, other_model_folder: Path) -> None:
    def run(model: Path, *options: str) -> str:
        arguments = [str(catalogue_file), "--model", str(model), "--store", new_shop.uri, *options]
        result = CliRunner().invoke(app, ["index", *arguments], catch_exceptions=False)
        return " ".join(result.output.split())

    assert "indexed 12 products (12 photos)" in run(new_shop.model_folder)
    lines = catalogue_file.read_text().splitlines(keepends=True)
    catalogue_file.write_text("".join(lines[1:]))
    assert "indexed 0 products (0 photos)" in (output := run(new_shop.model_folder, "--prune"))
    assert "11 unchanged, 1 removed; vector search: exact, recall@10 1.000" in output
    with pytest.raises(InputError, match="--new-version"):
        run(other_model_folder)
    figures = catalogue_file.parent / "figures.json"
    assert "indexed 11 products" in run(other_model_folder, "--new-version", "--json", str(figures))
    assert json.loads(figures.read_text())["version"] == 2
