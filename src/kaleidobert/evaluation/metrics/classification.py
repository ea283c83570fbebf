"""Recognition metrics: classes in, percentages out (SEED: CR, SUBR)."""

from __future__ import annotations

import numpy as np


def confusion_counts(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64 from class numbers (N,): a row a true class, a column a predicted one."""
    cells = np.asarray(truth, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def class_table(counts: np.ndarray) -> dict[str, np.ndarray]:
    """precision, recall and f1 in percent, and support, (C,) each, from confusion counts; 0 where nothing divides."""
    right, support, guessed = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return {
        "precision": _percent(right, guessed),
        "recall": _percent(right, support),
        "f1": _percent(2 * right, support + guessed),
        "support": support,
    }


def classification_figures(counts: np.ndarray) -> dict[str, float]:
    """accuracy, micro_f1, macro_f1 and SumCLS, their sum, from confusion counts (C, C).

    Macro-F1 is the mean over classes that occur, as true ones or as predictions. Where each product has one class,
    micro-F1 equals the accuracy; it stands here as the publication sums all three.
    """
    right, products = float(np.trace(counts)), float(counts.sum())
    accuracy = 100 * right / products
    wrong = products - right  # each is a false positive of one class and a false negative of another
    micro = 100 * 2 * right / (2 * right + wrong + wrong)
    occur = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    macro = float(class_table(counts)["f1"][occur].mean())
    return {"accuracy": accuracy, "micro_f1": micro, "macro_f1": macro, "SumCLS": accuracy + micro + macro}


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return 100 * np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
