"""Published results, beside those of a run's own evaluations.

Fashion-Gen: Zhuge et al., Kaleido-BERT, CVPR 2021, Tables 2 and 3, as in the public repository mczhuge/Kaleido-BERT.
All in percent, F1 too. KAGL: zero-shot models, LEADERBOARD.md of marqo-ai/marqo-FashionCLIP (2024-08-09), from 0 to 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kaleidobert.evaluation.metrics.ranking import METRICS
from kaleidobert.evaluation.metrics.retrieval import recall_columns, recall_values
from kaleidobert.evaluation.tables import Row, Table, load_evaluations

SOURCE = "Fashion-Gen, as reported by Zhuge et al., CVPR 2021, Table"

DIRECTIONS = ("ITR", "TIR")  # in the order of the publication
RETRIEVAL: Mapping[str, Sequence[float | None]] = {
    "VSE": (4.01, 11.03, 22.14, 4.35, 12.76, 20.91, 75.20),
    "VSE++": (4.59, 14.99, 24.10, 4.60, 16.89, 28.99, 94.16),
    "SCAN": (4.59, 16.50, 26.60, 4.30, 13.00, 22.30, 87.29),
    "PFAN": (4.29, 14.90, 24.20, 6.20, 20.79, 31.52, 101.90),
    "ViLBERT": (20.97, 40.49, 48.21, 21.12, 37.23, 50.11, 218.13),
    "VLBERT": (19.26, 39.90, 46.05, 22.63, 36.48, 48.52, 212.84),
    "FashionBERT": (23.96, 46.31, 52.12, 26.75, 46.48, 55.74, 251.36),
    "ImageBERT": (22.76, 41.89, 50.77, 24.78, 45.20, 55.90, 241.30),
    "OSCAR": (23.39, 44.67, 52.55, 25.10, 49.14, 56.68, 251.53),
    "Kaleido-BERT (published)": (27.99, 60.09, 68.37, 33.88, 60.60, 68.59, 319.52),
}

CAPTIONING = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")  # the published SumCAP sums these four, without SPICE
TASK_COLUMNS = [
    *("category accuracy", "category macro-F", "sub-category accuracy", "sub-category macro-F", "SumCLS"),
    *CAPTIONING,
    "SumCAP",
]
TASKS: Mapping[str, Sequence[float | None]] = {
    "FashionBERT": (91.25, 70.5, 85.27, 62.0, 309.02, 3.3, 9.8, 29.7, 30.1, 72.9),
    "ImageBERT": (90.77, 69.9, 80.11, 57.5, 298.28, None, None, None, None, None),
    "OSCAR": (91.79, 72.7, 84.23, 59.1, 307.82, 4.5, 10.9, 30.1, 30.7, 76.2),
    "Kaleido-BERT (published)": (95.07, 71.4, 88.07, 63.6, 318.14, 5.7, 12.8, 32.9, 32.6, 84.0),
}


KAGL_PRODUCTS = 44_434
KAGL: Mapping[str, Mapping[str, Mapping[str, float]]] = {  # by task and model
    "text to image": {
        "FashionCLIP 2": {"R@1": 0.122, "R@10": 0.404, "MRR": 0.217},
        "SigLIP B/16": {"R@1": 0.169, "R@10": 0.468, "MRR": 0.272},
        "Marqo-FashionCLIP": {"R@1": 0.159, "R@10": 0.446, "MRR": 0.265},
        "Marqo-FashionSigLIP": {"R@1": 0.179, "R@10": 0.489, "MRR": 0.293},
    },
    "category": {
        "FashionCLIP 2": {"P@1": 0.714, "P@10": 0.686, "MRR": 0.714},
        "SigLIP B/16": {"P@1": 0.714, "P@10": 0.700, "MRR": 0.714},
        "Marqo-FashionCLIP": {"P@1": 0.714, "P@10": 0.571, "MRR": 0.714},
        "Marqo-FashionSigLIP": {"P@1": 0.571, "P@10": 0.686, "MRR": 0.643},
    },
    "sub-category": {
        "FashionCLIP 2": {"P@1": 0.600, "P@10": 0.571, "MRR": 0.627},
        "SigLIP B/16": {"P@1": 0.689, "P@10": 0.644, "MRR": 0.731},
        "Marqo-FashionCLIP": {"P@1": 0.667, "P@10": 0.613, "MRR": 0.691},
        "Marqo-FashionSigLIP": {"P@1": 0.711, "P@10": 0.687, "MRR": 0.756},
    },
    "fine category": {
        "FashionCLIP 2": {"P@1": 0.634, "P@10": 0.577, "MRR": 0.694},
        "SigLIP B/16": {"P@1": 0.669, "P@10": 0.611, "MRR": 0.736},
        "Marqo-FashionCLIP": {"P@1": 0.725, "P@10": 0.613, "MRR": 0.772},
        "Marqo-FashionSigLIP": {"P@1": 0.704, "P@10": 0.629, "MRR": 0.763},
    },
    "colour": {
        "FashionCLIP 2": {"P@1": 0.413, "P@10": 0.443, "MRR": 0.518},
        "SigLIP B/16": {"P@1": 0.500, "P@10": 0.417, "MRR": 0.564},
        "Marqo-FashionCLIP": {"P@1": 0.500, "P@10": 0.496, "MRR": 0.614},
        "Marqo-FashionSigLIP": {"P@1": 0.587, "P@10": 0.502, "MRR": 0.664},
    },
    "season": {
        "FashionCLIP 2": {"P@1": 0.500, "P@10": 0.225, "MRR": 0.550},
        "SigLIP B/16": {"P@1": 0.250, "P@10": 0.400, "MRR": 0.375},
        "Marqo-FashionCLIP": {"P@1": 0.250, "P@10": 0.425, "MRR": 0.542},
        "Marqo-FashionSigLIP": {"P@1": 0.500, "P@10": 0.350, "MRR": 0.500},
    },
    "usage": {
        "FashionCLIP 2": {"P@1": 0.250, "P@10": 0.237, "MRR": 0.275},
        "SigLIP B/16": {"P@1": 0.500, "P@10": 0.388, "MRR": 0.500},
        "Marqo-FashionCLIP": {"P@1": 0.250, "P@10": 0.263, "MRR": 0.354},
        "Marqo-FashionSigLIP": {"P@1": 0.375, "P@10": 0.400, "MRR": 0.438},
    },
}


def kagl_tables(figures: Mapping[str, Any]) -> list[Table]:
    """A table for each KAGL task of an evaluation, with the published zero-shot models above its rows."""
    tasks = dict.fromkeys(task for row in figures["rows"].values() for task in row)
    note = "trained on this shop" if figures["trained_on"] == figures["data"] else f"trained on {figures['trained_on']}"
    tables = []
    for task in tasks:
        published = [Row(name, [None, *_metrics(cells)]) for name, cells in KAGL.get(task, {}).items()]
        own = [
            Row(f"{row.replace('_memory', ' + memory')}, {group}", [f"{found['queries']:,}", *_metrics(found)])
            for row, by_task in figures["rows"].items()
            for group, found in by_task.get(task, {}).items()
        ]
        groups = {f"zero-shot, {KAGL_PRODUCTS:,} products, as published": published} if published else {}
        here = f"{note}, {figures['products']:,} products, {figures['trained']:,} of them in the train split"
        tables.append(Table(f"KAGL, {task}, from 0 to 1", ["queries", *METRICS], groups | {here: own}))
    return tables


def _metrics(figures: Mapping[str, float]) -> list[str | None]:
    return [f"{figures[metric]:.3f}" if metric in figures else None for metric in METRICS]


def published_tables(runs: Mapping[str, Path]) -> list[Table]:
    """The publication's two tables with a row for each evaluation of the runs, and those of KAGL evaluations; none of a
    table without evaluations."""
    retrieval, tasks = _retrieval_rows(runs), _task_rows(runs)
    tables = []
    if retrieval:
        caption = "Retrieval compared with the publication, in percent"
        tables.append(Table(caption, recall_columns(DIRECTIONS), _groups("2", RETRIEVAL, retrieval)))
    if tasks:
        caption = (
            "Recognition and captioning compared with the publication, in percent. As published, SumCLS is the sum of "
            "accuracy and macro-F of both tasks, and SumCAP the sum of the four captioning metrics"
        )
        tables.append(Table(caption, TASK_COLUMNS, _groups("3", TASKS, tasks)))
    for name, run in runs.items():
        for figures in load_evaluations(run, "kagl"):
            tables += [replace(table, caption=f"{name}: {table.caption}") for table in kagl_tables(figures)]
    return tables


def data_note(figures: Mapping[str, Any]) -> str:
    """The data of an evaluation, and whether its figures can be compared with those of the publication."""
    data = figures.get("data")
    if data is None:
        return "data not recorded: not comparable with Fashion-Gen"
    letters = "".join(letter for letter in data.lower() if letter.isalnum())
    return "Fashion-Gen" if "fashiongen" in letters else f"{data}: another data set, not comparable with Fashion-Gen"


def _groups(
    table: str, published: Mapping[str, Sequence[float | None]], own: Sequence[Row]
) -> dict[str, Sequence[Row]]:
    return {f"{SOURCE} {table}": [Row(name, cells) for name, cells in published.items()], "Evaluated here": own}


def _retrieval_rows(runs: Mapping[str, Path]) -> list[Row]:
    rows = []
    for name, run in runs.items():
        for figures in load_evaluations(run, "retrieval"):
            for scorer in (scorer for scorer in ("vectors", "combined") if scorer in figures):
                protocol = f"{figures['protocol']}, {figures['queries']:,} queries ({data_note(figures)})"
                rows.append(Row(f"{name}, {scorer}, {protocol}", recall_values(figures[scorer], DIRECTIONS)))
    return rows


def _task_rows(runs: Mapping[str, Path]) -> list[Row]:
    """A row per run and data set; where several runs cover different tasks of one data set, also a row of all runs."""
    rows: list[Row] = []
    by_data: dict[str, list[tuple[str, dict]]] = defaultdict(list)
    for name, run in runs.items():
        for task in ("category", "subcategory", "captioning"):
            for figures in load_evaluations(run, task):
                by_data[data_note(figures)].append((name, figures))
    for note, evaluations in by_data.items():
        names = sorted({name for name, _ in evaluations})
        for name in names:
            rows += _merged([figures for owner, figures in evaluations if owner == name], f"{name} ({note})")
        if len(names) > 1 and len({figures["task"] for _, figures in evaluations}) == len(evaluations):
            rows += _merged([figures for _, figures in evaluations], f"{' and '.join(names)} ({note})")
    return rows


def _merged(evaluations: Sequence[dict], heading: str) -> list[Row]:
    """One row of all evaluations where each is of another task, otherwise one row per evaluation."""
    by_task = {figures["task"]: figures for figures in evaluations}
    if len(by_task) < len(evaluations):
        return [row for figures in evaluations for row in _merged([figures], f"{heading}, {_details(figures)}")]
    recognition = [
        by_task.get(task, {}).get(metric) for task in ("category", "subcategory") for metric in ("accuracy", "macro_f1")
    ]
    captioning = [by_task.get("captioning", {}).get(metric) for metric in CAPTIONING]
    return [Row(heading, [*recognition, _sum(recognition), *captioning, _sum(captioning)])]


def _details(figures: Mapping[str, Any]) -> str:
    details = (figures["task"], figures.get("inputs"), figures["split"], f"{figures['products']:,} products")
    return ", ".join(filter(None, details))


def _sum(values: Sequence[float | None]) -> float | None:
    """None where a value is missing."""
    present = [value for value in values if value is not None]
    return sum(present) if len(present) == len(values) else None
