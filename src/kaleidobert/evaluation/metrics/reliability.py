"""Probabilities, and how far to believe them: logistic calibration (Platt, 1999) and ECE (Guo et al., 2017)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

RIDGE = 1e-3  # keeps the slopes finite where scores separate the outcomes completely
LEAST_SLOPE = 1e-3  # of the first feature: a better score never means a worse match


class Bin(NamedTuple):
    """Pairs whose probability lies in one tenth: how many, their mean probability, and the share that came true."""

    pairs: int
    predicted: float
    observed: float


def fit_logistic(features: np.ndarray, outcomes: np.ndarray) -> list[float]:
    """Weights (F,) and offset of ``expit(features @ weights + offset)``, most likely for the outcomes.

    features (M, F), the score first, whose weight stays positive; outcomes (M,) bool.
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
    bounds = [(LEAST_SLOPE, None), *[(None, None)] * count]
    found = minimize(loss, np.append(np.eye(count)[0], 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[:-1] / spread
    return [*weights.tolist(), float(found[-1] - weights @ mean)]


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> list[Bin]:
    """Probabilities (M,) in bins of equal width, empty bins left out."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    inside = [place == each for each in range(bins)]
    return [Bin(int(m.sum()), float(probabilities[m].mean()), float(outcomes[m].mean())) for m in inside if m.any()]


def calibration_error(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> float:
    """ECE: the mean distance of predicted and observed over the bins, weighted by their size."""
    table = reliability(probabilities, outcomes, bins)
    return sum(each.pairs * abs(each.predicted - each.observed) for each in table) / len(probabilities)


def best_cut(values: np.ndarray, outcomes: np.ndarray) -> tuple[float, float]:
    """The value from which on to say yes, and the balanced accuracy (0 to 1) of doing so; 0 where all are alike."""
    if outcomes.all() or not outcomes.any():
        return 0.0, 0.5
    cuts = np.unique(values)
    accepted = values[:, None] >= cuts
    accuracy = (accepted[outcomes].mean(axis=0) + 1 - accepted[~outcomes].mean(axis=0)) / 2
    best = int(accuracy.argmax())
    return float(cuts[best]), float(accuracy[best])
