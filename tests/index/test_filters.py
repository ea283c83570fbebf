"""Filters: what is written, what it means as SQL and in memory."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters, Range, parse_filters
from kaleidobert.index.lancedb_store import Store
from kaleidobert.index.records import StoredView, StoreInfo

PRICES = ("10", "49.99", "50", "50.01", " 7 ", "about 5", "-3", "", "1e3")


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A product of each price, every other one red; the last has two views, and one more has no price."""
    store = Store.create(str(tmp_path_factory.mktemp("priced") / "store"), StoreInfo("f" * 16, "/model", 8, 3, 4, "0"))
    rows = []
    for number, price in enumerate([*PRICES, None]):
        attributes = {
            "colour": ("red", "blue", "green")[number % 3],
            'it\'s "a" (b)': price or "",
            "note": '"price": "20"',
        }
        attributes |= {} if price is None else {"price": price}
        product = Product(id=str(number), title="", category=("Shoes", "Bags")[number % 2], attributes=attributes)
        for view in range(1 + (number == 8)):
            rows.append(StoredView(product, view, np.eye(8, dtype=np.float32)[number % 8], 0.0, np.zeros((3, 4)), b""))
    store.upsert(rows)
    return store


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["price<=50"], "01246"),
        (["price<50"], "0146"),
        (["price>50"], "3"),
        (["price>=50"], "23"),
        (["price=10..50"], "012"),
        (["price=..10"], "046"),
        (["price=49.99.."], "123"),
        (["price>=10", "price<50"], "01"),
        (["price=50"], "2"),
        (["price=about 5"], "5"),
        (['it\'s "a" (b)<0'], "6"),
        (["colour=red", "colour=blue", "price>0"], "0134"),
        (["colour=red", "category=Bags"], "39"),
        (["category=Bags", "category=Shoes", "price<0"], "6"),
        (["colour=pink"], ""),
        (["size>1"], ""),
        ([], "0123456789"),
    ],
)
def test_a_filter_means_the_same_as_sql_and_in_memory(priced: Store, conditions: list[str], expected: str) -> None:
    filters = parse_filters(conditions)
    found = {hit.id for hit in priced.recall(np.ones(8), 20, filters)}
    assert found == set(expected)
    assert priced.count(filters) == len(expected)
    inside = priced.catalogue.mask(filters)
    assert {each for each, passes in zip(priced.catalogue.ids, inside, strict=True) if passes} == set(expected)


def test_a_filter_comes_back_as_it_was_written() -> None:
    filters = parse_filters(["gender=Women", " a = b=c ", "gender=Girls", "price<=50", "price > 10", "year=2010..2014"])
    assert dict(filters.values) == {"a": ("b=c",), "gender": ("Girls", "Women")}
    assert dict(filters.ranges) == {"price": Range(10, 50, with_low=False), "year": Range(2010, 2014)}
    assert parse_filters(filters.to_strings()) == filters and hash(parse_filters(filters.to_strings())) == hash(filters)
    assert filters.names == ["a", "gender", "price", "year"]


def test_values_can_be_added_and_taken_away() -> None:
    filters = parse_filters(["gender=Women", "price<=50"])
    assert filters.adding("gender", "Girls").without("gender", "Women") == parse_filters(["gender=Girls", "price<=50"])
    assert filters.without("gender") == parse_filters(["price<=50"])
    assert not filters.without("gender").without("price")
    assert Filters.of({"colour": "red"}) == parse_filters(["colour=red", "colour=red"])


@pytest.mark.parametrize("bad", ["red", "=red", "", "price<cheap", "price>=", "<5"])
def test_what_is_no_filter_is_one_line(bad: str) -> None:
    with pytest.raises(InputError, match="filter"):
        parse_filters([bad])


def test_an_empty_range_finds_nothing(priced: Store) -> None:
    assert priced.count(parse_filters(["price>50", "price<=50"])) == 0
    assert Range().to_strings("price") == [] and Range().high == math.inf


def test_facets_count_products_not_views(priced: Store) -> None:
    facets = priced.facets()
    assert list(facets) == ["category", "subcategory", "colour", 'it\'s "a" (b)', "note", "price"]
    assert facets["category"] == [("Bags", 5), ("Shoes", 5)]
    assert facets["colour"] == [("red", 4), ("blue", 3), ("green", 3)]
    assert facets["subcategory"] == []  # an empty value is none
    assert json.dumps(facets)
    for value, count in priced.facets(parse_filters(["category=Bags"]), ["colour"])["colour"]:
        assert priced.count(parse_filters(["category=Bags", f"colour={value}"])) == count
    assert priced.facets(names=["colour", "nothing"], ids=["0", "8", "gone"]) == {"colour": [("green", 1), ("red", 1)]}


def test_facets_follow_a_write_at_once(tmp_path: Path) -> None:
    store = Store.create(str(tmp_path / "store"), StoreInfo("f" * 16, "/model", 8, 3, 4, "0"))
    assert store.facets() == {"category": [], "subcategory": []} and store.products() == 0 and not store.words()
    row = StoredView(Product(id="a", title="Red shoe", category="Shoes"), 0, np.ones(8), 0.0, np.zeros((3, 4)), b"")
    store.upsert([row])
    assert store.facets()["category"] == [("Shoes", 1)] and store.words() == {"red": 1, "shoe": 1}
    assert store.delete(["a", "gone"]) == 1
    assert store.facets()["category"] == [] and store.products() == 0
