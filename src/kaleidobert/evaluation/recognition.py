"""Category and sub-category recognition: labelled products, their batches, and how often a run is right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.classification import class_table, classification_figures, confusion_counts
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.progress import progress_bar
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import RunSettings

DRAWN_CLASSES = 60  # of more the most frequent are drawn
NUMBERED_CLASSES = 20  # up to so many, cells bear their counts
BATCH = 128


def labels_of(task: str, catalogue: PreparedDataset) -> list[str]:
    """Each product's category or sub-category; empty where it has none."""
    return {"category": catalogue.categories, "subcategory": catalogue.subcategories}[task]


def labelled(task: str, catalogue: PreparedDataset, split: str) -> list[int]:
    """Indices of the products that have a label. Raises ``InputError`` where none has."""
    found = [index for index, label in enumerate(labels_of(task, catalogue)) if label]
    if not found:
        raise InputError(f"no product of {split} has a {task}; give a column for it, or map one with --columns")
    return found


def start_recogniser(
    task: str, run: Path, settings: RunSettings, train: PreparedDataset, products: Sequence[int]
) -> KaleidoBertForClassification:
    """A run's encoder with a head for the labels of these training products."""
    labels = labels_of(task, train)
    names = sorted({labels[index] for index in products})
    if len(names) < 2:
        raise InputError(f"all products of train have the {task} {names[0]!r}; there is nothing to tell apart")
    return load_model(
        run,
        KaleidoBertForClassification,
        new="classifier.",
        task=task,
        inputs=settings.model.get("inputs", "both"),
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )


class LabelCollator(PairCollator):
    """Photos and texts of a batch with labels (B,), as `KaleidoBertForClassification` trains on them.

    A class that the model does not know is ``NO_LABEL``.
    """

    def __init__(
        self, catalogue: PreparedDataset, *arguments: Any, task: str, classes: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__(catalogue, *arguments, **kwargs)
        number = {name: index for index, name in enumerate(classes)}
        self.labels = np.asarray([number.get(label, NO_LABEL) for label in labels_of(task, catalogue)])

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rng = self.generator(indices)
        batch, _ = self.pairs(indices, self.encode(indices, rng), rng)
        read = {name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}
        return self.own(read | {"labels": torch.from_numpy(self.labels[np.asarray(indices)])})


def evaluate_recognition(
    task: str, data: str | Path, run: Path, split: str = "test", columns: Mapping[str, str] | None = None
) -> dict:
    """Figures with DESIGN's keys: accuracy, micro_f1, macro_f1 and SumCLS; a table by class; confusion counts.

    Products without a label are left out and counted. A class that was not trained is never predicted: its products
    count as wrong, and ``classes_never_trained`` and ``products_never_trained`` say how many. The figures and a
    picture of the confusion are also written into the run's ``evaluation/``.
    """
    model, processor = load_model(run, KaleidoBertForClassification), load_processor(run)
    if model.config.task != task:
        raise InputError(f"{run} was fine-tuned for {model.config.task}, not for {task}; give another run, or task")
    catalogue = prepare(data, split, processor.image_processor, columns)
    products = labelled(task, catalogue, split)
    trained = model.class_names
    collator = LabelCollator(catalogue, processor.tokenizer, seed=0, augmented=False, task=task, classes=trained)
    predicted = [trained[number] for number in predict(model, collator, products)]
    labels = labels_of(task, catalogue)
    truth = [labels[index] for index in products]
    figures: dict = {"task": task, "inputs": model.config.inputs, "split": split, "products": len(products)}
    figures["data"] = Path(data).name
    figures["products_without_label"] = len(catalogue) - len(products)
    figures["classes"] = len(trained)
    figures["classes_never_trained"] = len(set(truth) - set(trained))
    figures["products_never_trained"] = sum(name not in trained for name in truth)
    names = sorted({*truth, *predicted})
    number = {name: index for index, name in enumerate(names)}
    true, guessed = (np.array([number[name] for name in each]) for each in (truth, predicted))
    counts = confusion_counts(true, guessed, len(names))
    table = class_table(counts)
    figures |= classification_figures(counts)
    figures["per_class"] = {
        name: {key: values[row].item() for key, values in table.items()} for row, name in enumerate(names)
    }
    figures["confusion"] = {"classes": names, "counts": counts.tolist()}
    place = run / "evaluation"
    place.mkdir(exist_ok=True)
    (place / f"{task}-{split}.json").write_text(json.dumps(figures, indent=2) + "\n")
    title = f"{task} of {split}, accuracy {figures['accuracy']:.1f} %"
    draw_confusion(counts, names, title, place / f"{task}-{split}.png")
    return figures


@torch.inference_mode()
def predict(model: KaleidoBertForClassification, collator: LabelCollator, products: Sequence[int]) -> list[int]:
    """The class number of each product, from its first view and its whole text."""
    numbers: list[int] = []
    with torch.autocast(model.device.type, torch.bfloat16), progress_bar() as progress:
        for start in progress.track(range(0, len(products), BATCH), description="recognising"):
            batch = collator(products[start : start + BATCH])
            batch.pop("labels")
            logits = model(**{name: value.to(model.device) for name, value in batch.items()}).logits
            numbers += logits.argmax(dim=1).tolist()
    return numbers


def draw_confusion(counts: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """Shares of each true class (a row) by what it was taken for; at most ``DRAWN_CLASSES`` classes, the largest."""
    kept = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:DRAWN_CLASSES])
    if len(kept) < len(names):
        title += f"; the {len(kept)} most frequent of {len(names)} classes"
    shares = counts[np.ix_(kept, kept)] / np.maximum(counts.sum(axis=1)[kept, None], 1)
    side = 3 + 0.22 * len(kept)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(kept)), [names[index] for index in kept], rotation=90, fontsize=7)
    axes.set_yticks(range(len(kept)), [names[index] for index in kept], fontsize=7)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    figure.colorbar(drawn, label="share of the true class")
    if len(kept) <= NUMBERED_CLASSES:
        for (row, column), share in np.ndenumerate(shares):
            if share:
                colour = "white" if share > 0.5 else "black"
                count = counts[kept[row], kept[column]]
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=6)
    figure.savefig(path, dpi=150)
