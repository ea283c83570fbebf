"""What a trained model still needs to rank: a memory of training pairs, and the weights of its scores."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Trainer

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_calibration import fit_calibration
from kaleidobert.evaluation.metrics.retrieval import partner_ranks, recall
from kaleidobert.evaluation.protocols import candidate_table, choose_queries
from kaleidobert.evaluation.retrieval import (
    FITTED,
    Encoded,
    Scores,
    autocast,
    encode,
    pairs,
    ranked_by,
    score,
    vector_parts,
)
from kaleidobert.model import KaleidoBertConfig, load_run
from kaleidobert.model.configuration import JOINT_SCORERS
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.progress import progress_bar
from kaleidobert.scoring.pair_scorer import RERANK, KaleidoBertScoring
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.runs import save_run

_LOGGER = logging.getLogger(__name__)
MEMORY_PAIRS = 40_000  # of a larger catalogue some, drawn at random
MEMORY_WEIGHTS = (0.0, 0.3, 0.6, 1.0)
HUBNESS_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEMORY_TOKENS = 32  # of each text: titles come first
NEIGHBOUR_WORD_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65)
NEIGHBOUR_PMI_WEIGHTS = (0.0, 0.5, 1.0, 2.0)
PRIOR_WEIGHTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
JOINT_WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
VECTOR_QUERIES, JOINT_QUERIES = 2000, 1000
LEAST_GAIN = 1.0  # of a direction's three recalls together: less is noise, and not worth a joint pass a candidate


def save_ranker(
    tokenizer: PreTrainedTokenizerFast, train: PreparedDataset, validation: PreparedDataset, trainer: Trainer, out: Path
) -> dict[str, Any]:
    """Fill the trained model's memory, write the run folder, and fit the scores; returns their weights."""
    model: Any = trainer.model
    fill_memory(model, tokenizer, train, trainer.args.seed)
    save_run(trainer, out)
    fitted = fit_scoring(out, validation, trainer.args.seed)
    try:
        fit_calibration(out, validation, trainer.args.seed)
    except InputError as error:  # a few products are enough to train on, and to learn how the program works
        _LOGGER.warning("%s", error)
    return fitted


