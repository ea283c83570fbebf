"""`kaleidobert evaluate`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Task(str, Enum):
    retrieval = "retrieval"
    category = "category"
    subcategory = "subcategory"
    captioning = "captioning"


RECOGNITION = (Task.category, Task.subcategory)


class Protocol(str, Enum):
    hundred_and_one = "101"
    full = "full"


def evaluate(
    task: Annotated[Task, typer.Argument(help="What to measure.")],
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    split: Annotated[str, typer.Option(help="The split to measure on.")] = "test",
    protocol: Annotated[
        Protocol | None, typer.Option(help="Retrieval: 101 candidates a query, or the full split.", show_default="101")
    ] = None,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Retrieval, captioning: ask with so many products only.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draws queries and candidates.", show_default="0")] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Retrieval: draw queries and candidates so often, and average.")
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="Retrieval: fixed candidates, a JSON list of product ids a query, its own first."),
    ] = None,
    rerank: Annotated[
        int | None, typer.Option(min=1, help="Retrieval: the joint model reads only the best so many by vectors.")
    ] = None,
    beams: Annotated[int | None, typer.Option(min=1, help="Captioning: 1 is greedy search.", show_default="3")] = None,
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Measure a run on products that it never saw.

    retrieval ranks each query's true partner among others: by vectors, by the joint model, and by both.
    category and subcategory count how often the product's class is found, and draw what was taken for what.
    captioning compares what the run says of photos with the products' texts.

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --protocol 101 --json figures.json

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --queries 1000 --draws 5 --rerank 20

    Example: kaleidobert evaluate category catalogue/ --model runs/category --json figures.json
    """
    from kaleidobert.cli.figures import print_captioning, print_recognition, print_retrieval, write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.errors import InputError

    both = (Task.retrieval, Task.captioning)
    for option, value, tasks in (
        ("--protocol", protocol, both[:1]),
        ("--queries", queries, both),
        ("--seed", seed, both),
        ("--draws", draws, both[:1]),
        ("--candidates", candidates, both[:1]),
        ("--rerank", rerank, both[:1]),
        ("--beams", beams, both[1:]),
    ):
        if value is not None and task not in tasks:
            names = " and ".join(each.value for each in tasks)
            raise InputError(f"{option} goes with {names}, not with {task.value}; leave it out")
    drawing = {"--protocol": protocol, "--queries": queries, "--seed": seed, "--draws": draws}
    if candidates and (given := [option for option, value in drawing.items() if value is not None]):
        raise InputError(f"{given[0]} draws candidates, which --candidates gives; leave one of them out")
    mapping = load_columns(columns) if columns else None
    if task is Task.retrieval:
        from kaleidobert.evaluation.retrieval import evaluate_retrieval

        chosen = (protocol or Protocol.hundred_and_one).value
        figures = evaluate_retrieval(
            data, model, split, chosen, queries, seed or 0, mapping, draws or 1, candidates, rerank
        )
        print_retrieval(figures)
    elif task is Task.captioning:
        from kaleidobert.evaluation.captioning import evaluate_captioning

        figures = evaluate_captioning(data, model, split, mapping, queries, seed or 0, beams or 3)
        print_captioning(figures)
    else:
        from kaleidobert.evaluation.recognition import evaluate_recognition

        figures = evaluate_recognition(task.value, data, model, split, mapping)
        print_recognition(figures)
    write_figures(figures, json)
