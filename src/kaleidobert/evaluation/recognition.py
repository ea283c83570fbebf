"""Category and sub-category recognition: metrics of a fine-tuned run and its confusion matrix (patent: CR, SUBR)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.measured_split import prepare_measured
from kaleidobert.evaluation.metrics.classification import classification_metrics, per_class_metrics
from kaleidobert.files import replacing, write_whole
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.loading import load_model, load_processor
from kaleidobert.progress import progress_bar
from kaleidobert.training.downstream import ClassificationCollator, product_labels, products_with_label

MOST_CLASSES_DRAWN = 60  # of more classes, the most frequent are drawn
MOST_CLASSES_WITH_VALUES = 20  # up to so many, each cell shows its value
BATCH = 128


def evaluate_recognition(
    task: str, data: str | Path, run: Path, split: str | None = None, reading: Reading = BY_DEFAULT
) -> dict:
    """Evaluate a run on one split: accuracy, micro_f1, macro_f1, SumCLS, metrics per class and confusion counts.

    Products without a label are left out and counted. A class that the run was not trained on is never predicted:
    its products count as wrong, and are counted in ``classes_never_trained`` and ``products_never_trained``.
    ``split``: see `measured_split`.
    Metrics and a picture of the confusion matrix are also written into the run's ``evaluation/``.
    Raises ``InputError`` for a run of another task, and where no product has a label.
    """
    model, processor = load_model(run, KaleidoBertForClassification), load_processor(run)
    if model.config.task != task:
        raise InputError(
            f"{run} was fine-tuned for {model.config.task}, not for {task}; choose another run, or another task"
        )
    dataset, split = prepare_measured(data, split, run, processor.image_processor, reading)
    products = products_with_label(task, dataset, split)
    classes = model.class_names
    collator = ClassificationCollator(dataset, processor.tokenizer, seed=0, augmented=False, task=task, classes=classes)
    predicted = [classes[number] for number in predict_classes(model, collator, products)]
    labels = product_labels(task, dataset)
    truth = [labels[index] for index in products]
    names = sorted({*truth, *predicted})
    counts = confusion_matrix(truth, predicted, labels=names)
    figures = {
        "task": task,
        "inputs": model.config.inputs,
        "split": split,
        "products": len(products),
        "data": Path(data).name,
        "products_without_label": len(dataset) - len(products),
        "classes": len(classes),
        "classes_never_trained": len(set(truth) - set(classes)),
        "products_never_trained": sum(name not in classes for name in truth),
        **classification_metrics(truth, predicted),
        "per_class": per_class_metrics(truth, predicted, names),
        "confusion": {"classes": names, "counts": counts.tolist()},
    }
    folder = run / "evaluation"
    folder.mkdir(exist_ok=True)
    write_whole(json.dumps(figures, indent=2) + "\n", folder / f"{task}-{split}.json")
    title = f"{task}, split {split}, accuracy {figures['accuracy']:.1f} %"
    draw_confusion(counts, names, title, folder / f"{task}-{split}.png")
    return figures


@torch.inference_mode()
def predict_classes(
    model: KaleidoBertForClassification, collator: ClassificationCollator, products: Sequence[int]
) -> list[int]:
    """The predicted class number of each product, from its first view and its whole text."""
    numbers: list[int] = []
    with torch.autocast(model.device.type, torch.bfloat16), progress_bar() as progress:
        for start in progress.track(range(0, len(products), BATCH), description="classifying"):
            batch = collator(products[start : start + BATCH])
            batch.pop("labels")
            logits = model(**{name: value.to(model.device) for name, value in batch.items()}).logits
            numbers += logits.argmax(dim=1).tolist()
    return numbers


def draw_confusion(counts: np.ndarray, names: Sequence[str], title: str, path: Path) -> None:
    """Draw confusion counts (C, C) as a PNG, rows normalised to percent of the true class.

    Of more than ``MOST_CLASSES_DRAWN`` classes the most frequent are drawn.
    """
    support = counts.sum(axis=1)
    drawn = np.sort(np.argsort(-support, kind="stable")[:MOST_CLASSES_DRAWN])
    if len(drawn) < len(names):
        title += f"\nthe {len(drawn)} most frequent of {len(names)} classes"
    percent = 100 * counts[np.ix_(drawn, drawn)] / np.maximum(support[drawn, None], 1)
    with_values = len(drawn) <= MOST_CLASSES_WITH_VALUES
    side = 3.5 + (0.4 if with_values else 0.22) * len(drawn)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(percent, display_labels=[names[index] for index in drawn])
    display.plot(
        include_values=with_values,
        values_format=".0f",
        cmap="Blues",
        xticks_rotation="vertical",
        ax=axes,
        colorbar=False,
        im_kw={"vmin": 0, "vmax": 100},
        text_kw={"fontsize": 8},
    )
    axes.set_yticks(range(len(drawn)), [f"{names[index]} ({support[index]:,})" for index in drawn])
    axes.tick_params(labelsize=8)
    axes.set(title=title, xlabel="predicted class", ylabel="true class (products)")
    figure.colorbar(display.im_, ax=axes, label="percent of the true class", shrink=0.8)
    for text in display.text_.flat if with_values else ():
        text.set_visible(text.get_text() != "0")
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=150, format=path.suffix[1:].lower())
