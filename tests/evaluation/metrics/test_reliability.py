import numpy as np
import pytest
from scipy.special import expit

from kaleidobert.evaluation.metrics.reliability import best_cut, calibration_error, fit_logistic, reliability


def test_the_logistic_that_made_the_outcomes_is_found() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, 2.0, (20_000, 2))
    outcomes = rng.random(20_000) < expit(features @ [0.8, -0.5] - 1.5)
    assert fit_logistic(features, outcomes) == pytest.approx([0.8, -0.5, -1.5], abs=0.1)


def test_a_better_score_is_never_a_worse_match() -> None:
    scores = np.linspace(-1, 1, 200)
    slope, _ = fit_logistic(scores[:, None], scores < 0)
    assert 0 < slope < 0.01


def test_error_is_the_distance_of_said_and_seen() -> None:
    said = np.array([0.1] * 10 + [0.9] * 10)
    seen = np.array([True] * 1 + [False] * 9 + [True] * 5 + [False] * 5)
    assert [(each.pairs, each.observed) for each in reliability(said, seen)] == [(10, 0.1), (10, 0.5)]
    assert calibration_error(said, seen) == pytest.approx(0.2)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_the_cut_that_separates_is_found() -> None:
    assert best_cut(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])) == (0.6, 1.0)
    assert best_cut(np.array([0.1, 0.2]), np.array([True, True])) == (0.0, 0.5)
