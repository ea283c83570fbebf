"""`kaleidobert evaluate`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Task(str, Enum):
    retrieval = "retrieval"


class Protocol(str, Enum):
    hundred_and_one = "101"
    full = "full"


def evaluate(
    task: Annotated[Task, typer.Argument(help="What to measure.")],
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    split: Annotated[str, typer.Option(help="The split whose products ask and answer.")] = "test",
    protocol: Annotated[Protocol, typer.Option(help="101 candidates a query, or the full split.")] = (
        Protocol.hundred_and_one
    ),
    queries: Annotated[int | None, typer.Option(min=1, help="Ask with so many products only.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws queries and candidates.")] = 0,
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Rank each query's true partner among others: by vectors, by the joint model, and by both.

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --protocol 101 --json figures.json
    """
    from kaleidobert.cli.figures import print_retrieval, write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.training.evaluate import evaluate_retrieval

    mapping = load_columns(columns) if columns else None
    measures = {Task.retrieval: evaluate_retrieval}
    figures = measures[task](data, model, split, protocol.value, queries, seed, mapping)
    print_retrieval(figures)
    write_figures(figures, json)
