"""Retrieval metrics under the protocols of docs/protocols.md, of embeddings, joint model and both combined.

Each is measured without the retrieval memory and, where a run has one, with it, as a row of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.background import Background
from kaleidobert.evaluation.gallery import Gallery, final_ranks, shortlists
from kaleidobert.evaluation.measured_split import prepare_measured
from kaleidobert.evaluation.metrics.retrieval import figures_spread, partner_ranks, recall_intervals, retrieval_figures
from kaleidobert.evaluation.pair_scores import EncodedProducts, Tables, embed, encode, ranked_by, score_terms
from kaleidobert.evaluation.protocols import candidate_table, choose_queries, load_candidates, save_candidates
from kaleidobert.files import write_whole
from kaleidobert.scoring.ranking import DIRECTIONS, RERANK, trained_terms
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import load_run_settings

PROTOCOLS = ("101", "full")
SCORERS = ("vectors", "itm", "lm", "joint", "combined")  # rows without the memory
MEMORY_SCORERS = ("vectors", "joint", "combined")  # rows with it, each named with "_memory"


def evaluate_retrieval(
    data: str | Path,
    run: Path,
    split: str | None = None,
    protocol: str = "101",
    queries: int | None = None,
    seed: int = 0,
    reading: Reading = BY_DEFAULT,
    draws: int = 1,
    candidates: Path | None = None,
    rerank: int | None = None,
    gallery: str | None = None,
) -> dict:
    """TIR, ITR and SumR of each of ``SCORERS``, and of ``MEMORY_SCORERS`` with a memory (``vectors_memory`` ...).

    A term of the joint score that was not trained has no row. The search application ranks by ``combined_memory``, or
    by ``combined`` for a run without a memory. ``intervals``: 95 % bootstrap intervals over queries. The figures and
    the drawn candidates (`save_candidates`) are written to the run's ``evaluation/``.

    ``split``: see `measured_split`.
    ``queries``: number of query products, drawn with ``seed``; default all of the split, or 100 under ``full`` without
    ``rerank``, where each query takes a joint pass over the whole split.
    ``draws``: number of draws of queries and candidates, with ``seed``, ``seed + 1`` ...; figures are their means, and
    ``spread`` their standard deviations. ``candidates``: a file of `save_candidates` that replaces the draw.
    ``rerank``: the joint model scores this many of the best candidates by embeddings, as in a search, and the others
    rank behind them; default all candidates.
    ``gallery``: splits, as in "train+test", that are searched together under ``full``; see `in_gallery`.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol {protocol!r}; use {' or '.join(PROTOCOLS)}")
    scorer = KaleidoBertScorer.from_pretrained(run)
    also = trained_terms(load_run_settings(run).objectives)
    if gallery:
        split = split or "test"
        figures = in_gallery(data, scorer, also, split, protocol, queries, seed, reading, draws, rerank, gallery)
        return _written(figures, run, f"{split}-{gallery}-{figures['queries']}-seed{seed}-rerank{figures['rerank']}")
    dataset, split = prepare_measured(data, split, run, scorer.processor.image_processor, reading)
    if candidates:
        tables = [load_candidates(candidates, dataset)]
        name = f"{split}-list-{candidates.stem}"
        figures = {"protocol": "list", "split": split, "queries": len(tables[0]), "list": candidates.name}
    else:
        count = queries or (100 if protocol == "full" and not rerank else None)
        tables = [draw_table(dataset, protocol, count, seed + draw) for draw in range(draws)]
        name = f"{split}-{protocol}-{len(tables[0])}-seed{seed}"
        figures = {"protocol": protocol, "split": split, "queries": len(tables[0]), "seed": seed, "draws": draws}
        for draw, table in enumerate(tables):
            saved = f"candidates-{split}-{protocol}-{len(table)}-seed{seed + draw}.json"
            save_candidates(run / "evaluation" / saved, dataset, table)
    name += f"-draws{draws}" * (draws > 1) + (f"-rerank{rerank}" if rerank else "")
    figures |= {"data": Path(data).name, "candidates": max(table.shape[1] for table in tables), "rerank": rerank}
    encoded = encode(scorer, dataset)
    if background := Background.load(scorer, data, reading):
        encoded = background.with_prior(scorer, encoded, dataset.ids, np.concatenate([each.ravel() for each in tables]))
    figures |= measured(scorer, encoded, tables, rerank, also)
    return _written(figures, run, name)


