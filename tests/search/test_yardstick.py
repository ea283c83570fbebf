"""The yardstick of short queries: which are asked, what is relevant, and the metrics."""

import math
from pathlib import Path

import numpy as np
import pytest

from fixtures.shop import Shop
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.search.judged import JudgedQuery, judged_queries, read_judged
from kaleidobert.search.yardstick import bm25, figures_of
from kaleidobert.synthetic.catalogue import sample_look


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


def test_a_file_of_judged_queries(tmp_path: Path) -> None:
    products = [product(row) for row in range(12)]
    file = tmp_path / "judged.yaml"
    file.write_text(
        "- {query: red flats, kind: colour + type, where: {colour: RED, type: Flats}}\n"
        "- {query: dark boots, where: {colour: [black, tan], type: boots}}\n"
        "- {query: that one, ids: ['3', '99']}\n"
        "- {query: green boots, where: {colour: green}}\n"
        "- {query: sandals, where: {heel: high}}\n"
    )
    found, left_out = read_judged(file, products)
    assert [(each.text, each.kind) for each in found] == [
        ("red flats", "colour + type"),
        ("dark boots", "judged"),
        ("that one", "judged"),
    ]
    assert [sorted(each.relevant, key=int) for each in found] == [["4", "10"], ["3", "5", "9", "11"], ["3"]]
    assert left_out == ["green boots", "sandals"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query: boots", "list"),
        ("- {query: boots}", "give 'boots' either where or ids"),
        ("- {query: boots, where: {type: Boots}, ids: ['1']}", "either where or ids"),
        ("- {query: boots, were: {type: Boots}}", "0.were"),
        ("- {query: boots, where: {type: Hats}}", "no product at hand is right"),
        ("- {query: [", "cannot be read"),
        ("- {query: boots, query: bags, ids: ['1']}", "the key 'query' is there twice"),
        ("- {query: boots, kind: all, where: {type: Boots}}", "'all' is the name of the total"),
    ],
)
def test_files_that_judge_nothing_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "judged.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_judged(tmp_path / "judged.yaml", [product(row) for row in range(6)])


def test_the_demo_s_judged_queries_fit_its_products() -> None:
    file = Path(__file__).parents[2] / "benchmarks" / "demo_judged.yaml"
    products = []
    for index in range(1200):
        look = sample_look(np.random.default_rng([0, index]))
        labels = {"category": look.kind.category, "subcategory": look.kind.subcategory}
        products.append(Product(id=str(index), title="", attributes=look.attributes, **labels))
    assert not read_judged(file, products)[1]
