"""Metrics of ranked lists with one or several right answers, as Marqo's evaluation of its fashion models defines them.

From 0 to 1 (BEIR's recall and precision; eval.py of marqo-ai/marqo-FashionCLIP, which ranks ten products for a query).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

CUTOFFS = (1, 10)
METRICS = ("R@1", "R@10", "P@1", "P@10", "MRR")


def ranking_figures(ranked: Sequence[Sequence[str]], right: Sequence[Collection[str]]) -> dict[str, float]:
    """``METRICS`` of Q rankings, best first, given the right answers of each, averaged over queries.

    R@k: the share of a query's right answers among its first k. P@k: the share of right answers among k places; a
    place that a short ranking leaves empty counts as wrong. MRR: 1 / rank of the first right answer among the first
    ten, 0 without one.
    """
    sums = dict.fromkeys(METRICS, 0.0)
    for found, answers in zip(ranked, right, strict=True):
        hits = [answer in answers for answer in found[: max(CUTOFFS)]]
        for k in CUTOFFS:
            sums[f"R@{k}"] += sum(hits[:k]) / len(answers)
            sums[f"P@{k}"] += sum(hits[:k]) / k
        sums["MRR"] += 1 / (1 + hits.index(True)) if any(hits) else 0.0
    return {name: total / len(ranked) for name, total in sums.items()}
