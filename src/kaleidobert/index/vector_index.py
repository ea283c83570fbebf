"""Tunes the approximate vector index: how hard to search it to find enough of the exact result."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaleidobert.index.lancedb_store import LanceDBIndex

MIN_RECALL = 0.95  # share of the exact nearest rows that the index has to find
DEPTH = 10  # nearest rows that are compared
SETTINGS = [(probes, refine) for refine in (5, 20, 50) for probes in (10, 20, 40, 80, 160, 320)]  # cheapest first


def tune(store: LanceDBIndex, queries: np.ndarray) -> None:
    """Find the cheapest settings with ``MIN_RECALL`` on ``queries`` (Q, P), and save them in the store's info.

    ``info.index`` then holds: kind, rows at training, probes, refine, and recall, the mean share of the ten exact
    nearest rows that are found. If no settings suffice, the best are saved. The previous settings are tried first, so
    that they stay as long as they suffice.
    """
    index = store.info.index
    if not index or not len(queries):
        return  # the search is exact
    exact = [_nearest(store, query, None) for query in queries]
    best: dict[str, Any] = {}
    for probes, refine in [(index["probes"], index["refine"]), *SETTINGS]:
        setting = {**index, "probes": probes, "refine": refine}
        found = [_nearest(store, query, setting) for query in queries]
        recall = float(np.mean([_recall(*pair) for pair in zip(found, exact, strict=True)]))
        if not best or recall > best["recall"]:
            best = setting | {"recall": round(recall, 4), "queries": len(queries)}
        if recall >= MIN_RECALL:
            break
    store.describe(index=best)


def _nearest(store: LanceDBIndex, vector: np.ndarray, setting: dict[str, Any] | None) -> list[float]:
    """Distances of the nearest rows; exact without a setting."""
    return [row["_distance"] for row in store.nearest(vector, DEPTH, setting).select(["_distance"]).to_list()]


def _recall(found: list[float], exact: list[float]) -> float:
    """Share of the exact result that was found; any row at an equal distance counts."""
    return sum(distance <= exact[-1] + 1e-6 for distance in found) / len(exact) if exact else 1.0
