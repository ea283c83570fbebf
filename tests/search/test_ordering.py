"""Sorting, grouping and rank fusion of hits."""

from kaleidobert.index.records import Candidate
from kaleidobert.search.ordering import collapse_groups, fused, mentions, sorted_by
from kaleidobert.search.query import Hit


def product(product_id: str, group: str = "", **attributes: str) -> Candidate:
    return Candidate(product_id, 0, product_id, "", "", "", attributes, 0.0, 0.0, group=group)


def test_numeric_values_are_sorted_as_numbers_and_missing_ones_come_last() -> None:
    hits = [Hit(0, product(each, price=price), 0.0, 0.5) for each, price in (("a", "10"), ("b", "9.5"), ("c", ""))]
    assert [hit.product.id for hit in sorted_by(hits, "price")] == ["b", "a", "c"]
    assert [hit.product.id for hit in sorted_by(hits, "-price")] == ["a", "b", "c"]


def test_a_group_is_collapsed_into_one_hit() -> None:
    hits = [Hit(0, product(each, group), 0.0, 0.5) for each, group in (("a", "g"), ("b", ""), ("c", "g"), ("d", "g"))]
    assert [(hit.product.id, hit.variants) for hit in collapse_groups(hits)] == [("a", 2), ("b", 0)]


def test_rank_fusion_moves_full_text_matches_to_the_front() -> None:
    hits = [Hit(0, product(each), score, 0.5) for each, score in (("a", -1.0), ("b", -2.0), ("c", -3.0))]
    assert [h.product.id for h in sorted(fused(hits, ["c"], 0.9), key=lambda h: -h.score)] == ["c", "a", "b"]
    assert [h.product.id for h in sorted(fused(hits, ["c"], 0.0), key=lambda h: -h.score)] == ["a", "b", "c"]


def test_only_whole_words_count_as_mentions() -> None:
    assert mentions(product("Red T-Shirt"), "t-shirt") and not mentions(product("Redwood"), "red")
