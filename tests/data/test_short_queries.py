"""Facts of products, and the short queries that are made of them."""

import numpy as np
import pytest

from kaleidobert.data.facts import FactTable, fact_name
from kaleidobert.data.short_queries import mistyped, short_query, worded

FACTS = {"type": "flats", "colour": "black", "person": "women", "brand": "acme", "usage": "casual", "category": "shoes"}


def table(products: int = 30) -> FactTable:
    kinds = [("Flats", "Black", "Women"), ("Sports Shoes", "Red", "Men"), ("Flats", "Red", "Women")]
    chosen = [kinds[row % 3] for row in range(products)]
    attributes = [
        {"baseColour": colour, "gender": person, "articleType": kind, "price": str(row % 4), "sku": f"a-{row}"}
        for row, (kind, colour, person) in enumerate(chosen)
    ]
    return FactTable.of(["Footwear"] * products, ["Shoes"] * products, attributes)


def test_columns_are_facts_under_the_names_of_what_they_hold():
    assert [fact_name(each) for each in ("baseColour", "Product_Type", "vendor", "fit")] == [
        *("colour", "type", "brand", "fit")
    ]
    found = table()
    assert found.names == (
        "category",
        "colour",
        "person",
        "subcategory",
        "type",
    )  # no numbers, no single products' names
    assert found.product(1) == {
        **{"category": "footwear", "colour": "red", "person": "men"},
        **{"subcategory": "shoes", "type": "sports shoes"},
    }


def test_without_a_column_of_types_the_subcategory_is_the_type():
    found = FactTable.of(["Shoes"] * 4, ["Boots", "", "Boots", "Boots"], [{}] * 4)
    assert [found.product(row)["type"] for row in range(2)] == ["boots", "shoes"]


def test_all_products_with_the_facts_of_a_query_fit_it():
    found = table()
    assert np.flatnonzero(found.fitting(found.asked(0, ["type"]))).tolist() == [
        row for row in range(30) if row % 3 in (0, 2)
    ]
    assert np.flatnonzero(found.fitting(found.asked(0, ["type", "colour"]))).tolist() == list(range(0, 30, 3))


def test_queries_name_facts_of_the_product_alone():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        text, names = short_query(FACTS, rng)
        seen.add(tuple(sorted(names)))
        assert 1 <= len(names) <= 3 and set(names) <= set(FACTS)
        words = sum((FACTS[name].split() for name in names), [])
        assert sum(word in text for word in words) >= len(words) - 1  # one may be mistyped
    assert {("type",), ("colour", "type"), ("person", "type"), ("brand", "type"), ("type", "usage")} <= seen


def test_persons_that_nobody_types_are_left_out():
    rng = np.random.default_rng(0)
    texts = [short_query({"type": "watches", "person": "unisex"}, rng).text for _ in range(50)]
    assert not any("unisex" in text for text in texts)
    assert short_query({"person": "unisex"}, rng) is None
    assert short_query({}, rng) is None


def test_persons_are_worded_as_shoppers_do():
    rng = np.random.default_rng(0)
    found = {worded(FACTS, ["person", "type"], rng) for _ in range(60)}
    assert found == {"women flats", "flats for women", "flats women", "women's flats"}


@pytest.mark.parametrize("text", ["flats", "men’s watches", "top", "платья", "a b c"])
def test_typing_errors_change_one_place_of_a_longer_word(text):
    rng = np.random.default_rng(0)
    changed = {mistyped(text, rng) for _ in range(40)}
    assert all(abs(len(each) - len(text)) <= 1 and each[0] == text[0] for each in changed)
    assert (changed == {text}) == (text in ("top", "a b c"))
