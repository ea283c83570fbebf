"""Metrics of ranked lists with several right answers, by hand and against their definitions."""

import numpy as np
import pytest

from kaleidobert.evaluation.metrics.ranking import METRICS, ranking_figures


def test_one_query_by_hand():
    """Four right answers, two of them among the first ten, the first at rank 2; one is nowhere."""
    figures = ranking_figures([["x", "a", "y", "b", *"klmnop"]], [{"a", "b", "c", "d"}])
    assert figures == {"R@1": 0.0, "R@10": 0.5, "P@1": 0.0, "P@10": 0.2, "MRR": 0.5}


def test_a_short_ranking_leaves_places_empty_and_a_long_one_counts_to_ten():
    assert ranking_figures([["a"]], [{"a"}]) == {"R@1": 1.0, "R@10": 1.0, "P@1": 1.0, "P@10": 0.1, "MRR": 1.0}
    late = [str(each) for each in range(10)] + ["a"]
    assert ranking_figures([late], [{"a"}]) == dict.fromkeys(METRICS, 0.0)


def test_queries_weigh_alike():
    figures = ranking_figures([["a", "b"], ["c", "a"]], [{"a", "b"}, {"a"}])
    assert figures["R@1"] == 0.25 and figures["P@1"] == 0.5 and figures["MRR"] == 0.75
    assert figures["R@10"] == 1.0 and figures["P@10"] == pytest.approx(0.15)


def test_a_random_order_gets_chance():
    rng, ids = np.random.default_rng(0), [str(each) for each in range(50)]
    right = [set(rng.choice(ids, 5, replace=False)) for _ in range(4000)]
    figures = ranking_figures([list(rng.permutation(ids)) for _ in right], right)
    assert [figures[name] for name in ("R@1", "R@10", "P@1", "P@10")] == pytest.approx([0.02, 0.2, 0.1, 0.1], abs=0.012)
