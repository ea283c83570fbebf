"""Products, models and batches of the downstream tasks (patent: CR, SUBR, FC)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding

from kaleidobert.alignment.masking import special_tokens
from kaleidobert.errors import InputError
from kaleidobert.model.captioning import KaleidoBertForCaptioning
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.training.collators import Generators, PairCollator
from kaleidobert.training.dataset import PreparedDataset
from kaleidobert.training.sampling import Draw
from kaleidobert.training.settings import RunSettings

MODEL_INPUTS = ("photos", "augmentation", "pixel_values", "input_ids", "attention_mask")


def product_labels(task: str, dataset: PreparedDataset) -> list[str]:
    """The category or sub-category of every product; empty where it has none."""
    return {"category": dataset.categories, "subcategory": dataset.subcategories}[task]


def products_with_label(task: str, dataset: PreparedDataset, split: str) -> list[int]:
    """Indices of the products that have a label. Raises ``InputError`` where none has."""
    found = [index for index, label in enumerate(product_labels(task, dataset)) if label]
    if not found:
        raise InputError(f"no product of {split} has a {task}; add a column for it, or map one with --columns")
    return found


def products_with_text(dataset: PreparedDataset, split: str) -> list[int]:
    """Indices of the products that have a text. Raises ``InputError`` where none has."""
    found = [index for index, text in enumerate(dataset.texts) if text]
    if not found:
        raise InputError(f"no product of {split} has a text; captioning is trained and measured on texts")
    return found


def load_classifier(
    task: str, run: Path, settings: RunSettings, train: PreparedDataset, products: Sequence[int]
) -> KaleidoBertForClassification:
    """The encoder of a run with a new head, one class per label of these training products.

    Raises ``InputError`` where all of them have the same label.
    """
    labels = product_labels(task, train)
    names = sorted({labels[index] for index in products})
    if len(names) < 2:
        raise InputError(f"all products of train have the {task} {names[0]!r}; a classifier needs at least two classes")
    return load_model(
        run,
        KaleidoBertForClassification,
        new="classifier.",
        task=task,
        inputs=settings.model.get("inputs", "both"),
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )


def load_captioner(run: Path) -> KaleidoBertForCaptioning:
    """The encoder of a run with its pre-trained language-modelling head, or a new one where the run has none."""
    model, tokenizer = load_model(run, KaleidoBertForCaptioning, new="lm_head.", task="captioning"), _tokenizer(run)
    end = tokenizer.sep_token_id
    suppressed = sorted(special_tokens(tokenizer) - {end})
    model.set_special_tokens(tokenizer.cls_token_id, end, tokenizer.pad_token_id, suppressed)
    return model


def _tokenizer(run: Path) -> Any:
    return load_processor(run).tokenizer


class ClassificationCollator(PairCollator):
    """Batches for `KaleidoBertForClassification`: photos, texts and labels (B,).

    The label of a class that the model does not have is ``NO_LABEL``.
    """

    def __init__(
        self, dataset: PreparedDataset, *arguments: Any, task: str, classes: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(dataset, *arguments, **kwargs)
        number = {name: index for index, name in enumerate(classes)}
        self.labels = np.asarray([number.get(label, NO_LABEL) for label in product_labels(task, dataset)])

    def collate(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        batch = super().collate(draws)
        labels = torch.from_numpy(self.labels[[draw.product for draw in self.own(draws)]])
        return {name: batch[name] for name in MODEL_INPUTS if name in batch} | {"labels": labels}


class CaptioningCollator(PairCollator):
    """Batches for `KaleidoBertForCaptioning`: photos and whole texts."""

    def collate(self, draws: Sequence[Draw]) -> dict[str, Tensor]:
        batch = super().collate(draws)
        return {name: batch[name] for name in MODEL_INPUTS if name in batch} | {"labels": batch["input_ids"]}

    def encode(self, draws: Sequence[Draw], rngs: Generators) -> BatchEncoding:  # noqa: ARG002 (overrides)
        """Whole texts, never titles alone: a caption has the content of the whole text."""
        texts = [self.dataset.texts[draw.product] for draw in self.own(draws)]
        return self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
