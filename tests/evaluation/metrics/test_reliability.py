import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kaleidobert.evaluation.metrics.reliability import (
    RIDGE,
    best_threshold,
    calibration_error,
    fit_logistic,
    reliability,
)


def library_fit(features: np.ndarray, outcomes: np.ndarray) -> list[float]:
    """The same objective by scikit-learn, which has no bounds on weights."""
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(C=1 / (RIDGE * len(outcomes)), tol=1e-8).fit(scaler.transform(features), outcomes)
    weights = fitted.coef_[0] / scaler.scale_
    return [*weights, fitted.intercept_[0] - weights @ scaler.mean_]


def generated(slope: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(3.0, 2.0, (count, 2))
    return features, rng.random(count) < expit(features @ [slope, -0.5] - 1.5)


def test_the_weights_that_generated_the_outcomes_are_found() -> None:
    assert fit_logistic(*generated(0.8, 20_000)) == pytest.approx([0.8, -0.5, -1.5], abs=0.1)


def test_where_the_slope_is_positive_the_fit_is_the_library_s() -> None:
    features, outcomes = generated(0.8, 500)
    assert fit_logistic(features, outcomes) == pytest.approx(library_fit(features, outcomes), abs=1e-3)


def test_a_higher_score_never_gives_a_lower_probability() -> None:
    """Why the library's fit is not used: where few pairs contradict the score, its slope is negative."""
    scores = np.linspace(-1, 1, 200)
    slope, _ = fit_logistic(scores[:, None], scores < 0)
    assert 0 < slope < 0.01
    features, outcomes = generated(0.02, 60, seed=3)  # a weak score and few pairs, as in a small catalogue
    assert library_fit(features, outcomes)[0] < 0 < fit_logistic(features, outcomes)[0]


def test_calibration_error_is_the_distance_of_predicted_and_observed() -> None:
    predicted = np.array([0.1] * 10 + [0.9] * 10)
    observed = np.array([True] * 1 + [False] * 9 + [True] * 5 + [False] * 5)
    assert [(each.pairs, each.observed) for each in reliability(predicted, observed)] == [(10, 0.1), (10, 0.5)]
    assert calibration_error(predicted, observed) == pytest.approx(0.2)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_bins_have_the_library_s_means_and_the_sizes_that_it_lacks() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.beta(0.5, 2, 400)
    outcomes = rng.random(400) < probabilities
    bins = reliability(probabilities, outcomes)
    observed, predicted = calibration_curve(outcomes, probabilities, n_bins=10)
    assert [each.observed for each in bins] == pytest.approx(observed.tolist())
    assert [each.predicted for each in bins] == pytest.approx(predicted.tolist())
    sizes = np.histogram(probabilities, 10, (0, 1))[0]
    assert [each.pairs for each in bins] == sizes[sizes > 0].tolist()


def test_the_threshold_that_separates_is_found() -> None:
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])) == (0.6, 1.0)
    assert best_threshold(np.array([0.1, 0.2]), np.array([True, True])) == (0.0, 0.5)
