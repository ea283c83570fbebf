"""Retrieval metrics: score arrays in, percentages out (patent: ITR, TIR, FIG. 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binom

from kaleidobert.scoring.ranking import DIRECTIONS

CUTOFFS = (1, 5, 10)


def partner_ranks(scores: np.ndarray) -> np.ndarray:
    """Rank (Q,), 1 is best, of the correct candidate, which is column 0 of scores (Q, C).

    Ties count against the model, and so does NaN: a constant scorer ranks the correct candidate last.
    """
    partner, others = scores[:, :1], scores[:, 1:]
    return 1 + (~(others < partner)).sum(axis=1)


def recall(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5 and R@10: the percentage of ranks (Q,) up to k."""
    return {f"R@{k}": 100 * float((ranks <= k).mean()) for k in CUTOFFS}


def recall_intervals(
    recalls: Mapping[str, float], queries: int, confidence: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Bootstrap percentile interval of each recall (in percent) over this many queries.

    Hits of a resample are binomially distributed, so the quantiles are computed without resampling.
    """
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    bounds = {name: 100 / queries * binom.ppf(tails, queries, value / 100) for name, value in recalls.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}


def retrieval_figures(text_to_image: np.ndarray, image_to_text: np.ndarray) -> dict:
    """The recalls of both directions under TIR and ITR, and SumR, their sum, from ranks (Q,)."""
    figures: dict = {"TIR": recall(text_to_image), "ITR": recall(image_to_text)}
    return figures | {"SumR": sum(figures["TIR"].values()) + sum(figures["ITR"].values())}


def figures_spread(draws: Sequence[dict]) -> dict:
    """The sample standard deviation of each of `retrieval_figures` over several draws of queries and candidates."""

    def spread(values: Sequence[float]) -> float:
        return float(np.std(values, ddof=1))

    deviations: dict = {
        direction: {f"R@{k}": spread([draw[direction][f"R@{k}"] for draw in draws]) for k in CUTOFFS}
        for direction in DIRECTIONS
    }
    return deviations | {"SumR": spread([draw["SumR"] for draw in draws])}


def scorer_rows(figures: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The `retrieval_figures` of each scorer in an evaluation's figures, in their order."""
    return {name: row for name, row in figures.items() if isinstance(row, Mapping) and "SumR" in row}


def recall_values(row: Mapping[str, Any], directions: Sequence[str] = DIRECTIONS) -> list[float]:
    """The six recalls and SumR of one of `scorer_rows`, in the order of `recall_columns`."""
    return [*(row[direction][f"R@{k}"] for direction in directions for k in CUTOFFS), row["SumR"]]


def recall_columns(directions: Sequence[str] = DIRECTIONS) -> list[str]:
    """The headings of `recall_values`."""
    return [*(f"{direction} R@{k}" for direction in directions for k in CUTOFFS), "SumR"]


def draw_candidates(
    texts: Sequence[str],
    categories: Sequence[str],
    subcategories: Sequence[str],
    queries: Sequence[int] | np.ndarray,
    others: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """The candidates of protocol ``101``: product indices (Q, 1 + others), the query's own product in column 0.

    Others are drawn from the query's sub-category; where it has too few, from its category, and then from the whole
    catalogue. Products with the query's text (ignoring case and white space) are excluded. Rows with fewer
    candidates are padded with -1.
    """
    rng = np.random.default_rng(seed)
    text = _codes([" ".join(text.lower().split()) for text in texts])
    category, subcategory = _codes(categories), _codes(subcategories)
    table = np.full((len(queries), 1 + min(others, len(text) - int(np.bincount(text).min()))), -1)
    for row, query in enumerate(queries):
        allowed = text != text[query]
        same_category = allowed & (category == category[query])
        same_subcategory = same_category & (subcategory == subcategory[query])
        pools = (same_subcategory, same_category & ~same_subcategory, allowed & ~same_category)
        order = np.concatenate([rng.permutation(np.flatnonzero(pool)) for pool in pools])
        candidates = [query, *order[:others]]
        table[row, : len(candidates)] = candidates
    return table


def _codes(values: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]
