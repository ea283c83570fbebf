"""Calibrated probabilities: logistic calibration (Platt, 1999) and calibration error (Guo et al., 2017)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

RIDGE = 1e-3  # keeps the weights finite where the scores separate the outcomes perfectly
MIN_SLOPE = 1e-3  # of the standardised score: a higher score must never give a lower probability


class Bin(NamedTuple):
    """The pairs in one bin of predicted probability: their number, mean prediction and share of matches."""

    pairs: int
    predicted: float
    observed: float


def fit_logistic(features: np.ndarray, outcomes: np.ndarray) -> list[float]:
    """Logistic regression whose first weight is positive: weights (F,) and offset, as one list.

    The probability is ``expit(features @ weights + offset)``; features (M, F), the score first; outcomes (M,) bool.
    The objective is that of scikit-learn's LogisticRegression(C=1 / (RIDGE * M)) on standardised features. That has
    no bounds on weights, and where few pairs contradict the score, it fits a negative slope (see the tests).
    """
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs, signs = (features - mean) / spread, np.where(outcomes, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margin = signs * (inputs @ parameters[:-1] + parameters[-1])
        slope = -signs * expit(-margin)
        penalty = RIDGE * parameters[:-1]
        gradient = np.append(inputs.T @ slope / len(signs) + penalty, slope.mean())
        return float(np.logaddexp(0, -margin).mean() + parameters[:-1] @ penalty / 2), gradient

    count = features.shape[1]
    bounds = [(MIN_SLOPE, None), *[(None, None)] * count]
    solution = minimize(loss, np.append(np.eye(count)[0], 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = solution[:-1] / spread
    return [*weights.tolist(), float(solution[-1] - weights @ mean)]


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> list[Bin]:
    """Probabilities (M,) in bins of equal width, without the empty ones.

    scikit-learn's calibration_curve gives the same means, but not the sizes of the bins, which ECE is weighted by.
    """
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    inside = [place == each for each in range(bins)]
    return [Bin(int(m.sum()), float(probabilities[m].mean()), float(outcomes[m].mean())) for m in inside if m.any()]


def calibration_error(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> float:
    """ECE, 0 to 1: the mean of abs(predicted - observed) over the bins, weighted by their size."""
    table = reliability(probabilities, outcomes, bins)
    return sum(each.pairs * abs(each.predicted - each.observed) for each in table) / len(probabilities)


def best_threshold(values: np.ndarray, outcomes: np.ndarray) -> tuple[float, float]:
    """The threshold that predicts the outcomes best, and its balanced accuracy (0 to 1).

    A value counts as positive from the threshold on. (0.0, 0.5) where all outcomes are the same.
    """
    if outcomes.all() or not outcomes.any():
        return 0.0, 0.5
    thresholds = np.unique(values)
    positive = values[:, None] >= thresholds
    accuracy = (positive[outcomes].mean(axis=0) + 1 - positive[~outcomes].mean(axis=0)) / 2
    best = int(accuracy.argmax())
    return float(thresholds[best]), float(accuracy[best])
