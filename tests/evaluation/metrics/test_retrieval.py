"""Retrieval metrics on hand-written tables and for uninformative scorers, and the candidates of protocol ``101``."""

import numpy as np
import pytest

from kaleidobert.evaluation.metrics.retrieval import (
    draw_candidates,
    partner_ranks,
    recall,
    recall_intervals,
    retrieval_figures,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "rank"),
    [
        ([0.9, 0.1, 0.2], 1),
        ([0.2, 0.1, 0.9], 2),
        ([0.1, 0.2, 0.9], 3),
        ([0.5, 0.5, 0.1], 2),  # a tie counts against the model
        ([0.5, 0.5, 0.5], 3),
        ([NAN, 0.5, 0.1], 3),  # NaN for the correct candidate ranks it last
        ([0.9, NAN, 0.1], 2),  # NaN for another candidate ranks that one first
        ([NAN, NAN, NAN], 3),
        ([-np.inf, -np.inf, 0.0], 3),
        ([0.3], 1),
    ],
)
def test_the_rank_of_the_partner(scores, rank):
    assert partner_ranks(np.array([scores])).tolist() == [rank]


def test_each_row_is_ranked_by_itself():
    assert partner_ranks(np.array([[3, 1, 2], [1, 2, 3], [2, 1, 3]])).tolist() == [1, 3, 2]


def test_recall_counts_ranks_up_to_k_in_percent():
    assert recall(np.array([1, 2, 5, 6, 11])) == {"R@1": 20.0, "R@5": 60.0, "R@10": 80.0}


def test_figures_of_both_directions_and_their_sum():
    figures = retrieval_figures(np.array([1, 1, 2, 20]), np.array([3, 7, 11, 1]))
    assert figures["TIR"] == {"R@1": 50.0, "R@5": 75.0, "R@10": 75.0}
    assert figures["ITR"] == {"R@1": 25.0, "R@5": 50.0, "R@10": 75.0}
    assert figures["SumR"] == 350.0


@pytest.mark.parametrize("value", [0.0, 1.0, NAN, np.inf])
def test_a_constant_scorer_never_beats_chance(value):
    ranks = partner_ranks(np.full((50, 101), value))
    chance = {"R@1": 100 / 101, "R@5": 500 / 101, "R@10": 1000 / 101}
    assert all(recall(ranks)[key] <= chance[key] for key in chance)


def test_a_random_scorer_gets_chance():
    ranks = partner_ranks(np.random.default_rng(0).random((4000, 101)))
    assert recall(ranks) == pytest.approx({"R@1": 1.0, "R@5": 5.0, "R@10": 9.9}, abs=1.2)


# 0 and 1 have equal texts; 2 to 4 share their sub-category, 5 and 6 their category; 7 has a sub-category of the same
# name in another category.
TEXTS = ["Red  Shirt", "red shirt", "blue shirt", "green shirt", "grey shirt", "jeans", "skirt", "shoe", "boot"]
CATEGORIES = ["wear"] * 7 + ["feet"] * 2
SUBCATEGORIES = ["top"] * 5 + ["bottom"] * 2 + ["top", "boot"]


def drawn(others, seed=0, queries=(0,)):
    return draw_candidates(TEXTS, CATEGORIES, SUBCATEGORIES, queries, others, seed)


@pytest.mark.parametrize("seed", range(10))
def test_candidates_come_from_the_nearest_group_first(seed):
    (row,) = drawn(7, seed).tolist()
    assert row[0] == 0
    assert set(row[1:4]) == {2, 3, 4}  # the sub-category, without the equal text
    assert set(row[4:6]) == {5, 6}  # then the category
    assert set(row[6:8]) == {7, 8}  # then the rest, including the sub-category of the same name in another category


def test_texts_that_differ_in_case_and_spaces_only_are_never_candidates():
    rows = drawn(100, queries=range(9))
    for query, row in enumerate(rows.tolist()):
        assert row[0] == query
        others = [candidate for candidate in row[1:] if candidate >= 0]
        assert len(set(others)) == len(others)
        equal = {0, 1} if query < 2 else {query}
        assert set(others) == set(range(9)) - equal


def test_rows_with_fewer_others_are_filled_with_minus_one():
    rows = drawn(100, queries=[1, 2])
    assert rows.shape == (2, 9)
    assert (rows[0] >= 0).tolist() == [True] * 8 + [False] and rows[0, -1] == -1
    assert (rows[1] >= 0).all()


def test_the_draw_is_reproducible_and_the_seed_counts():
    many = [f"text {number}" for number in range(300)]
    same = ["one"] * 300
    first, again = (draw_candidates(many, same, same, [5, 8], seed=1) for _ in range(2))
    assert first.shape == (2, 101)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw_candidates(many, same, same, [5, 8], seed=2))
    assert set(first[0, 1:]) != set(first[1, 1:])
    assert all(len(set(row)) == 101 for row in first.tolist())


def test_intervals_are_those_of_a_bootstrap():
    """Compared with the percentiles of 20,000 resamples."""
    ranks = np.repeat([1, 3, 7, 50], [120, 90, 60, 30])
    drawn = np.random.default_rng(0).choice(ranks, (20_000, len(ranks)))
    for k, (low, high) in zip((1, 5, 10), recall_intervals(recall(ranks), len(ranks)).values(), strict=True):
        counted = np.percentile(100 * (drawn <= k).mean(axis=1), [2.5, 97.5])
        assert (low, high) == pytest.approx(tuple(counted), abs=0.5)
        assert low < 100 * (ranks <= k).mean() < high


def test_an_interval_of_certainty_has_no_width():
    assert recall_intervals({"R@1": 100.0}, 10)["R@1"] == (100, 100)
