"""Versions of a store: built beside the current one, switched atomically, dropped after a grace period."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import lancedb
import numpy as np
import pytest

from fixtures.shop import Shop, loaded
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index import versions
from kaleidobert.index.indexer import Indexer
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.records import StoredView, StoreInfo

NOW = timedelta(0)


def info(fingerprint: str, size: int = 8) -> StoreInfo:
    return StoreInfo(fingerprint, f"/{fingerprint}", size, 3, 4, "0")


def view(product_id: str, size: int = 8) -> StoredView:
    vector = np.eye(size, dtype=np.float32)[0]
    return StoredView(Product(id=product_id, title=product_id), 0, vector, 0.0, np.zeros((3, 4)), b"jpeg")


def test_a_new_version_is_searched_only_after_publish(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    old = LanceDBIndex.create(uri, info("old"))
    old.upsert([view("a")])
    new = LanceDBIndex.create(uri, info("new", size=16), new_version=True)
    new.upsert([view("b", 16)])
    reader = LanceDBIndex.open(uri, refresh_seconds=0)
    assert [hit.id for hit in reader.recall(np.ones(8), 5)] == ["a"] and not reader.superseded
    new.publish()
    assert reader.superseded and reader.info.fingerprint == "old"
    assert [hit.id for hit in reader.recall(np.ones(8), 5)] == ["a"]  # it stays with its version
    later = LanceDBIndex.open(uri)
    assert [hit.id for hit in later.recall(np.ones(16), 5)] == ["b"] and later.info.fingerprint == "new"
    assert not later.superseded and later.version != reader.version


def test_an_unfinished_version_is_continued_only_by_its_model(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    LanceDBIndex.create(uri, info("old"))
    numbers = [LanceDBIndex.create(uri, info(name), new_version=True).number for name in ("new", "new", "other")]
    assert numbers == [2, 2, 3]


def test_old_versions_are_dropped_after_the_grace_period(tmp_path: Path) -> None:
    uri = str(tmp_path / "store")
    old = LanceDBIndex.create(uri, info("old"))
    old.upsert([view("a")])
    new = LanceDBIndex.create(uri, info("new"), new_version=True)
    new.publish()
    assert new.drop_old_versions() == [] and old.rows() == 1
    assert new.drop_old_versions(NOW) == [1] and new.drop_old_versions(NOW) == []
    with pytest.raises(InputError, match="version 1 of the store .* has been dropped: open the store again"):
        _ = LanceDBIndex.open(uri) and old.info
    assert LanceDBIndex.create(uri, info("third"), new_version=True).number == 3


def test_a_reader_is_not_affected_while_a_new_version_is_built(new_shop: Shop, other_model_folder: Path) -> None:
    new_shop.indexer().index(new_shop.products)
    ranker = new_shop.ranker()
    before = [hit.product.id for hit in ranker.search("red bag", top=12)]
    answers: list[list[str]] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            answers.append([hit.product.id for hit in ranker.search("red bag", top=12)])

    searching = threading.Thread(target=search)
    searching.start()
    other = loaded(other_model_folder)
    figures = Indexer(other, new_shop.uri, new_version=True).index(new_shop.products, 2)
    done.set()
    searching.join()
    assert answers and all(answer == before for answer in answers)
    assert (figures["version"], figures["products"], figures["left_behind"]) == (2, 12, 0)
    assert ranker.store.superseded
    assert LanceDBIndex.open(new_shop.uri).info.fingerprint == other.fingerprint


@pytest.mark.parametrize(("photos", "found"), [("stored", 12), ("thumbnails", 6)])
def test_products_missing_from_the_new_catalogue(
    new_shop: Shop, other_model_folder: Path, photos: str, found: int
) -> None:
    """They are carried over if their photos are stored; otherwise they are counted."""
    Indexer(loaded(new_shop.model_folder), new_shop.uri, photos=photos).index(new_shop.products)
    before = LanceDBIndex.open(new_shop.uri)
    newer = Indexer(loaded(other_model_folder), new_shop.uri, new_version=True)
    figures = newer.index(new_shop.products[6:])
    after = LanceDBIndex.open(new_shop.uri)
    assert len(after.product_ids()) == found and figures["left_behind"] == 12 - found
    assert after.info.photos == photos
    if photos == "stored":
        one, other = before.product("p00"), after.product("p00")
        assert (
            one
            and other
            and (one[0].title, one[0].attributes, one[1]) == (other[0].title, other[0].attributes, [0, 1, 2])
        )


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """For example a service that stores products while an indexer runs."""
    writers = [LanceDBIndex.create(str(tmp_path / "store"), info("old")) for _ in range(2)]

    def write(number: int) -> None:
        for each in range(15):
            writers[number].upsert([view(f"{number}-{each}"), view(f"both-{each}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = LanceDBIndex.open(writers[0].uri).contents()
    assert set(rows) >= {f"{number}-{each}" for number in range(2) for each in range(15)}
    assert LanceDBIndex.open(writers[0].uri).rows() == 45  # no duplicates


def test_the_description_can_be_changed_in_place(tmp_path: Path) -> None:
    store = LanceDBIndex.create(str(tmp_path / "store"), info("old"))
    reader = LanceDBIndex.open(store.uri, refresh_seconds=0)
    store.describe(calibration={"weak": 0.2})
    assert reader.info.calibration == {"weak": 0.2} and reader.info.fingerprint == "old"


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    import lancedb

    lancedb.connect(str(tmp_path / "first")).create_table("products", [{"id": "a"}])
    with pytest.raises(InputError, match="older store format: re-index"):
        LanceDBIndex.open(str(tmp_path / "first"))
    for _ in range(2):  # created, then opened again
        with pytest.raises(InputError, match="has store format 99, this version of kaleidobert reads"):
            LanceDBIndex.create(str(tmp_path / "later"), StoreInfo("f", "/f", 8, 3, 4, "0", format=99))


@pytest.mark.parametrize("scheme", ["memory://", "file://"])
def test_an_address_instead_of_a_folder(tmp_path: Path, scheme: str) -> None:
    store = LanceDBIndex.create(f"{scheme}{tmp_path}/store", info("old"))
    store.upsert([view("a"), view("b")])
    assert store.delete(["a"]) == 1
    store.optimize()
    assert [hit.id for hit in store.recall(np.ones(8), 5)] == ["b"]
    if scheme == "file://":  # an in-memory database cannot be opened again
        assert LanceDBIndex.open(store.uri).rows() == LanceDBIndex.open(str(tmp_path / "store")).rows() == 1


def test_a_store_cannot_name_a_table_elsewhere(tmp_path: Path) -> None:
    LanceDBIndex.create(str(tmp_path / "store"), info("one"))
    lancedb.connect(tmp_path / "store").open_table("versions").update(values={"table": "../other/products-1"})
    with pytest.raises(InputError, match="is damaged: it names the table '../other/products-1'"):
        LanceDBIndex.open(str(tmp_path / "store"))


def test_what_is_cached_of_earlier_writes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "METADATA_CACHE", 2**18)
    store = LanceDBIndex.create(str(tmp_path / "store"), info("old"))
    for _ in range(40):
        store.upsert([view("a")])
        store.recall(np.ones(8), 5)
    assert 0 < store._versions.caches.size_bytes < 2**19  # each write adds 90 kB
