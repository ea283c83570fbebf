"""Tables of a run's evaluations, as data for the templates of the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaleidobert.evaluation.metrics.captioning import METRICS
from kaleidobert.evaluation.metrics.retrieval import recall_columns, recall_values, scorer_rows
from kaleidobert.files import read_json

Cell = float | str | None
RECOGNITION_METRICS = ("accuracy", "micro_f1", "macro_f1", "SumCLS")
RECOGNITION_TASKS = ("category", "subcategory")


@dataclass(frozen=True)
class Row:
    """A row with its heading; None where there is no value."""

    heading: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """``columns``: headings of all columns but that of the rows' headings. ``groups``: rows by the group's heading."""

    caption: str
    columns: Sequence[str]
    groups: Mapping[str, Sequence[Row]]

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.groups.values() for row in rows]

    @property
    def is_text(self) -> bool:
        """Whether the cells are texts, not figures."""
        return any(isinstance(cell, str) for row in self.rows for cell in row.cells)


def load_evaluations(run: Path, task: str) -> list[dict[str, Any]]:
    """The figures of each evaluation of a task (retrieval, category, subcategory or captioning) in a run folder."""
    return [read_json(path, "delete it") for path in sorted((run / "evaluation").glob(f"{task}-*.json"))]


def evaluation_tables(name: str, run: Path) -> list[Table]:
    """A table for each task that a run was evaluated on, captioned with the run's ``name``."""
    tables = (
        Table(f"{name}: retrieval, in percent", recall_columns(), {"": _retrieval_rows(run)}),
        Table(f"{name}: recognition, in percent", RECOGNITION_METRICS, {"": _recognition_rows(run)}),
        Table(f"{name}: captioning, in percent", (*METRICS, "SumCAP"), {"": _captioning_rows(run)}),
    )
    return [table for table in tables if table.rows]


def _retrieval_rows(run: Path) -> list[Row]:
    return [
        Row(f"{_protocol(figures)}: {scorer.replace('_memory', ' + memory')}", recall_values(row))
        for figures in load_evaluations(run, "retrieval")
        for scorer, row in scorer_rows(figures).items()
    ]


def _protocol(figures: Mapping[str, Any]) -> str:
    parts = [_split(figures), figures["protocol"], f"{figures['queries']:,} queries"]
    parts += [f"{figures['draws']} draws"] if figures.get("draws", 1) > 1 else []
    parts += [f"best {figures['rerank']} re-ranked"] if figures.get("rerank") else []
    return ", ".join(parts)


def _recognition_rows(run: Path) -> list[Row]:
    return [
        Row(
            f"{task}: {_split(figures)}, {figures['products']:,} products, input {figures['inputs']}",
            [figures[metric] for metric in RECOGNITION_METRICS],
        )
        for task in RECOGNITION_TASKS
        for figures in load_evaluations(run, task)
    ]


def _captioning_rows(run: Path) -> list[Row]:
    return [
        Row(
            f"{_split(figures)}, {figures['products']:,} products, {figures['beams']} beams",
            [figures[metric] for metric in (*METRICS, "SumCAP")],
        )
        for figures in load_evaluations(run, "captioning")
    ]


def _split(figures: Mapping[str, Any]) -> str:
    return f"{figures['data']} {figures['split']}" if figures.get("data") else figures["split"]
