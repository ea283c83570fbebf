"""Describing a new photo with fine-tuned runs: its title, category and sub-category."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_config, load_model, load_processor
from kaleidobert.model.processing import KaleidoBertProcessor
from kaleidobert.model.unfinished import check_finished

TOP_CLASSES = 3  # classes returned per task
# The task that a run was fine-tuned for -> what it predicts and how.
FIELDS = {
    "captioning": ("title", KaleidoBertForCaptioning),
    "category": ("category", KaleidoBertForClassification),
    "subcategory": ("subcategory", KaleidoBertForClassification),
}


class _Run(NamedTuple):
    folder: Path
    model: Any
    processor: KaleidoBertProcessor


class Describer:
    """Fine-tuned runs, one per task, loaded once. Safe to call from several threads.

    Raises ``InputError`` for a run that was fine-tuned for another task, and for two runs of the same task.
    """

    def __init__(self, runs: Sequence[Path]) -> None:
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()  # fast tokenizers cannot be used concurrently
        for folder in runs:
            check_finished(folder)
            task = load_config(folder).task
            if task not in FIELDS:
                raise InputError(
                    f"{folder} was not fine-tuned for category, subcategory or captioning; choose a run that was"
                )
            field, model_class = FIELDS[task]
            if field in self._runs:
                raise InputError(f"{folder}: another run predicts the {field} already; give one run per task")
            self._runs[field] = _Run(folder, load_model(folder, model_class), load_processor(folder))

    @torch.inference_mode()
    def describe(self, image: Image.Image, text: str | None = None) -> dict[str, Any]:
        """One entry per run: ``title``, a string; ``category`` and ``subcategory``, the most probable classes.

        Each class is {"label", "probability" in percent}. ``text``: the product's text, for classifiers that take it;
        raises ``InputError`` where one needs it and it is None.
        """
        with self._lock:
            return {
                field: _title(run, image) if field == "title" else _top_classes(run, image, text)
                for field, run in self._runs.items()
            }


def _top_classes(run: _Run, image: Image.Image, text: str | None) -> list[dict]:
    """The ``TOP_CLASSES`` most probable classes, the most probable first."""
    folder, model, processor = run
    if model.config.inputs != "image" and text is None:
        raise InputError(
            f"{folder} needs the product's text; give it with --text, or use a run of finetune --inputs image"
        )
    inputs = processor(images=image, text=text).to(model.device)
    top = model(**inputs).logits[0].softmax(dim=0).topk(min(TOP_CLASSES, len(model.class_names)))
    return [
        {"label": model.class_names[number], "probability": 100 * probability}
        for number, probability in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]


def _title(run: _Run, image: Image.Image) -> str:
    pixel_values = run.processor(images=image)["pixel_values"].to(run.model.device)
    return generate_captions(run.model, run.processor, pixel_values)[0]


def generate_captions(
    model: KaleidoBertForCaptioning, processor: KaleidoBertProcessor, pixel_values: Tensor, beams: int = 3
) -> list[str]:
    """A text for each photo (B, 3, S, S), by beam search."""
    found = model.generate(pixel_values, num_beams=beams)
    return [detokenize(text) for text in processor.batch_decode(found, skip_special_tokens=True)]


def detokenize(text: str) -> str:
    """Remove the spaces that BERT's tokenizer puts around punctuation, and byte-level BPE at the start.

    "men ' s t - shirt ( pack of 3 )" -> "men's t-shirt (pack of 3)"; the library's own clean-up leaves hyphens and
    brackets apart.
    """
    text = re.sub(r"(?<=\w) (['’/-]) (?=\w)", r"\1", text)
    text = re.sub(r"(?<=\d) ([.,]) (?=\d)", r"\1", text)
    return re.sub(r"(?<=\() | (?=[.,;:!?%)])", "", text).strip()
