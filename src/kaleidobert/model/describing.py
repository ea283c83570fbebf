"""What fine-tuned runs make of one new photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_config, load_model, load_processor

TOP = 3  # classes told of each task
RECOGNITION = ("category", "subcategory")


def describe(image: Image.Image, runs: Sequence[Path], text: str | None = None) -> dict[str, list[dict]]:
    """The likeliest classes by task, each {"label", "probability" in percent}, from runs of different tasks.

    ``text``: what is known of the product in words, for runs that read it. Raises ``InputError`` for a run that
    recognises nothing, for two of one task, and where a run needs the text.
    """
    found: dict[str, list[dict]] = {}
    for run in runs:
        config = load_config(run)
        if config.task not in RECOGNITION:
            raise InputError(f"{run} was not fine-tuned for category or subcategory; give a run that was")
        if config.task in found:
            raise InputError(f"{run}: another run tells the {config.task} already; give one run a task")
        if config.inputs != "image" and text is None:
            raise InputError(f"{run} reads a product's text; give it with --text, or a run of finetune --inputs image")
        found[config.task] = classes(run, image, text)
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