def in_gallery(
    data: str | Path,
    scorer: KaleidoBertScorer,
    also: Sequence[str],
    split: str,
    protocol: str,
    queries: int | None,
    seed: int,
    reading: Reading,
    draws: int,
    rerank: int | None,
    gallery: str,
) -> dict:
    """Retrieval among the products of several splits together, as a shop has them.

    The rows are of queries of ``split``; ``unseen`` and ``seen`` hold the same rows for queries whose product is not of
    the train split and for as many whose product is. ``rerank`` is `RERANK` by default.
    """
    names = gallery.split("+")
    if protocol != "full" or draws > 1:
        raise InputError("a gallery of several splits goes with the protocol full and one draw; leave --draws out")
    if split not in names or len(set(names)) < len(names):
        raise InputError(f"gallery is {gallery!r}: join different splits by +, {split!r} among them, as in train+test")
    rerank = rerank or RERANK
    splits = {name: prepare(data, name, scorer.processor.image_processor, reading) for name in names}
    whole = Gallery.encode(scorer, splits)
    start = sum(len(splits[name]) for name in names[: names.index(split)])
    asked = {split: np.arange(start, start + len(splits[split]))}
    asked |= {"unseen": asked[split][~whole.trained[asked[split]]], "seen": np.flatnonzero(whole.trained)}
    drawn = {name: whole.draw(rows, queries or len(asked[split]), seed) for name, rows in asked.items() if len(rows)}
    parts = gallery_figures(scorer, whole, drawn, rerank, also, Background.load(scorer, data, reading))
    figures: dict[str, Any] = {"protocol": "full", "gallery": gallery, "split": split, "seed": seed, "draws": 1}
    figures |= {"data": Path(data).name, "candidates": len(whole), "trained": int(whole.trained.sum())}
    figures |= {"rerank": rerank, "weights": fitted_weights(scorer)} | parts.pop(split)
    return figures | parts


def _written(figures: dict, run: Path, name: str) -> dict:
    (run / "evaluation").mkdir(exist_ok=True)
    write_whole(json.dumps(figures, indent=2) + "\n", run / "evaluation" / f"retrieval-{name}.json")
    return figures


def fits_of(scorer: KaleidoBertScorer) -> dict[str, KaleidoBertScorer]:
    """The scorers of a run by the ending of their rows: without the memory and, if there is one, with it."""
    return {"": scorer.without_memory()} | ({"_memory": scorer} if scorer.memory else {})


def fitted_weights(scorer: KaleidoBertScorer) -> dict[str, dict]:
    """The weights of both fits, without their calibration."""
    found = {}
    for ending, fit in fits_of(scorer).items():
        weights = asdict(fit.weights)
        del weights["calibration"]
        found["with_memory" if ending else "without_memory"] = weights
    return found


def measured(
    scorer: KaleidoBertScorer,
    encoded: EncodedProducts,
    tables: Sequence[np.ndarray],
    rerank: int | None,
    also: Sequence[str],
) -> dict:
    """Figures of all rows, and the fitted weights, without and with the memory; ``also``: terms with rows."""
    figures: dict = {"weights": fitted_weights(scorer), "intervals": {}}
    for ending, fit in fits_of(scorer).items():
        terms, embedded = () if ending else also, embed(fit, encoded)
        draws = [score_terms(fit, encoded, table, rerank, terms, embedded) for table in tables]
        for row in _rows(ending, also):
            ranks = [tuple(partner_ranks(ranked_by(row, fit, each).numpy()) for each in ways) for ways in draws]
            _add(figures, row + ending, ranks)
    return figures


def gallery_figures(
    scorer: KaleidoBertScorer,
    gallery: Gallery,
    asked: Mapping[str, np.ndarray],
    rerank: int,
    also: Sequence[str],
    background: Background | None = None,
) -> dict[str, dict]:
    """Figures of all rows for each group of queries in ``asked``; ``also``: terms with rows."""
    found: dict[str, dict] = {name: {"queries": len(queries), "intervals": {}} for name, queries in asked.items()}
    for ending, fit in fits_of(scorer).items():
        embedded = embed(fit, gallery.encoded)
        for name, queries in asked.items():
            lists = shortlists(fit, gallery, embedded, queries, rerank)
            tables: Tables = (lists[0].table, lists[1].table)
            encoded = gallery.encoded
            if background:
                encoded = background.with_prior(fit, encoded, gallery.ids, tables[1])
            ways = score_terms(fit, encoded, tables, rerank, () if ending else also, embedded)
            for row in _rows(ending, also):
                ranks = [final_ranks(row, fit, way, each.ranks) for way, each in zip(ways, lists, strict=True)]
                _add(found[name], row + ending, [(ranks[0], ranks[1])])
    return found


def _rows(ending: str, also: Sequence[str]) -> list[str]:
    """The rows of a fit; without the memory one for each term of the joint score in ``also``."""
    return [row for row in SCORERS if row in MEMORY_SCORERS or (row in also and not ending)]


def _add(figures: dict, row: str, ranks: Sequence[Sequence[np.ndarray]]) -> None:
    """Add a row over all draws of ranks in both directions, with intervals and, for several draws, their spread."""
    found = retrieval_figures(*map(np.concatenate, zip(*ranks, strict=True)))
    queries = len(ranks[0][0])  # of one draw: several draws may share queries, so they do not narrow the intervals
    figures["intervals"][row] = {way: recall_intervals(found[way], queries) for way in DIRECTIONS}
    if len(ranks) > 1:
        figures.setdefault("spread", {})[row] = figures_spread([retrieval_figures(*each) for each in ranks])
    figures[row] = found


def draw_table(dataset: PreparedDataset, protocol: str, queries: int | None, seed: int) -> np.ndarray:
    """Queries and their candidates (Q, C), both drawn with ``seed``."""
    return candidate_table(dataset, choose_queries(len(dataset), queries, seed), protocol, seed)
