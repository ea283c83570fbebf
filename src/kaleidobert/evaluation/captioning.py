"""Captioning: batches of photos with their whole texts, and how near a run's captions come to the texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.captioning import caption_figures, check_tools
from kaleidobert.evaluation.protocols import choose_queries
from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.describing import captions
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.progress import progress_bar
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare

BATCH = 64


def described(catalogue: PreparedDataset, split: str) -> list[int]:
    """Indices of the products that have a text. Raises ``InputError`` where none has."""
    found = [index for index, text in enumerate(catalogue.texts) if text]
    if not found:
        raise InputError(f"no product of {split} has a text; captions are learnt from texts")
    return found


def start_captioner(run: Path) -> KaleidoBertForCaptioning:
    """A run's encoder, with pre-training's head over the vocabulary where the run still has it."""
    return load_model(run, KaleidoBertForCaptioning, new="masked_tokens.", task="captioning")


class CaptioningCollator(PairCollator):
    """Photos and whole texts of a batch, as `KaleidoBertForCaptioning` trains on them."""

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rng = self.generator(indices)
        batch, _ = self.pairs(indices, self.encode(indices, rng), rng)
        return self.own({name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")})

    def encode(self, indices: Sequence[int], rng: np.random.Generator) -> BatchEncoding:  # noqa: ARG002
        """No titles alone: a caption should say what the texts say."""
        texts = [self.catalogue.texts[index] for index in indices]
        return self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")


def evaluate_captioning(
    data: str | Path,
    run: Path,
    split: str = "test",
    columns: Mapping[str, str] | None = None,
    products: int | None = None,
    seed: int = 0,
    beams: int = 3,
) -> dict:
    """Figures with DESIGN's keys: each metric in percent, None where it was not computed, SumCAP and SumCAP_of.

    Of each product's first photo a caption; the product's whole text is the reference. ``products``: how many of the
    split are described, drawn by ``seed``; all where not given. Captions are saved in the run's ``evaluation/``.
    """
    check_tools()  # before the long part
    model, processor = load_model(run, KaleidoBertForCaptioning), load_processor(run)
    if model.config.task != "captioning":
        raise InputError(f"{run} was not fine-tuned for captioning; give a run of kaleidobert finetune captioning")
    catalogue = prepare(data, split, processor.image_processor, columns)
    texts = described(catalogue, split)
    chosen = [texts[index] for index in choose_queries(len(texts), products, seed)]
    collator = CaptioningCollator(catalogue, processor.tokenizer, seed=0, augmented=False)
    said: list[str] = []
    with torch.autocast(model.device.type, torch.bfloat16), progress_bar() as progress:
        for start in progress.track(range(0, len(chosen), BATCH), description="captioning"):
            pixels = collator(chosen[start : start + BATCH])["pixel_values"].to(model.device)
            said += captions(model, processor, pixels, beams)
    references = [catalogue.texts[index] for index in chosen]
    figures: dict = {"task": "captioning", "split": split, "products": len(chosen), "beams": beams}
    figures["data"] = Path(data).name
    figures["products_without_text"] = len(catalogue) - len(texts)
    figures |= caption_figures(references, said)
    place, name = run / "evaluation", f"{split}-{len(chosen)}-beams{beams}.json"
    place.mkdir(exist_ok=True)
    rows = [
        {"id": catalogue.ids[index], "caption": caption, "text": text}
        for index, caption, text in zip(chosen, said, references, strict=True)
    ]
    (place / f"captions-{name}").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    (place / f"captioning-{name}").write_text(json.dumps(figures, indent=2) + "\n")
    return figures
