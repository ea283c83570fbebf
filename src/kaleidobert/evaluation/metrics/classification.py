"""Classification metrics: true and predicted class names in, percentages out (patent: CR, SUBR)."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support


def classification_metrics(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """accuracy, micro_f1, macro_f1, and SumCLS, their sum as published; in percent.

    Macro-F1 is the mean over the classes that occur, be it as true or as predicted ones. Micro-F1 equals the
    accuracy, as every product has exactly one class.
    """
    metrics = {
        "accuracy": 100 * float(accuracy_score(truth, predicted)),
        "micro_f1": 100 * float(f1_score(truth, predicted, average="micro")),
        "macro_f1": 100 * float(f1_score(truth, predicted, average="macro", zero_division=0)),
    }
    return metrics | {"SumCLS": sum(metrics.values())}


def per_class_metrics(
    truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """precision, recall and f1 in percent, and support, of each class; 0 where the denominator is 0."""
    table = precision_recall_fscore_support(truth, predicted, labels=list(classes), zero_division=0)
    return {
        name: {"precision": 100 * float(p), "recall": 100 * float(r), "f1": 100 * float(f1), "support": int(support)}
        for name, p, r, f1, support in zip(classes, *table, strict=True)
    }
