"""Filters: how they are written, and that they select the same products as SQL and in memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fixtures.views import stored
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Condition, Filters, parse_filters
from kaleidobert.index.operators import LABELS, OPERATORS, Operator, literals
from kaleidobert.index.protocol import ProductIndex

PRICES = ("10", "49.99", "50", "50.01", " 7 ", "about 5", "-3", "", "1e3")


@pytest.fixture
def priced(index: ProductIndex) -> ProductIndex:
    """Products 0 to 8 with these prices, the last one with two views, and product 9 without a price."""
    rows = []
    for number, price in enumerate([*PRICES, None]):
        attributes = {
            "colour": ("red", "blue", "green")[number % 3],
            'it\'s "a" (b)': price or "",
            "note": '"price": "20"',
        }
        attributes |= {} if price is None else {"price": price}
        labels = {"category": ("Shoes", "Bags")[number % 2], "subcategory": str(number)}
        product = Product(id=str(number), title="", **labels, attributes=attributes)
        rows += [stored(product, view, np.eye(8, dtype=np.float32)[number % 8]) for view in range(1 + (number == 8))]
    index.upsert(rows)
    return index


@pytest.fixture
def selected(priced: ProductIndex) -> Callable[[list[str]], set[str]]:
    """The products that pass, by a search (for LanceDB: as SQL) and by the facet table alike."""

    def ids(conditions: list[str]) -> set[str]:
        filters = parse_filters(conditions)
        found = {hit.id for hit in priced.recall(np.ones(8), 20, filters)}
        assert priced.count(filters) == len(found)
        values = priced.facets(filters, ["subcategory"])["subcategory"]  # each product has its own
        assert {value for value, _ in values} == found
        assert parse_filters(filters.to_strings()) == filters
        return found

    return ids


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["price<=50"], "01246"),
        (["price<50"], "0146"),
        (["price>50"], "38"),
        (["price>=50"], "238"),
        (["price=10..50"], "012"),
        (["price=..10"], "046"),
        (["price=49.99.."], "1238"),
        (["price>=10", "price<50"], "01"),
        (["price=10..50", "price=50..60"], "2"),
        (["price<=50", "price<=10"], "046"),
        (["price>50", "price<=50"], ""),
        (["price=50"], "2"),
        (["price=about 5"], "5"),
        (['it\'s "a" (b)<0'], "6"),
        (["colour=RED", "colour=blue", "price>0"], "0134"),
        (["colour=red", "category=Bags"], "39"),
        (["category=Bags", "category=Shoes", "price<0"], "6"),
        (["subcategory>=8"], "89"),
        (["category<9"], ""),
        (["colour=pink"], ""),
        (["size>1"], ""),
        (["size=M"], ""),
        ([], "0123456789"),
    ],
)
def test_filters_select_the_same_as_sql_and_in_memory(
    selected: Callable[[list[str]], set[str]], conditions: list[str], expected: str
) -> None:
    assert selected(conditions) == set(expected)


ODD = {"a<b": "x", "size": "3..6", "note": '"quoted"', "big": "1000000"}
ODD |= {"price": "\u06f1\u06f9", "accent": "Cre\u0300me"}  # in Persian digits; decomposed


@pytest.mark.parametrize(
    "condition",
    [
        *('"a<b"=x', 'size="3..6"', "price=19", "price<=19", "price=18.5..20", "big>=1e6", "big=1000000"),
        *("accent=Crème", "accent=CREME", "id=odd"),
    ],
)
def test_odd_names_and_values_are_found_and_written_again(index: ProductIndex, condition: str) -> None:
    index.upsert([stored(Product(id="odd", title="", attributes=ODD), 0, np.eye(8, dtype=np.float32)[0])])
    index.upsert([stored(Product(id="other", title="", attributes={"price": "70"}), 0, np.eye(8, dtype=np.float32)[1])])
    filters = parse_filters([condition])
    assert [hit.id for hit in index.recall(np.ones(8), 5, filters)] == ["odd"]
    assert index.count(filters) == 1
    assert parse_filters(filters.to_strings()) == filters
    for name, value in ODD.items():
        own = Filters.of({name: value})
        assert parse_filters(own.to_strings()) == own


def test_an_operator_is_added_in_one_entry(
    selected: Callable[[list[str]], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_equal_sql(name: str, values: tuple[str, ...]) -> str:
        if name in LABELS:
            return f"{name} NOT IN ({literals(values)})"
        return f"NOT array_has_any(facets, make_array({literals(f'{name}={value}' for value in values)}))"

    not_equal = Operator("!=", str, lambda column, values: ~column.has_any(values), not_equal_sql, "!={}".format)
    monkeypatch.setitem(OPERATORS, "!=", not_equal)
    assert selected(["colour!=red"]) == set("124578")
    assert selected(["colour!=red", "colour!=blue", "category=Bags"]) == set("5")
    assert selected(["category!=Bags", "price!=50"]) == set("0468")
    assert selected(["price!=50"]) == set("013456789")  # a product without the attribute does not have this value
    assert selected(["size!=M"]) == set("0123456789")
    filters = parse_filters(["colour!=red", " a != b=c ", "colour=blue"])
    assert filters.to_strings() == ["a!=b=c", "colour!=red", "colour=blue"]
    assert filters.values == {"colour": ("blue",)}


def test_filters_are_written_as_they_were_read() -> None:
    filters = parse_filters(["gender=Women", " a = b=c ", "gender=Girls", "price<=50", "price > 10", "year=2010..2014"])
    assert filters.values == {"a": ("b=c",), "gender": ("Girls", "Women")}
    assert filters.limits("price") == (10, 50) and filters.limits("year") == (2010, 2014)
    assert filters.limits("gender") is None
    written = ["a=b=c", "gender=Girls", "gender=Women", "price<=50", "price>10", "year=2010..2014"]
    assert filters.to_strings() == written
    assert parse_filters(written) == filters and hash(parse_filters(written[::-1])) == hash(filters)
    assert filters.names == ["a", "gender", "price", "year"]


@pytest.mark.parametrize("written", ["price<=12000000", "price>0.1", "price>=-3", "price=..1234567.5", "price=0.5.."])
def test_numbers_are_written_in_full(written: str) -> None:
    assert parse_filters([written]).to_strings() == [written]


def test_open_and_repeated_limits_are_intersected() -> None:
    filters = parse_filters(["price=..100", "price>=10", "price>20"])
    assert filters.limits("price") == (20, 100)
    assert parse_filters(["price>20"]).limits("price") == (20, math.inf)


def test_filters_can_be_split_into_single_conditions() -> None:
    filters = parse_filters(["gender=Women", "gender=Girls", "price<=50"])
    parts = filters.split()
    assert [(name, text) for name, text, _ in parts] == [("gender", "=Girls"), ("gender", "=Women"), ("price", "<=50")]
    assert parts[1][2] == parse_filters(["gender=Girls", "price<=50"])
    assert parts[2][2] == parse_filters(["gender=Women", "gender=Girls"])
    assert not parse_filters(["price<=50"]).split()[0][2]
    assert Filters.of({"colour": "red"}) == parse_filters(["colour=red", "colour=red"])
    assert Filters.of({"colour": []}) == Filters() and Filters.of({"a": "b"}).conditions == (
        Condition("a", "=", ("b",)),
    )


@pytest.mark.parametrize("bad", ["red", "=red", "", "price<cheap", "price>=", "<5"])
def test_invalid_filters_are_refused(bad: str) -> None:
    with pytest.raises(InputError, match="filter") as raised:
        parse_filters([bad])
    assert "\n" not in str(raised.value)
