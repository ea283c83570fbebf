"""Fit the ranking of a trained run: build its memory of training pairs, and fit the weights of its scores.

Writes ``ranking.json`` and ``memory.safetensors`` into the run folder; ``config.json`` and ``model.safetensors`` are
not changed. The weights are fitted twice, without and with the memory, to rank validation products in a gallery that
holds training products too, as a shop's does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.background import NEAREST, Background
from kaleidobert.evaluation.build_memory import build_memory
from kaleidobert.evaluation.fit_calibration import fit_calibration
from kaleidobert.evaluation.gallery import Gallery, shortlists, vector_ranks
from kaleidobert.evaluation.metrics.retrieval import recall
from kaleidobert.evaluation.pair_scores import DirectionScores, embed, encode, pairs, score
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.model.unfinished import (
    REFIT,
    check_finished,
    is_unfinished,
    mark_finished,
    mark_unfinished,
    what_to_do,
)
from kaleidobert.progress import track
from kaleidobert.scoring.formula import JointTerms, joint_score
from kaleidobert.scoring.joint_scores import prior_column
from kaleidobert.scoring.memory import MEMORY_FILE
from kaleidobert.scoring.ranking import DIRECTIONS, RERANK, Ranking, RankingWeights, trained_terms
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import load_run_settings

_LOGGER = logging.getLogger(__name__)
MEMORY_WEIGHTS = (0.0, 0.3, 0.6, 1.0)
HUBNESS_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEIGHBOUR_WORD_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65)
NEIGHBOUR_PMI_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
PRIOR_WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
JOINT_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
ITM_SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the ITM logit beside the LM's term
VECTOR_QUERIES, JOINT_QUERIES = 2000, 1000
TRAINED = 5000  # training products in the gallery, at most
MIN_GAIN = 1.0  # in R@1 + R@5 + R@10; below it joint model or sum of two terms is left out, as less is noise


def fit_ranker(
    data: str | Path,
    run: Path,
    split: str = "validation",
    reading: Reading = BY_DEFAULT,
    seed: int | None = None,
    memory: bool = True,
    trained: int = TRAINED,
    finishing: bool = False,
) -> dict[str, Any]:
    """Build a run's memory from ``data``'s train split and fit its ranking on ``split``; returns weights and figures.

    ``memory=False`` removes an earlier memory. ``trained``: number of training products, drawn at random, among which
    those of ``split`` are ranked; 0 for a gallery of new products alone. ``seed``: default the run's. ``data`` need not
    be the catalogue of the training, so that a run adapts to another shop without training. ``finishing``: the run is
    marked as unfinished, by whoever finishes it in this way. Raises ``InputError`` where ``run`` holds no trained
    model, or an unfinished one.
    """
    refitting = is_unfinished(run) and what_to_do(run) == REFIT
    if not finishing and not refitting:
        check_finished(run)
    model, processor = load_model(run, KaleidoBertForRetrieval, unfinished=True), load_processor(run, unfinished=True)
    settings = load_run_settings(run)
    seed = settings.training.seed if seed is None else seed
    validation = prepare(data, split, processor.image_processor, reading)
    built = train = None
    if memory or trained:
        train = prepare(data, "train", processor.image_processor, reading)
    if memory and train is not None:
        built = build_memory(model, processor.tokenizer, train, seed)
    unfitted = RankingWeights()
    scorer = KaleidoBertScorer(model, processor, Ranking(unfitted, unfitted if built else None), built, str(run))
    others = train.sample(trained, seed) if train is not None and trained and split != "train" else None
    ranking, figures = fit_ranking(scorer, validation, settings.objectives, seed, others)
    if not finishing:
        mark_unfinished(run, REFIT)  # memory and weights belong together
    if built is None:
        (run / MEMORY_FILE).unlink(missing_ok=True)
    else:
        built.save(run)
    ranking.save(run)
    if not finishing:
        mark_finished(run)
    return figures


def fit_ranking(
    scorer: KaleidoBertScorer,
    validation: PreparedDataset,
    objectives: Objectives,
    seed: int = 0,
    trained: PreparedDataset | None = None,
) -> tuple[Ranking, dict[str, Any]]:
    """Fit weights and match probabilities on validation products, without and with the scorer's memory.

    Their gallery holds ``trained`` products, too.

    Too few or too similar products for match probabilities are a warning, not an error, so that a handful of products
    suffices to try the program; the ranking then has none.
    """
    encoded = encode(scorer, validation)
    splits = [validation] if trained is None else [validation, trained]
    parts = [encoded] if trained is None else [encoded, encode(scorer, trained)]
    gallery = Gallery.of(parts, splits, [False, True][: len(splits)])
    if trained is not None and objectives.weight("LM"):
        gallery = replace(gallery, background=Background.of(scorer, trained, seed))
    scorers = {"without_memory": scorer.without_memory()} | ({"with_memory": scorer} if scorer.memory else {})
    fits: dict[str, RankingWeights] = {}
    figures: dict[str, Any] = {}
    for name, each in scorers.items():
        weights = fit_weights(each, gallery, objectives, seed)
        figures[name] = {key: value for key, value in asdict(weights).items() if key != "calibration"}
        try:
            calibration, quality = fit_calibration(each.with_weights(weights), validation, encoded, seed)
            weights = replace(weights, calibration=calibration.as_dict())
            figures[name]["calibration"] = quality
        except InputError as error:
            _LOGGER.warning("hits of a search will have no match percentages: %s", error)
            weights = replace(weights, calibration={"missing": str(error)})
        fits[name] = weights
    return Ranking(**fits), figures


def fit_weights(scorer: KaleidoBertScorer, gallery: Gallery, objectives: Objectives, seed: int) -> RankingWeights:
    """The weights of memory, hubness and joint model with the highest sum of recalls, by grid search.

    Queries are the gallery's products that were not trained on. The joint model has one weight per direction. Every
    grid but the prior's contains 0, so that a part that does not help is left out; so is a joint model, or the second
    of its terms, that gains less than ``MIN_GAIN``. Raises ``InputError`` where there is nothing to rank.
    """
    new = np.flatnonzero(~gallery.trained)
    if len(np.unique(gallery.texts)) < 2:
        raise InputError(f"{len(gallery)} products all have the same text: there is nothing to rank")
    weights = RankingWeights()
    if scorer.memory is not None:
        weights = _fit_memory(scorer, gallery, gallery.draw(new, VECTOR_QUERIES, seed))
    terms = trained_terms(objectives)
    heads = _heads(scorer.with_weights(weights), gallery, gallery.draw(new, JOINT_QUERIES, seed), terms)
    return _fit_joint(heads, scorer.scale, weights, terms, scorer.memory is not None)


def _fit_memory(scorer: KaleidoBertScorer, gallery: Gallery, queries: np.ndarray) -> RankingWeights:
    """The weights of the memory and of hubness."""
    sums = {}
    for memory_weight in track(MEMORY_WEIGHTS, "fitting the memory's weights"):
        enhanced = scorer.with_weights(RankingWeights(memory_weight=memory_weight))
        embedded = embed(enhanced, gallery.encoded)
        for hubness_weight in HUBNESS_WEIGHTS:
            weights = replace(enhanced.weights, hubness_weight=hubness_weight)
            ranks = vector_ranks(scorer.with_weights(weights), gallery, embedded, queries)
            sums[memory_weight, hubness_weight] = sum(map(_recalls, ranks))
    memory_weight, hubness_weight = max(sums, key=lambda each: sums[each])
    return RankingWeights(memory_weight=memory_weight, hubness_weight=hubness_weight)


@dataclass(frozen=True)
class Head:
    """What the joint model reads in one direction, of those of Q queries whose product is among it.

    similarity (R, C) and the terms (R, C), log_likelihood (R, C, W) for W weights of the neighbours' words, of the
    product in column 0 and its rivals; priors (R, C, 3): their `EncodedProducts.log_prior`; absent (R, C): padding.
    others (Q - R,): the ranks of the remaining products, which the joint model cannot change.
    """

    similarity: Tensor
    terms: JointTerms
    priors: Tensor
    absent: Tensor
    others: np.ndarray

    def recalls(self, scores: Tensor) -> list[float]:
        """R@1 + R@5 + R@10 of W scores (W, R, C)."""
        scores = scores.masked_fill(self.absent, float("-inf"))
        ranks = 1 + (~(scores[..., 1:] < scores[..., :1])).sum(dim=-1)  # (W, R)
        return [_recalls(np.concatenate([each, self.others])) for each in ranks.numpy()]


def _heads(scorer: KaleidoBertScorer, gallery: Gallery, queries: np.ndarray, terms: Sequence[str]) -> list[Head]:
    """Both directions' heads: the best ``RERANK`` candidates by embeddings, as a search re-ranks them."""
    embedded = embed(scorer, gallery.encoded)
    lists = shortlists(scorer, gallery, embedded, queries, RERANK)
    tables, encoded = (lists[0].table, lists[1].table), gallery.encoded
    if gallery.background is not None:  # of the texts that are ranked for a photo: the photos of one text share it
        encoded = gallery.background.with_prior(scorer, encoded, gallery.ids, tables[1])
    found = score(scorer, encoded, tables, RERANK, partial(_joint_parts, scorer, terms=terms), embedded)
    priors = [encoded.log_prior[text] for text, _ in pairs(tables)]
    return [_head(each, prior, shortlist.ranks) for each, prior, shortlist in zip(found, priors, lists, strict=True)]


