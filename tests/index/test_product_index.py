"""What every implementation of `ProductIndex` must do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fixtures.views import stored, stored_views, unit
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters, parse_filters
from kaleidobert.index.protocol import ProductIndex


def test_recall_gives_each_product_once_with_its_best_view(index: ProductIndex) -> None:
    one, two = Product(id="one", title="one"), Product(id="two", title="two")
    many = [stored(one, view, unit(1, 0.1 * abs(view - 7))) for view in range(12)]
    index.upsert([*many, stored(two, 0, unit(1, 2))])
    assert [(hit.id, hit.view) for hit in index.recall(unit(1), 2)] == [("one", 7), ("two", 0)]


def test_recall_orders_ties_by_id_and_reports_the_cosine(index: ProductIndex) -> None:
    index.upsert([stored(name, 0, unit(3, 4)) for name in ("c", "a", "b")])
    found = index.recall(unit(1), 3)
    assert [hit.id for hit in found] == ["a", "b", "c"]
    assert found[0].cosine == pytest.approx(0.6, abs=1e-6)


def test_upsert_replaces_and_removes_stale_views_of_its_products_only(index: ProductIndex) -> None:
    index.upsert([stored("a", 0, unit(1)), stored("a", 1, unit(1)), stored("b", 0, unit(1))])
    index.upsert([stored(Product(id="a", title="new"), 0, unit(0, 1))])
    assert index.rows() == 2
    product, views = index.product("a") or pytest.fail("gone")
    assert (product.title, views) == ("new", [0])


def test_upsert_uses_the_last_of_two_products_with_one_id(index: ProductIndex) -> None:
    first, last = Product(id="a", title="first"), Product(id="a", title="last")
    index.upsert([stored(first, 0, unit(1)), stored(first, 1, unit(1)), stored(last, 0, unit(1))])
    product, views = index.product("a") or pytest.fail("gone")
    assert (product.title, views) == ("last", [0])


@pytest.mark.parametrize("value", ["Red", "it's", "100%", 'a "b"', "x' OR '1'='1", "silk=cotton", "naïve; --", ""])
def test_filters_match_any_value_exactly(index: ProductIndex, value: str) -> None:
    labels = {"category": value, "subcategory": value, "attributes": {"it's a": value}}
    index.upsert([stored(Product(id="yes", title="", **labels), 0, unit(1)), stored("no", 0, unit(1))])
    filters = Filters.of({"it's a": value, **({"category": value, "subcategory": value} if value else {})})
    found = index.recall(unit(1), 5, filters)
    assert [hit.id for hit in found] == ["yes"]
    assert found[0].attributes == {"it's a": value}


def test_all_filters_must_hold(index: ProductIndex) -> None:
    red = Product(id="red", title="", category="Shoes", attributes={"colour": "Red"})
    index.upsert([stored(red, 0, unit(1)), stored("other", 0, unit(1))])
    assert len(index.recall(unit(1), 5, Filters.of({"category": "Shoes", "colour": "Red"}))) == 1
    assert index.recall(unit(1), 5, Filters.of({"category": "Shoes", "colour": "Blue"})) == []
    assert index.filter_names() == ["category", "subcategory", "colour"]


def test_views_are_looked_up_by_key(index: ProductIndex) -> None:
    index.upsert([stored("a", 0, unit(1)), stored("a", 1, unit(1)), stored("b'", 0, unit(1))])
    keys = [("a", 1), ("b'", 0), ("gone", 0)]
    states = index.states(keys)
    assert set(states) == {("a", 1), ("b'", 0)} == set(index.vectors(keys)) == set(index.boxes(keys))
    np.testing.assert_array_equal(states["a", 1], np.ones((3, 4), dtype=np.float32))
    assert index.thumbnails([("a", 1)]) == {("a", 1): b"jpeg 1"} == index.photos([("a", 1)])
    assert index.thumbnails([]) == {}
    assert index.product("gone") is None


def test_an_empty_index_finds_nothing(index: ProductIndex) -> None:
    assert index.recall(unit(1), 5) == []
    assert index.facets() == {"category": [], "subcategory": []}
    assert list(index.product_ids()) == [] == index.titles() and not index.words()


def test_every_write_is_found_at_once_and_changes_the_version(index: ProductIndex) -> None:
    versions = [index.version]
    index.upsert([stored(Product(id="a", title="Red shoe", category="Shoes"), 0, unit(1))])
    versions.append(index.version)
    assert index.facets()["category"] == [("Shoes", 1)]
    assert "red" in index.words() and "shoe" in index.words() and "blue" not in index.words()
    assert index.titles() == ["Red shoe"] and list(index.product_ids()) == ["a"]
    assert index.delete(["a", "gone"]) == 1
    versions.append(index.version)
    assert index.facets()["category"] == [] and list(index.product_ids()) == []
    assert len(set(versions)) == 3


def test_facets_count_products_not_views(index: ProductIndex) -> None:
    for number in range(10):
        colour = ("red", "blue", "green")[number % 3]
        product = Product(id=str(number), title="", category=("Shoes", "Bags")[number % 2], attributes={"c": colour})
        index.upsert([stored(product, view, unit(1)) for view in range(1 + (number == 8))])
    facets = index.facets()
    assert facets["category"] == [("Bags", 5), ("Shoes", 5)]
    assert facets["c"] == [("red", 4), ("blue", 3), ("green", 3)]
    assert facets["subcategory"] == []  # an empty value is not counted
    assert json.dumps(facets)
    for value, count in index.facets(parse_filters(["category=Bags"]), ["c"])["c"]:
        assert index.count(parse_filters(["category=Bags", f"c={value}"])) == count
    assert index.facets(names=["c", "nothing"], ids=["0", "8", "gone"]) == {"c": [("green", 1), ("red", 1)]}


def test_full_text_finds_products_with_their_best_view(index: ProductIndex) -> None:
    index.upsert([*stored_views("a", "silver ring", (1,), (0, 1)), *stored_views("b", "gold ring", (1,))])
    for _ in range(2):  # LanceDB: without a full-text index, then with one and a row that it lacks
        found = index.text_recall(index.lexicon().terms("silver shoes"), 5, vector=np.eye(8, dtype=np.float32)[1])
        assert [(hit.id, hit.view, hit.cosine) for hit, _ in found] == [("a", 1, 1.0)] and found[0][1] > 0
        assert {hit.id for hit, _ in index.text_recall(index.lexicon().terms("ring"), 5)} >= {"a", "b"}
        assert index.text_recall(index.lexicon().terms("ring"), 5, Filters.of({"colour": "red"})) == []
        assert index.text_recall(index.lexicon().terms("  "), 5) == []
        index.optimize()
        index.upsert(stored_views("c", "a bronze ring", (1,)))
    assert [hit.id for hit, _ in index.text_recall(index.lexicon().terms("bronze"), 5)] == ["c"]


def groups(index: ProductIndex) -> dict[str, str]:
    return {hit.id: hit.group for hit in index.recall(np.ones(8), 100)}


def test_equal_texts_with_nearly_equal_photos_are_one_group(index: ProductIndex) -> None:
    index.upsert(stored_views("a", "Silver ring", (1,)) + stored_views("b", "silver  RING", (1, 0.1)))
    index.upsert(stored_views("far", "silver ring", (1, 1)) + stored_views("later", "silver ring", (1, 0.05)))
    index.upsert(stored_views("other", "gold ring", (1,)) + stored_views("none", "", (1,)))
    found = groups(index)
    assert found["a"] == found["b"] == found["later"]
    assert len(set(found.values())) == 4 and found["none"] == "none"


def test_groups_named_by_the_catalogue_do_not_depend_on_photos(index: ProductIndex) -> None:
    index.upsert(
        stored_views("a", "red", (1,), item_group_id="7") + stored_views("b", "blue", (0, 1), item_group_id="7")
    )
    index.upsert(stored_views("c", "red", (1,), item_group_id="8"))
    found = groups(index)
    assert found["a"] == found["b"] != found["c"]


def test_a_product_that_changed_leaves_its_group(index: ProductIndex) -> None:
    index.upsert(stored_views("a", "ring", (1,)) + stored_views("b", "ring", (1,)))
    before = groups(index)
    index.upsert(stored_views("a", "ring", (0, 1)))
    after = groups(index)
    assert before["a"] == before["b"] == after["b"] != after["a"]
    index.upsert(stored_views("a", "ring", (1,)))
    assert groups(index) == before


def test_any_pair_of_similar_views_groups_two_products(index: ProductIndex) -> None:
    index.upsert(stored_views("a", "ring", (1,), (0, 1)))
    index.upsert(stored_views("b", "ring", (0, 0, 1), (0, 1, 0.05)))
    found = index.recall(np.ones(8), 5)
    assert len({hit.group for hit in found}) == 1 and [hit.views for hit in found] == [2, 2]


def test_another_model_is_refused(index: ProductIndex) -> None:
    index.check_model("f" * 16, "/model")
    with pytest.raises(
        InputError, match=r"holds embeddings of model f{16} \(/model\), not of model other .*: re-index"
    ):
        index.check_model("other", "/other")


def test_the_members_of_groups_have_their_first_views(index: ProductIndex) -> None:
    sizes = [Product(id=f"it's {size}", title="skirt", attributes={"item_group_id": "skirt"}) for size in ("s", "m")]
    views = [stored(product, view, unit(1)) for product in sizes for view in (1, 0)]
    index.upsert([*views, stored(Product(id="hat", title="hat"), 0, unit(1))])
    found = index.members([index.product("it's s")[0].group, "none"])
    assert [(each.id, each.view, each.views) for each in found] == [("it's m", 0, 2), ("it's s", 0, 2)]
    assert len(index.members({each.group for each in index.recall(unit(1), 3)})) == 3
    assert index.members([]) == []
