"""What the publication reports on Fashion-Gen, and the same columns of a run's own evaluations, as HTML tables.

Figures: Zhuge et al., Kaleido-BERT, CVPR 2021, Tables 2 and 3, read from the paper in the public repository
mczhuge/Kaleido-BERT. All rates in percent, F too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

Row = Sequence[float | None]
SOURCE = "Fashion-Gen, as reported by Zhuge et al., CVPR 2021, Table"

RETRIEVAL_COLUMNS = [*(f"{way} R@{k}" for way in ("ITR", "TIR") for k in (1, 5, 10)), "SumR"]
RETRIEVAL: Mapping[str, Row] = {
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

CAPTIONING = ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr")  # what the published SumCAP sums: no SPICE
TASK_COLUMNS = [
    *("category accuracy", "category macro-F", "sub-category accuracy", "sub-category macro-F", "SumCLS"),
    *CAPTIONING,
    "SumCAP",
]
TASKS: Mapping[str, Row] = {
    "FashionBERT": (91.25, 70.5, 85.27, 62.0, 309.02, 3.3, 9.8, 29.7, 30.1, 72.9),
    "ImageBERT": (90.77, 69.9, 80.11, 57.5, 298.28, None, None, None, None, None),
    "OSCAR": (91.79, 72.7, 84.23, 59.1, 307.82, 4.5, 10.9, 30.1, 30.7, 76.2),
    "Kaleido-BERT (published)": (95.07, 71.4, 88.07, 63.6, 318.14, 5.7, 12.8, 32.9, 32.6, 84.0),
}


def published_tables(runs: Mapping[str, Path]) -> list[str]:
    """The publication's two tables, with a row for each of the runs' evaluations; without any, none."""
    retrieval, tasks = _retrieval_rows(runs), _task_rows(runs)
    tables = []
    if retrieval:
        caption = "Retrieval beside the publication's, in percent"
        tables.append(_table(caption, RETRIEVAL_COLUMNS, f"{SOURCE} 2", RETRIEVAL, retrieval))
    if tasks:
        caption = (
            "Recognition and captioning beside the publication's, in percent. As there, SumCLS is accuracy and macro-F "
            "of both tasks, and SumCAP the sum of these four metrics"
        )
        tables.append(_table(caption, TASK_COLUMNS, f"{SOURCE} 3", TASKS, tasks))
    return tables


def data_note(figures: Mapping) -> str:
    """Which data an evaluation is of, and whether the publication's figures are of other data."""
    data = figures.get("data")
    if data is None:
        return "data not recorded: not comparable with Fashion-Gen"
    plain = "".join(letter for letter in data.lower() if letter.isalnum())
    return "Fashion-Gen" if "fashiongen" in plain else f"{data}: another data set, not comparable with Fashion-Gen"


def _retrieval_rows(runs: Mapping[str, Path]) -> list[tuple[str, Row]]:
    rows: list[tuple[str, Row]] = []
    for run, folder in runs.items():
        for figures in _evaluations(folder, "retrieval"):
            for scorer in ("vectors", "combined"):
                of = figures[scorer]
                values = [of[way][f"R@{k}"] for way in ("ITR", "TIR") for k in (1, 5, 10)]
                what = f"{run}, {scorer}, {figures['protocol']}, {figures['queries']:,} queries"
                rows.append((f"{what} ({data_note(figures)})", [*values, of["SumR"]]))
    return rows


def _task_rows(runs: Mapping[str, Path]) -> list[tuple[str, Row]]:
    """A row for each run and data set; where several runs share a data set and each task is of one, a row of all."""
    rows: list[tuple[str, Row]] = []
    shared: dict[str, list[tuple[str, dict]]] = {}
    for run, folder in runs.items():
        for task in ("category", "subcategory", "captioning"):
            for figures in _evaluations(folder, task):
                shared.setdefault(data_note(figures), []).append((run, figures))
    for note, found in shared.items():
        names = sorted({run for run, _ in found})
        for run in names:
            rows += _combined([figures for owner, figures in found if owner == run], f"{run} ({note})")
        if len(names) > 1 and len({figures["task"] for _, figures in found}) == len(found):
            rows += _combined([figures for _, figures in found], f"{' and '.join(names)} ({note})")
    return rows


def _combined(found: Sequence[dict], name: str) -> list[tuple[str, Row]]:
    """One row where each task was evaluated once, otherwise a row an evaluation."""
    if len({figures["task"] for figures in found}) < len(found):
        return [row for figures in found for row in _combined([figures], f"{name}, {_what(figures)}")]
    of = {figures["task"]: figures for figures in found}
    classes = [of.get(task, {}).get(key) for task in ("category", "subcategory") for key in ("accuracy", "macro_f1")]
    captions = [of.get("captioning", {}).get(metric) for metric in CAPTIONING]
    return [(name, [*classes, _sum(classes), *captions, _sum(captions)])]


def _what(figures: Mapping) -> str:
    details = (figures.get("inputs"), figures["split"], f"{figures['products']:,} products")
    return ", ".join(filter(None, (figures["task"], *details)))


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _evaluations(run: Path, task: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((run / "evaluation").glob(f"{task}-*.json"))]


def _table(
    caption: str, columns: Sequence[str], source: str, theirs: Mapping[str, Row], ours: Iterable[tuple[str, Row]]
) -> str:
    heads = "".join(f"<th>{escape(column)}</th>" for column in columns)
    width = len(columns) + 1
    parts = [f"<tr><th></th>{heads}</tr>", _heading(source, width), *map(_row, theirs.items())]
    parts += [_heading("Measured here", width), *map(_row, ours)]
    return f"<table><caption>{escape(caption)}</caption>{''.join(parts)}</table>"


def _heading(text: str, width: int) -> str:
    return f'<tr><th colspan="{width}"><em>{escape(text)}</em></th></tr>'


def _row(row: tuple[str, Row]) -> str:
    name, values = row
    cells = "".join(f"<td>{'–' if value is None else f'{value:.1f}'}</td>" for value in values)
    return f"<tr><th>{escape(name)}</th>{cells}</tr>"
