"""What fine-tuned runs make of one new photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.model.captioning import KaleidoBertForCaptioning, Limits
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_config, load_model, load_processor
from kaleidobert.model.processing import KaleidoBertProcessor

TOP = 3  # classes told of each task
RECOGNITION = ("category", "subcategory")


def describe(image: Image.Image, runs: Sequence[Path], text: str | None = None) -> dict[str, Any]:
    """The likeliest classes by task, each {"label", "probability" in percent}, and the title, from runs of each task.

    ``text``: what is known of the product in words, for runs that read it. Raises ``InputError`` for a run that
    tells nothing of a photo, for two of one task, and where a run needs the text.
    """
    found: dict[str, Any] = {}
    for run in runs:
        config = load_config(run)
        told = "title" if config.task == "captioning" else config.task
        if told not in ("title", *RECOGNITION):
            raise InputError(f"{run} was not fine-tuned for category, subcategory or captioning; give a run that was")
        if told in found:
            raise InputError(f"{run}: another run tells the {told} already; give one run a task")
        if told == "title":
            found[told] = title(run, image)
            continue
        if config.inputs != "image" and text is None:
            raise InputError(f"{run} reads a product's text; give it with --text, or a run of finetune --inputs image")
        found[told] = classes(run, image, text)
    return found


@torch.inference_mode()
def classes(run: Path, image: Image.Image, text: str | None) -> list[dict]:
    """The ``TOP`` classes, the likeliest first."""
    model, processor = load_model(run, KaleidoBertForClassification), load_processor(run)
    inputs = processor(images=image, text=text).to(model.device)
    best = model(**inputs).logits[0].softmax(dim=0).topk(min(TOP, len(model.class_names)))
    return [
        {"label": model.class_names[number], "probability": 100 * share}
        for number, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def title(run: Path, image: Image.Image) -> str:
    """What a text of this product might say."""
    model, processor = load_model(run, KaleidoBertForCaptioning), load_processor(run)
    return captions(model, processor, processor(images=image)["pixel_values"].to(model.device))[0]


def captions(
    model: KaleidoBertForCaptioning, processor: KaleidoBertProcessor, pixel_values: Tensor, beams: int = 3
) -> list[str]:
    """A text for each photo (B, 3, S, S), by beam search."""
    tokenizer: Any = processor.tokenizer
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    limits = Limits(start, end, [token for token in tokenizer.all_special_ids if token != end], beams)
    return tokenizer.batch_decode(model.generate(pixel_values, limits))
