"""The yardstick of short queries: which are asked, what is relevant, and the metrics."""

import math

import numpy as np
import pytest

from fixtures.shop import Shop
from kaleidobert.data.product import Product
from kaleidobert.search.yardstick import JudgedQuery, bm25, figures_of, judged_queries


def product(row: int) -> Product:
    kind, colour = ("Flats", "Boots")[row % 2], ("Black", "Red", "Tan")[row % 3]
    return Product(
        id=str(row),
        title=f"Acme {row}",
        subcategory="Shoes",
        attributes={"type": kind, "colour": colour, "sku": f"s{row}"},
    )


def test_relevance_is_by_facts_and_never_by_title() -> None:
    products = [product(row) for row in range(24)]
    judged = judged_queries(products, 100)
    assert {each.kind for each in judged} == {"type", "colour + type"}  # neither person, brand nor usage
    for each in judged:
        expected = {
            other.id
            for other in products
            if all(value.lower() in each.text for value in list(other.attributes.values())[:2])
        }
        if each.kind == "colour + type":
            assert each.relevant == expected and len(expected) == 4
    assert [each.text for each in judged] == [each.text for each in judged_queries(products, 100)]
    assert len(judged_queries(products, 3)) == 3
    assert judged_queries(products[:4], 100) == []  # each query fits fewer than three


def test_metrics_by_hand() -> None:
    judged = [JudgedQuery("a", "type", frozenset("xyz")), JudgedQuery("b", "type", frozenset("q"))]
    found = figures_of([["x", "-", "y"], []], judged)
    gain, ideal = 1 + 1 / math.log2(4), 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found == pytest.approx({"P@1": 0.5, "P@10": (2 / 3) / 2, "nDCG@10": gain / ideal / 2})


def test_bm25_by_hand() -> None:
    score = bm25(["red shoes", "red red boot", "a blue boot"])
    lengths, idf = np.array([2, 3, 3]), math.log(1 + 1.5 / 2.5)
    norm = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    expected = [idf * 2.2 / (1 + norm[0]), idf * 2 * 2.2 / (2 + norm[1]), 0]
    assert score("red") == pytest.approx(expected)
    assert score("Reds unknown") == pytest.approx(expected)
    assert score("nothing") == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("shop", ["memory"], indirect=True)
def test_the_judged_products_are_those_of_the_store(shop: Shop) -> None:
    judged = judged_queries(shop.products, 50)
    assert judged and all(each.relevant <= {other.id for other in shop.products} for each in judged)
