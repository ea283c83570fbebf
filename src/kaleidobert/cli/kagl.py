"""The task kagl of `kaleidobert evaluate`, on a run or on a store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kaleidobert.cli.figures import print_kagl
from kaleidobert.data.reading import Reading
from kaleidobert.errors import InputError

BATCH = 64  # queries of one answer


def run_kagl(
    data: str,
    ground_truth: Path | None,
    model: Path | None,
    store: str | None,
    reading: Reading,
    rerank: int | None,
) -> dict[str, Any]:
    """Evaluate and print. Raises ``InputError`` where an argument is missing."""
    from kaleidobert.evaluation.kagl import evaluate_kagl
    from kaleidobert.index.opening import store_errors

    if ground_truth is None:
        raise InputError("kagl needs the folder of its ground truth: kaleidobert evaluate kagl DATA GROUND_TRUTH ...")
    if store:
        with store_errors(store):
            figures = in_store(data, ground_truth, store, model, reading, rerank)
    elif model:
        figures = evaluate_kagl(data, ground_truth, model, reading, rerank)
    else:
        raise InputError("kagl ranks by a run or a store: give --model or --store")
    print_kagl(figures)
    return figures


def in_store(
    data: str,
    ground_truth: Path,
    store: str,
    model: Path | None,
    reading: Reading,
    rerank: int | None,
) -> dict[str, Any]:
    """The tasks on the products of a store that are in the catalogue ``data``, which tells their splits and titles.

    Ranks are those of a search without filters, variants listed singly. Where products are left out, as for the group
    ``unseen``, they are taken out of a search's 1,000 best.
    """
    from kaleidobert.evaluation.kagl import TOP, kagl_figures, load_ground_truth, read_catalogue, trained_on
    from kaleidobert.search.query import MAX_DEPTH, Query
    from kaleidobert.search.ranker import Ranker

    truth, ranker = load_ground_truth(ground_truth), Ranker.open(store, model)
    catalogue = read_catalogue(data, reading).only(ranker.store.product_ids())

    def rank(texts: Sequence[str], gone: Collection[str]) -> list[list[str]]:
        found: list[list[str]] = []
        offset = MAX_DEPTH - TOP if gone else 0
        for start in range(0, len(texts), BATCH):
            asked = [
                Query(text, rerank=rerank or 0, hybrid=0.0, understand=False, top=TOP, offset=offset)
                for text in texts[start : start + BATCH]
            ]
            found += [[each for each in ids if each not in gone][:TOP] for ids in ranker.ids(asked)]
        return found

    row = "combined" if rerank else "vectors"
    row += "_memory" if ranker.scorer.weights.memory_weight or ranker.scorer.weights.uses_layouts else ""
    figures = kagl_figures(truth, catalogue, {row: rank})
    figures |= {"data": Path(data).name, "trained_on": trained_on(Path(ranker.scorer.name)), "rerank": rerank}
    return figures | {"store": store, "note": ranker.rerank_note(Query("text", rerank=rerank))}
