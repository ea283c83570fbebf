"""The index of the vectors: whether to have one, how to search it, and how much of the exact answer it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kaleidobert.index.lancedb_store import Store

RECALL = 0.95  # least share of the ten nearest that the index has to find
DEPTH = 10
SETTINGS = [(probes, refine) for refine in (5, 20, 50) for probes in (10, 20, 40, 80, 160, 320)]  # cheapest first


def tune(store: Store, queries: np.ndarray) -> None:
    """Find the cheapest settings that reach ``RECALL`` on ``queries`` (Q, P), and keep them in the store's info.

    Its ``index`` then says: kind, rows when it was trained, probes, refine, and recall, the mean share of the ten
    nearest rows by an exact search that it finds; where no setting suffices, the best one's. A later run keeps the
    settings as long as they suffice.
    """
    index = store.info.index
    if not index or not len(queries):
        return  # an exact search
    exact = [_nearest(store, query, None) for query in queries]
    best: dict[str, Any] = {}
    for probes, refine in [(index["probes"], index["refine"]), *SETTINGS]:
        setting = {**index, "probes": probes, "refine": refine}
        recall = float(
            np.mean([_share(_nearest(store, q, setting), right) for q, right in zip(queries, exact, strict=True)])
        )
        if not best or recall > best["recall"]:
            best = setting | {"recall": round(recall, 4), "queries": len(queries)}
        if recall >= RECALL:
            break
    store.describe(index=best)


def _nearest(store: Store, vector: np.ndarray, setting: dict[str, Any] | None) -> list[float]:
    """Distances of the ten nearest rows, exact where there is no setting."""
    return [row["_distance"] for row in store.nearest(vector, DEPTH, setting).select(["_distance"]).to_list()]


def _share(found: list[float], right: list[float]) -> float:
    """How much of the right answer was found; another row of the same distance is as good."""
    return sum(distance <= right[-1] + 1e-6 for distance in found) / len(right) if right else 1.0
