"""What a trained model still needs to rank: reference vectors for hubness, and the weights of its scores."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from kaleidobert.metrics.retrieval import partner_ranks, retrieval_figures
from kaleidobert.model import KaleidoBertConfig, load_run
from kaleidobert.model.retrieval import KaleidoBertScoring
from kaleidobert.training.catalogue import Catalogue
from kaleidobert.training.collator import PairCollator
from kaleidobert.training.evaluate import autocast, candidate_table, choose_queries, encode, ranked_by, score

HUBNESS_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
JOINT_WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
FITTING_QUERIES = 300


def fit_scoring(run: Path, validation: Catalogue, seed: int = 0) -> dict[str, float]:
    """Find the weights of hubness and of the joint model by SumR on validation, and keep them in the run's config.

    Weight 0 is among those tried: what adds nothing is left out, and the figures show it.
    """
    model, processor = load_run(run)
    asked = choose_queries(len(validation), FITTING_QUERIES, seed)
    candidates = candidate_table(validation, asked, "101", seed)
    ways = score(model, encode(model, processor, validation), candidates)

    def sum_of_ranks(name: str, setting: str, weight: float) -> float:
        setattr(model.config, setting, weight)
        return retrieval_figures(*(partner_ranks(ranked_by(name, model, way).numpy()) for way in ways))["SumR"]

    fitted = {}
    for name, setting, weights in (
        ("vectors", "hubness_weight", HUBNESS_WEIGHTS),
        ("combined", "joint_weight", JOINT_WEIGHTS),
    ):
        fitted[setting] = max(weights, key=partial(sum_of_ranks, name, setting))
        setattr(model.config, setting, fitted[setting])
    config = KaleidoBertConfig.from_pretrained(run)
    config.update(fitted)
    config.save_pretrained(run)
    return fitted


@torch.inference_mode()
def fill_references(model: KaleidoBertScoring, tokenizer: PreTrainedTokenizerFast, train: Catalogue, seed: int) -> None:
    """Keep the vectors of ``reference_pairs`` training products in the model, which hubness is measured against."""
    count = model.config.reference_pairs
    rng = np.random.default_rng([seed, 1])
    chosen = np.resize(rng.permutation(len(train))[:count], count)  # a small catalogue is repeated
    collator = PairCollator(train, tokenizer, seed, augmented=False)
    model.eval()
    with autocast(model):
        for start in range(0, count, 128):
            batch = {name: value.to(model.device) for name, value in collator(chosen[start : start + 128]).items()}
            rows = slice(start, start + 128)
            model.reference_images[rows] = model.image_entry(batch["pixel_values"]).vectors
            model.reference_texts[rows] = model.text_entry(batch["input_ids"], batch["attention_mask"]).vectors
