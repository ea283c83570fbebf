"""Fit the ranking of a trained run: build its memory of training pairs, and fit the weights of its scores.

Writes ``ranking.json`` and ``memory.safetensors`` into the run folder; ``config.json`` and ``model.safetensors`` are
not changed. The weights are fitted twice, without and with the memory.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_calibration import fit_calibration
from kaleidobert.evaluation.metrics.retrieval import partner_ranks, recall
from kaleidobert.evaluation.protocols import candidate_table, choose_queries
from kaleidobert.evaluation.retrieval import (
    DirectionScores,
    EncodedProducts,
    encode,
    pairs,
    ranked_by,
    score,
    similarity_parts,
)
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.joint_scores import joint_score
from kaleidobert.scoring.layout_memory import LayoutMemory
from kaleidobert.scoring.memory import MEMORY_FILE, RetrievalMemory
from kaleidobert.scoring.ranking import DIRECTIONS, JOINT_SCORERS, RERANK, Ranking, RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.encode import embed_products
from kaleidobert.training.settings import load_run_settings

_LOGGER = logging.getLogger(__name__)
MEMORY_PAIRS = 40_000  # at most; a random sample of larger catalogues
MEMORY_WEIGHTS = (0.0, 0.3, 0.6, 1.0)
HUBNESS_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEIGHBOUR_WORD_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65)
NEIGHBOUR_PMI_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
PRIOR_WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
JOINT_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
VECTOR_QUERIES, JOINT_QUERIES = 2000, 1000
MIN_GAIN = 1.0  # in R@1 + R@5 + R@10; below it the joint model is left out, as less is noise


def fit_ranker(
    data: str | Path,
    run: Path,
    split: str = "validation",
    columns: Mapping[str, str] | None = None,
    seed: int | None = None,
    memory: bool = True,
) -> dict[str, Any]:
    """Build a run's memory from ``data``'s train split and fit its ranking on ``split``; returns weights and figures.

    ``memory=False`` removes an earlier memory. ``seed``: default the run's. ``data`` need not be the catalogue of the
    training, so that a run adapts to another shop without training. Raises ``InputError`` where ``run`` holds no
    trained model.
    """
    model, processor = load_model(run, KaleidoBertForRetrieval), load_processor(run)
    settings = load_run_settings(run)
    seed = settings.training.seed if seed is None else seed
    validation = prepare(data, split, processor.image_processor, columns)
    built = None
    if memory:
        train = prepare(data, "train", processor.image_processor, columns)
        built = build_memory(model, processor.tokenizer, train, seed)
    unfitted = RankingWeights()
    scorer = KaleidoBertScorer(model, processor, Ranking(unfitted, unfitted if built else None), built, str(run))
    ranking, figures = fit_ranking(scorer, validation, settings.objectives, seed)
    if built is None:
        (run / MEMORY_FILE).unlink(missing_ok=True)
    else:
        built.save(run)
    ranking.save(run)
    return figures


def build_memory(model: KaleidoBertForRetrieval, tokenizer: Any, train: PreparedDataset, seed: int) -> RetrievalMemory:
    """A memory of up to ``MEMORY_PAIRS`` training products."""
    chosen = np.random.default_rng([seed, 1]).permutation(len(train))[:MEMORY_PAIRS]
    found = embed_products(model, tokenizer, train, chosen.tolist(), "building the retrieval memory")
    vocabulary, padding = model.config.encoder_config.vocab_size, tokenizer.pad_token_id
    layouts = LayoutMemory.build(found.layout_states, found.tokens, vocabulary, padding)
    return RetrievalMemory(CrossModalMemory(found.images, found.texts), layouts)


def fit_ranking(
    scorer: KaleidoBertScorer, validation: PreparedDataset, objectives: Objectives, seed: int = 0
) -> tuple[Ranking, dict[str, Any]]:
    """Fit weights and match probabilities on validation products, without and with the scorer's memory.

    Too few or too similar products for match probabilities are a warning, not an error, so that a handful of products
    suffices to try the program; the ranking then has none.
    """
    encoded = encode(scorer, validation)
    scorers = {"without_memory": scorer.without_memory()} | ({"with_memory": scorer} if scorer.memory else {})
    fits: dict[str, RankingWeights] = {}
    figures: dict[str, Any] = {}
    for name, each in scorers.items():
        weights = fit_weights(each, encoded, validation, objectives, seed)
        figures[name] = {key: value for key, value in asdict(weights).items() if key != "calibration"}
        try:
            calibration, quality = fit_calibration(each.with_weights(weights), validation, encoded, seed)
            weights = replace(weights, calibration=calibration.as_dict())
            figures[name]["calibration"] = quality
        except InputError as error:
            _LOGGER.warning("%s", error)
        fits[name] = weights
    return Ranking(**fits), figures


def fit_weights(
    scorer: KaleidoBertScorer, encoded: EncodedProducts, validation: PreparedDataset, objectives: Objectives, seed: int
) -> RankingWeights:
    """The weights of memory, hubness and joint model with the highest sum of recalls, by grid search.

    The joint model has one weight per direction. Every grid but the prior's contains 0, so that a part that does not
    help is left out; so is a joint model that gains less than ``MIN_GAIN``.
    """
    weights = RankingWeights()
    if scorer.memory is not None:
        weights = _fit_memory(scorer, encoded, validation, seed)
    candidates = candidate_table(validation, choose_queries(len(validation), JOINT_QUERIES, seed), "101", seed)
    variants = _joint_variants(scorer.with_weights(weights), encoded, candidates, objectives)
    return _fit_joint(scorer, variants)


def _fit_memory(
    scorer: KaleidoBertScorer, encoded: EncodedProducts, validation: PreparedDataset, seed: int
) -> RankingWeights:
    """The weights of the memory and of hubness."""
    candidates = candidate_table(validation, choose_queries(len(validation), VECTOR_QUERIES, seed), "101", seed)
    missing = torch.from_numpy(candidates < 0)
    sums = {}
    for memory_weight in MEMORY_WEIGHTS:
        enhanced = scorer.with_weights(RankingWeights(memory_weight=memory_weight))
        parts = similarity_parts(enhanced, encoded, candidates)
        for hubness_weight in HUBNESS_WEIGHTS:
            weights = replace(enhanced.weights, hubness_weight=hubness_weight)
            found = [
                scorer.with_weights(weights).similarity(*part).masked_fill(missing, float("-inf")) for part in parts
            ]
            sums[memory_weight, hubness_weight] = sum(map(_recalls, found))
    memory_weight, hubness_weight = max(sums, key=lambda each: sums[each])
    return RankingWeights(memory_weight=memory_weight, hubness_weight=hubness_weight)


def _joint_variants(
    scorer: KaleidoBertScorer, encoded: EncodedProducts, candidates: np.ndarray, objectives: Objectives
) -> Iterator[tuple[RankingWeights, Sequence[DirectionScores]]]:
    """The weights of each variant of the joint score, and its scores; simple variants first."""
    priors = [encoded.log_prior[text].unbind(dim=-1) for text, _ in pairs(candidates)]
    has_memory = scorer.memory is not None
    for name in trained_scorers(objectives):
        word_weights = NEIGHBOUR_WORD_WEIGHTS if name == "lm" and has_memory else (0.0,)
        prior_weights = PRIOR_WEIGHTS if name == "lm" else (0.0,)
        pmi_weights = NEIGHBOUR_PMI_WEIGHTS if has_memory else (0.0,)
        chosen = replace(scorer.weights, joint_scorer=name)
        parts = partial(_joint_parts, scorer.with_weights(chosen), word_weights=word_weights)
        both = score(scorer, encoded, candidates, RERANK, parts)
        for (place, word), prior, pmi in product(enumerate(word_weights), prior_weights, pmi_weights):
            weights = replace(chosen, neighbour_word_weight=word, neighbour_pmi_weight=pmi)
            weights = replace(weights, prior_weight=prior) if name == "lm" else weights
            scored = [
                replace(each, joint=joint_score(weights, each.joint[..., place], own, each.joint[..., -1] - density))
                for each, (own, density) in zip(both, priors, strict=True)
            ]
            yield weights, scored


def _joint_parts(
    scorer: KaleidoBertScorer,
    input_ids: Tensor,
    attention_mask: Tensor,
    patch_states: Tensor,
    photos: Tensor,
    log_prior: Tensor,  # noqa: ARG001  # the signature of `joint_scores`
    word_weights: Sequence[float],
) -> Tensor:
    """Scores (P, W + 1) of P pairs: one per weight of the neighbours' words, then the PMI's first term."""
    joint = scorer.joint
    neighbours = joint.neighbours(patch_states, photos)
    if scorer.weights.joint_scorer == "itm":
        scores = joint.itm_logits(input_ids, attention_mask, patch_states, photos)[:, None]
    else:
        scores = joint.caption_log_likelihood(input_ids, attention_mask, patch_states, photos, neighbours, word_weights)
    pmi = scores.new_zeros(len(scores)) if neighbours is None else joint.neighbour_text_pmi(input_ids, neighbours)
    return torch.cat([scores, pmi[:, None]], dim=1)


def _fit_joint(
    scorer: KaleidoBertScorer, variants: Iterable[tuple[RankingWeights, Sequence[DirectionScores]]]
) -> RankingWeights:
    """The variant and its weight per direction that rank best combined with embeddings.

    If no variant gains enough in either direction, the one that ranks best alone, with weights of 0.
    """
    found = []
    for variant, both in variants:
        sums, weights = zip(*(_best_weight(scorer.with_weights(variant), each) for each in both), strict=True)
        alone = sum(_recalls(ranked_by("joint", scorer, each)) for each in both)
        found.append((sum(sums), alone, replace(variant, joint_weight=dict(zip(DIRECTIONS, weights, strict=True)))))
    return max(found, key=lambda each: each[:2])[2]


def _best_weight(scorer: KaleidoBertScorer, scores: DirectionScores) -> tuple[float, float]:
    """The highest sum of recalls in one direction, and the joint model's weight for it; 0 unless it gains enough."""
    sums = {}
    for weight in JOINT_WEIGHTS:
        weights = replace(scorer.weights, joint_weight=dict.fromkeys(DIRECTIONS, weight))
        sums[weight] = _recalls(ranked_by("combined", scorer.with_weights(weights), scores))
    best = max(sums, key=lambda each: sums[each])
    best = best if sums[best] >= sums[0.0] + MIN_GAIN else 0.0
    return sums[best], best


def trained_scorers(objectives: Objectives) -> list[str]:
    """The joint scorers whose objective was trained."""
    return [name for name, loss in JOINT_SCORERS.items() if objectives.weight(loss)] or [next(iter(JOINT_SCORERS))]


def _recalls(scores: Tensor) -> float:
    """R@1 + R@5 + R@10 of scores (Q, C)."""
    return sum(recall(partner_ranks(scores.numpy())).values())
