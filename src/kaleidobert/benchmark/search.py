"""How long a search takes, stage by stage, and what each stage computes alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kaleidobert.benchmark.timing import Limit, Row, machine
from kaleidobert.errors import InputError
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.search.query import Answer, Query
from kaleidobert.search.ranker import STAGES, Ranker

TOP = 10
READ = 1000  # products whose vectors are read at once
LIMITS = {"vectors": Limit("p95", "≤", 30), "rerank": Limit("p95", "≤", 40)}


def benchmark_search(store: str, queries: int, rerank: int, seed: int = 0) -> dict[str, Any]:
    """Searches for ``queries`` titles of a store's products, by embeddings alone and with ``rerank`` re-ranked."""
    ranker = Ranker.open(store)
    if not (ranker.calibration.combined and ranker.scorer.weights.joint_weight["TIR"]):
        raise InputError(f"{store}: its joint model re-ranks nothing; run fit-ranker, then index again")
    titles = sorted(set(ranker.store.titles()))
    asked = np.random.default_rng(seed).permutation(titles)[: queries + 1].tolist()
    if len(asked) < 2:
        raise InputError(f"{store}: it has fewer than two titles to search for; index a catalogue first")
    peers = _Peers(ranker, rerank)
    times: dict[str, list[float]] = defaultdict(list)
    for text in asked:
        _, near = timed_answer(ranker, Query(text, top=TOP, rerank=0))
        _, ranked = timed_answer(ranker, Query(text, top=TOP, rerank=rerank))
        found = {name: near[name] for name in ("encode", "recall", "facets", "photos")}
        found |= {"vectors": near["whole"], "rerank": ranked["rerank"], "joint": ranked["whole"]}
        found |= {f"{name} alone": seconds for name, seconds in peers.seconds(text).items()}
        for name, seconds in found.items():
            times[name].append(seconds)
    measured = {name: found[1:] for name, found in times.items()}  # the first opens files and fills caches
    rows = [
        Row("encode the text", measured["encode"], "text encoder", measured["encode alone"]),
        Row("recall", measured["recall"], "all vectors in one product", measured["recall alone"]),
        Row(f"re-rank {rerank}", measured["rerank"], "joint model", measured["rerank alone"], LIMITS["rerank"]),
        *(Row(name, measured[name]) for name in ("facets", "photos")),
        Row("search by embeddings", measured["vectors"], "encoder and product", _sum(measured), LIMITS["vectors"]),
        Row(f"search, {rerank} re-ranked", measured["joint"], "and joint model", _sum(measured, "rerank")),
    ]
    counts = {"rows_in_store": ranker.store.rows(), "queries": len(asked) - 1, "rerank": rerank}
    return {"machine": machine(), **counts, "rows": [row.figures() for row in rows]}


def timed_answer(ranker: Ranker, query: Query) -> tuple[Answer, dict[str, float]]:
    """The answer, and the seconds of each of ``STAGES`` and of the whole."""
    started = time.perf_counter()
    answer = ranker.answer(query)
    return answer, {stage: answer.seconds[stage] for stage in STAGES} | {"whole": time.perf_counter() - started}


def _sum(measured: dict[str, list[float]], *others: str) -> list[float]:
    parts = zip(*(measured[f"{name} alone"] for name in ("encode", "recall", *others)), strict=True)
    return [sum(each) for each in parts]


class _Peers:
    """What the stages of a search compute, with everything in memory and ready."""

    def __init__(self, ranker: Ranker, rerank: int) -> None:
        scorer, store = ranker.scorer, ranker.store
        assert isinstance(scorer, KaleidoBertScorer)
        self.scorer, self.rerank = scorer, rerank
        ids = list(store.product_ids())
        keys = [each[0].key for each in map(store.product, ids[:rerank]) if each]
        states = np.stack([*store.states(keys).values()])
        self.states = torch.from_numpy(np.resize(states, (rerank, *states.shape[1:]))).to(scorer.device)
        found = [store.vectors((id_, 0) for id_ in ids[start : start + READ]) for start in range(0, len(ids), READ)]
        self.vectors = np.stack([vector for part in found for vector in part.values()]).astype(np.float32)

    @torch.inference_mode()
    def seconds(self, text: str) -> dict[str, float]:
        scorer = self.scorer
        words = scorer.processor.tokenizer([text], truncation=True, return_tensors="pt").to(scorer.device)
        ids, mask = words["input_ids"], words["attention_mask"]
        pairs = ids.expand(self.rerank, -1), mask.expand(self.rerank, -1), self.states
        vector = scorer.model.get_text_features(ids, mask).text_embeds[0].float().cpu().numpy()
        return {
            "encode": _seconds(lambda: scorer.model.get_text_features(ids, mask).text_embeds.cpu()),
            "recall": _seconds(lambda: _nearest(self.vectors, vector)),
            "rerank": _seconds(lambda: scorer.joint_scores(*pairs).cpu()),
        }


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _nearest(vectors: np.ndarray, vector: np.ndarray) -> Sequence[int]:
    """The rows of ``TOP`` vectors (N, V) nearest to one (V,)."""
    scores = vectors @ vector
    return np.argpartition(scores, -TOP)[-TOP:].tolist()