def remember(
    data: str | Path, run: Path, split: str = "validation", columns: Mapping[str, str] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Fill a finished run's memory anew with ``data``'s train split, and fit the scores on ``split``: their weights.

    The other weights stay as they are, so a run trained elsewhere gets to know a shop without training.
    """
    model = load_model(run, KaleidoBertForRetrieval, neighbour_word_weight=0.0)  # whatever its memory lacks
    processor = load_processor(run)
    train, fitted_on = (prepare(data, each, processor.image_processor, columns) for each in ("train", split))
    fill_memory(model, processor.tokenizer, train, seed)
    file, scratch = run / "model.safetensors", run / "model.safetensors.part"
    parts = {"memory.": model.memory, "looks.": model.looks}
    kept = {name: each for name, each in load_file(file).items() if not name.startswith(tuple(parts))}
    held = {part + name: each.cpu() for part in parts for name, each in parts[part].state_dict().items()}
    save_file(kept | held, scratch, metadata={"format": "pt"})
    os.replace(scratch, file)
    config = KaleidoBertConfig.from_pretrained(run)
    config.update({name: getattr(model.config, name) for name in ("memory_pairs", "memory_looks", "memory_tokens")})
    config.save_pretrained(run)
    return fit_scoring(run, fitted_on, seed)


def fit_scoring(run: Path, validation: PreparedDataset, seed: int = 0) -> dict[str, Any]:
    """Find the weights of memory, hubness and joint model by recall on validation, and keep them in the run's config.

    So is what the joint model is asked, whether a pair matches or how its text reads: what ranks better beside vectors.

    The joint model has a weight for each direction, as it may help one alone. Weight 0 is among those tried: what adds
    nothing is left out, and the figures show it. So is a joint model that adds less than ``LEAST_GAIN``.
    """
    model, processor = load_run(run)
    encoded = encode(model, processor, validation)
    settings = model.config
    settings.prior_weight, settings.neighbour_word_weight, settings.neighbour_pmi_weight = 1.0, 0.0, 0.0

    asked = choose_queries(len(validation), VECTOR_QUERIES, seed)
    candidates = candidate_table(validation, asked, "101", seed)
    missing = torch.from_numpy(candidates < 0)
    sums = {}
    for settings.memory_weight in MEMORY_WEIGHTS:
        parts = vector_parts(model, encoded, candidates)
        for settings.hubness_weight in HUBNESS_WEIGHTS:
            ways = [model.similarity(*part).masked_fill(missing, float("-inf")) for part in parts]
            sums[settings.memory_weight, settings.hubness_weight] = sum(map(_recalls, ways))
    settings.memory_weight, settings.hubness_weight = max(sums, key=lambda each: sums[each])

    candidates = candidate_table(validation, choose_queries(len(validation), JOINT_QUERIES, seed), "101", seed)
    _fit_joint(model, _joint_variants(model, encoded, candidates))

    fitted = {name: getattr(settings, name) for name in FITTED}
    config = KaleidoBertConfig.from_pretrained(run)
    config.update(fitted)
    config.save_pretrained(run)
    return fitted


def _joint_variants(
    model: KaleidoBertForRetrieval, encoded: Encoded, candidates: np.ndarray
) -> Iterator[tuple[dict[str, Any], Sequence[Scores]]]:
    """Each way to score pairs jointly, as settings, and what it gives; the plainest reading comes first of caption_log_likelihood."""
    priors = [encoded.priors[text].unbind(dim=-1) for text, _ in pairs(candidates)]
    for scorer in _trained_scorers(model.config.loss_weights):
        model.config.joint_scorer = scorer
        words, alone = (NEIGHBOUR_WORD_WEIGHTS, PRIOR_WEIGHTS) if scorer == "reading" else ((0.0,), (0.0,))
        ways = score(model, encoded, candidates, RERANK, partial(_joint_parts, model, word_weights=words))
        for (place, word), prior, agreement in product(enumerate(words), alone, NEIGHBOUR_PMI_WEIGHTS):
            weighed = [
                replace(way, joint=way.joint[..., place] - prior * own + agreement * (way.joint[..., -1] - common))
                for way, (own, common) in zip(ways, priors, strict=True)
            ]
            settings = {"joint_scorer": scorer, "neighbour_pmi_weight": agreement}
            yield (
                settings | ({"neighbour_word_weight": word, "prior_weight": prior} if scorer == "reading" else {}),
                weighed,
            )


def _joint_parts(
    model: KaleidoBertForRetrieval,
    ids: Tensor,
    mask: Tensor,
    patches: Tensor,
    photos: Tensor,
    priors: Tensor,
    word_weights: Sequence[float],
) -> Tensor:
    """Of P pairs (P, W + 1): their scores with each of W weights of words, and what text and photo remind of alike."""
    recalled = model.recall(patches, photos)
    if model.config.joint_scorer == "matching":
        scores = model.joint_scores(ids, mask, patches, photos, priors)[:, None]
    else:
        scores = model.caption_log_likelihood(ids, mask, patches, photos, recalled, word_weights)
    agreement = scores.new_zeros(len(scores)) if recalled is None else model.looks.neighbour_text_pmi(ids, recalled)
    return torch.cat([scores, agreement[:, None]], dim=1)


def _fit_joint(model: KaleidoBertForRetrieval, variants: Iterable[tuple[Mapping[str, Any], Sequence[Scores]]]) -> None:
    """Set the variant and, of each direction, the weight that rank best beside the vectors.

    Where no variant adds enough to either, it is the one that ranks best alone.
    """
    config, found = model.config, []
    for variant, ways in variants:
        sums, weights = zip(*(_best_weight(model, way) for way in ways), strict=True)
        alone = sum(_recalls(ranked_by("joint", model, way)) for way in ways)
        chosen = dict(zip(("joint_weight", "joint_weight_itr"), weights, strict=True))
        found.append((sum(sums), alone, {**variant, **chosen}))
    config.update(max(found, key=lambda each: each[:2])[2])


def _best_weight(model: KaleidoBertForRetrieval, way: Scores) -> tuple[float, float]:
    """Of one direction, the joint model's weight that ranks best, and its recalls' sum; 0 unless it adds enough."""
    config, sums = model.config, {}
    for weight in JOINT_WEIGHTS:
        config.joint_weight = config.joint_weight_itr = weight
        sums[weight] = _recalls(ranked_by("combined", model, way))
    best = max(sums, key=lambda each: sums[each])
    best = best if sums[best] >= sums[0.0] + LEAST_GAIN else 0.0
    return sums[best], best


def _trained_scorers(loss_weights: Mapping[str, float]) -> list[str]:
    losses = dict(zip(JOINT_SCORERS, ("ITM", "LM"), strict=True))
    return [name for name in JOINT_SCORERS if loss_weights.get(losses[name], 1.0)] or [JOINT_SCORERS[0]]


def _recalls(scores: Tensor) -> float:
    """R@1, R@5 and R@10 of scores (Q, C), together."""
    return sum(recall(partner_ranks(scores.numpy())).values())


def fill_memory(
    model: KaleidoBertScoring, tokenizer: PreTrainedTokenizerFast, train: PreparedDataset, seed: int
) -> None:
    """Let the model remember its training products' vectors and words, those of at most ``MEMORY_PAIRS``."""
    chosen = np.random.default_rng([seed, 1]).permutation(len(train))[:MEMORY_PAIRS]
    model.remember(*plain_pairs(model, tokenizer, train, chosen.tolist(), "remembering the training products"))


@torch.inference_mode()
def plain_pairs(
    model: KaleidoBertScoring,
    tokenizer: PreTrainedTokenizerFast,
    catalogue: PreparedDataset,
    rows: Sequence[int],
    title: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of M products, their first views and texts, what the model remembers.

    Plain vectors of both (M, V), the photos' layouts (M, F) float16, and tokens (M, ``MEMORY_TOKENS``).
    """
    collator = PairCollator(catalogue, tokenizer, seed=0, augmented=False)
    parts: list[list[Tensor]] = [[], [], [], []]
    model.eval()
    with autocast(model), progress_bar() as progress:
        for start in progress.track(range(0, len(rows), 128), description=title):
            batch = collator(rows[start : start + 128])
            ids, mask = batch["input_ids"].to(model.device), batch["attention_mask"].to(model.device)
            image = model.encode_image_plain(batch["pixel_values"].to(model.device))
            texts = model.kaleidobert.encode_text(ids, mask).vectors
            room = max(0, MEMORY_TOKENS - ids.shape[1])
            tokens = F.pad(ids[:, :MEMORY_TOKENS], (0, room), value=tokenizer.pad_token_id)
            found = (image.vectors, texts, model.layouts(image.patches).half(), tokens)
            for part, values in zip(parts, found, strict=True):
                part.append(values)
    images, texts, layouts, tokens = map(torch.cat, parts)
    return images, texts, layouts, tokens
