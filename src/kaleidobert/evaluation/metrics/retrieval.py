"""Retrieval metrics: score arrays in, percentages out (SEED: ITR, TIR, FIG. 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binom

CUTOFFS = (1, 5, 10)
WAYS = ("TIR", "ITR")


def partner_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks (Q,), 1 is best, of each query's true partner, whose score is column 0 of scores (Q, C).

    A tie counts against the model, and so does a score that is not a number: a constant scorer ranks last.
    """
    partner, others = scores[:, :1], scores[:, 1:]
    return 1 + (~(others < partner)).sum(axis=1)


def recall(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5 and R@10 in percent: how often the partner is among the first k."""
    return {f"R@{k}": 100 * float((ranks <= k).mean()) for k in CUTOFFS}


def recall_intervals(recalls: Mapping[str, float], queries: int, share: float = 0.95) -> dict[str, tuple[float, float]]:
    """The bootstrap's percentile interval of each recall in percent, over so many queries.

    Resampled hits are binomial, so the quantiles are known and nothing is resampled.
    """
    tails = ((1 - share) / 2, (1 + share) / 2)
    bounds = {name: 100 / queries * binom.ppf(tails, queries, value / 100) for name, value in recalls.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def retrieval_figures(text_to_image: np.ndarray, image_to_text: np.ndarray) -> dict:
    """Ranks of both directions -> TIR, ITR and SumR, the sum of their six recalls."""
    figures: dict = {"TIR": recall(text_to_image), "ITR": recall(image_to_text)}
    return figures | {"SumR": sum(figures["TIR"].values()) + sum(figures["ITR"].values())}


def figures_spread(draws: Sequence[dict]) -> dict:
    """Of each of `retrieval_figures` the standard deviation over several draws (one degree of freedom less)."""

    def over(values: Sequence[float]) -> float:
        return float(np.std(values, ddof=1))

    spread: dict = {way: {f"R@{k}": over([each[way][f"R@{k}"] for each in draws]) for k in CUTOFFS} for way in WAYS}
    return spread | {"SumR": over([each["SumR"] for each in draws])}


def draw_candidates(
    texts: Sequence[str],
    categories: Sequence[str],
    subcategories: Sequence[str],
    queries: Sequence[int] | np.ndarray,
    others: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """The ``101`` protocol's candidates: (Q, 1 + others) product indices, the query's own product first.

    Others come from the query's sub-category; where it has too few, from its category, then from anywhere.
    Products whose text equals the query's (but for case and spaces) are never among them. A row that has
    fewer others is filled up with -1.
    """
    rng = np.random.default_rng(seed)
    text = _codes([" ".join(text.lower().split()) for text in texts])
    category, subcategory = _codes(categories), _codes(subcategories)
    drawn = np.full((len(queries), 1 + min(others, len(text) - int(np.bincount(text).min()))), -1)
    for row, query in enumerate(queries):
        usable = text != text[query]
        near = usable & (subcategory == subcategory[query]) & (category == category[query])
        akin = usable & (category == category[query]) & ~near
        pools = (np.flatnonzero(pool) for pool in (near, akin, usable & ~near & ~akin))
        order = np.concatenate([rng.permutation(pool) for pool in pools])
        chosen = [query, *order[:others]]
        drawn[row, : len(chosen)] = chosen
    return drawn


def _codes(values: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]