def _head(scores: DirectionScores, prior: Tensor, ranks: np.ndarray) -> Head:
    """``prior`` (Q, C, 3)."""
    read = scores.head[:, 0]
    itm, pmi, *_ = scores.joint[read].unbind(dim=-1)
    terms = JointTerms(itm, scores.joint[read][..., 2:], None, pmi)
    return Head(scores.vectors[read], terms, prior[read], ~scores.head[read], ranks[~read.numpy()])


def _joint_parts(scorer: KaleidoBertScorer, *inputs: Tensor, terms: Sequence[str]) -> Tensor:
    """(P, 2 + W) of P pairs: the ITM logit, the neighbour-text PMI, and log-likelihoods for each weight of the
    neighbours' words; 0 for what is not there."""
    found = scorer.joint.terms(*inputs, also=terms, word_weights=_word_weights(scorer.memory is not None))
    nothing = inputs[0].new_zeros(len(inputs[0]), dtype=torch.float32)
    itm, pmi = ((nothing if each is None else each.float())[:, None] for each in (found.itm, found.neighbour_pmi))
    return torch.cat([itm, pmi, nothing[:, None] if found.log_likelihood is None else found.log_likelihood], dim=1)


def _word_weights(memory: bool) -> tuple[float, ...]:
    return NEIGHBOUR_WORD_WEIGHTS if memory else (0.0,)


