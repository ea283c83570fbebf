"""What fine-tuned runs make of one new photo."""

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

TOP = 3  # classes told of each task
RECOGNITION = ("category", "subcategory")


def describe(image: Image.Image, runs: Sequence[Path], text: str | None = None) -> dict[str, Any]:
    """What ``Describer`` says, for one photo."""
    return Describer(runs).describe(image, text)


class Describer:
    """Runs of different tasks, loaded once. Safe to call from several threads.

    Raises ``InputError`` for a run that tells nothing of a photo, and for two of one task.
    """

    def __init__(self, runs: Sequence[Path]) -> None:
        self._readers: dict[str, _Reader] = {}
        self._one_at_a_time = threading.Lock()  # fast tokenizers refuse concurrent use
        for run in runs:
            config = load_config(run)
            told = "title" if config.task == "captioning" else config.task
            if told not in ("title", *RECOGNITION):
                raise InputError(
                    f"{run} was not fine-tuned for category, subcategory or captioning; give a run that was"
                )
            if told in self._readers:
                raise InputError(f"{run}: another run tells the {told} already; give one run a task")
            kind = KaleidoBertForCaptioning if told == "title" else KaleidoBertForClassification
            self._readers[told] = _Reader(run, load_model(run, kind), load_processor(run))

    @property
    def tells(self) -> list[str]:
        return [*self._readers]

    @torch.inference_mode()
    def describe(self, image: Image.Image, text: str | None = None) -> dict[str, Any]:
        """The likeliest classes by task, each {"label", "probability" in percent}, and the title.

        ``text``: what is known of the product in words; raises ``InputError`` where a run needs it.
        """
        with self._one_at_a_time:
            return {
                told: title(reader, image) if told == "title" else classes(reader, image, text)
                for told, reader in self._readers.items()
            }


class _Reader(NamedTuple):
    run: Path
    model: Any
    processor: KaleidoBertProcessor


def classes(reader: _Reader, image: Image.Image, text: str | None) -> list[dict]:
    """The ``TOP`` classes, the likeliest first."""
    run, model, processor = reader
    if model.config.inputs != "image" and text is None:
        raise InputError(f"{run} reads a product's text; give it with --text, or a run of finetune --inputs image")
    inputs = processor(images=image, text=text).to(model.device)
    best = model(**inputs).logits[0].softmax(dim=0).topk(min(TOP, len(model.class_names)))
    return [
        {"label": model.class_names[number], "probability": 100 * share}
        for number, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def title(reader: _Reader, image: Image.Image) -> str:
    """What a text of this product might say."""
    _, model, processor = reader
    return captions(model, processor, processor(images=image)["pixel_values"].to(model.device))[0]


def captions(
    model: KaleidoBertForCaptioning, processor: KaleidoBertProcessor, pixel_values: Tensor, beams: int = 3
) -> list[str]:
    """A text for each photo (B, 3, S, S), by beam search."""
    found = model.generate(pixel_values, num_beams=beams)
    return [closed_up(text) for text in processor.batch_decode(found, skip_special_tokens=True)]


def closed_up(text: str) -> str:
    """BERT's tokens set every mark apart: "men ' s t - shirt ( pack of 3 )" -> "men's t-shirt (pack of 3)"."""
    text = re.sub(r"(?<=\w) (['’/-]) (?=\w)", r"\1", text)
    text = re.sub(r"(?<=\d) ([.,]) (?=\d)", r"\1", text)
    return re.sub(r"(?<=\() | (?=[.,;:!?%)])", "", text)