def _variants(weights: RankingWeights, terms: Sequence[str], memory: bool) -> Iterator[tuple[RankingWeights, int]]:
    """Each variant of the joint score, simple ones first, and the place of its weight of the neighbours' words."""
    single = {"itm": (1.0, 0.0), "lm": (0.0, 1.0)}
    mixes = [single[name] for name in terms] + [(share, 1.0) for share in ITM_SHARES if len(terms) > 1]
    for itm, lm in mixes:
        words = list(enumerate(_word_weights(memory) if lm else (0.0,)))
        for (place, word), background, prior, pmi in product(
            words,
            (0, NEAREST) if lm else (0,),
            PRIOR_WEIGHTS if lm else (1.0,),
            NEIGHBOUR_PMI_WEIGHTS if memory else (0.0,),
        ):
            mixed = replace(weights, itm_weight=itm, lm_weight=lm, prior_weight=prior, background_photos=background)
            yield replace(mixed, neighbour_word_weight=word, neighbour_pmi_weight=pmi), place


def _fit_joint(
    heads: Sequence[Head], scale: float, weights: RankingWeights, terms: Sequence[str], memory: bool
) -> RankingWeights:
    """The variant and its weight per direction that rank best combined with embeddings.

    If no variant gains enough in either direction, the one that ranks best alone, with weights of 0. Where the LM has
    no weight, its prior keeps the one with which it ranks best alone, for the row ``lm``.
    """
    found: list[tuple[float, float, RankingWeights]] = []
    lm_alone: dict[tuple[float, int], float] = {}
    for variant, place in track(list(_variants(weights, terms, memory)), "fitting the joint model's weights"):
        joint = [_joint(head, variant, place) for head in heads]
        best = [_best_weight(head, scale, each) for head, each in zip(heads, joint, strict=True)]
        alone = sum(head.recalls(each[None])[0] for head, each in zip(heads, joint, strict=True))
        if not (variant.itm_weight or variant.uses_layouts):
            lm_alone[variant.prior_weight, variant.background_photos] = alone
        summed = sum(total for total, _ in best) - (MIN_GAIN if variant.itm_weight and variant.lm_weight else 0.0)
        chosen = dict(zip(DIRECTIONS, (weight for _, weight in best), strict=True))
        found.append((summed, alone, replace(variant, joint_weight=chosen)))
    fitted = max(found, key=lambda each: each[:2])[2]
    if not fitted.lm_weight and lm_alone:
        prior, background = max(lm_alone, key=lambda each: lm_alone[each])
        fitted = replace(fitted, prior_weight=prior, background_photos=background)
    return fitted


def _joint(head: Head, weights: RankingWeights, place: int) -> Tensor:
    """Joint scores (R, C) of a variant."""
    likelihood = head.terms.log_likelihood
    prior = head.priors[..., prior_column(weights, head.priors)]
    chosen = None if likelihood is None else likelihood[..., place]
    return joint_score(weights, head.terms._replace(log_likelihood=chosen, log_prior=prior))


def _best_weight(head: Head, scale: float, joint: Tensor) -> tuple[float, float]:
    """The highest sum of recalls in one direction, and the joint model's weight for it; 0 unless it gains enough."""
    weights = torch.tensor(JOINT_WEIGHTS)[:, None, None]
    sums = dict(zip(JOINT_WEIGHTS, head.recalls(scale * head.similarity + weights * joint), strict=True))
    best = max(sums, key=lambda each: sums[each])
    best = best if sums[best] >= sums[0.0] + MIN_GAIN else 0.0
    return sums[best], best


def _recalls(ranks: np.ndarray) -> float:
    """R@1 + R@5 + R@10 of ranks (Q,)."""
    return sum(recall(ranks).values())
