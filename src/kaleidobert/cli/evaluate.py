"""`kaleidobert evaluate`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, JsonFile, MaxBad
from kaleidobert.cli.output import check_files, check_folder


class Task(str, Enum):
    retrieval = "retrieval"
    category = "category"
    subcategory = "subcategory"
    captioning = "captioning"
    kagl = "kagl"
    search = "search"


RECOGNITION = (Task.category, Task.subcategory)


class Protocol(str, Enum):
    hundred_and_one = "101"
    full = "full"


def evaluate(
    task: Annotated[Task, typer.Argument(help="The task to evaluate.")],
    data: Catalogue,
    ground_truth: Annotated[
        Path | None, typer.Argument(help="kagl: the folder of its ground truth.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The run folder, written by pretrain or finetune; with --store, the store's by default."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split to evaluate on.", show_default="test; all rows of a single file")
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(help="Retrieval: rank 101 candidates per query, or the full split.", show_default="101"),
    ] = None,
    queries: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Retrieval, captioning: evaluate on this many random products, default all; search: ask so many.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for drawing queries and candidates.", show_default="0")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, help="Retrieval: draw queries and candidates this many times, and report the means."),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(help="Retrieval: a JSON file of product ids, one list per query, its own product first."),
    ] = None,
    rerank: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Retrieval, kagl: candidates per query that the joint model scores; default all, in a gallery 20, in "
            "kagl none.",
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(help="Retrieval, protocol full: splits that are searched together, as in train+test."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Search: the store to ask. kagl: rank as a search in it, not by the run alone.")
    ] = None,
    judged: Annotated[
        Path | None, typer.Option(help="Search: a YAML file of queries and what is right for them (docs/protocols.md).")
    ] = None,
    beams: Annotated[
        int | None, typer.Option(min=1, help="Captioning: number of beams; 1 is greedy.", show_default="3")
    ] = None,
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    json: JsonFile = None,
) -> None:
    """Evaluate a run: on the test split of a catalogue, or on all rows of a single file.

    retrieval ranks the matching photo or text of each query among candidates and reports R@1, R@5 and R@10.
    category and subcategory report accuracy and F1, and draw the confusion matrix.
    captioning generates captions and compares them with the products' texts.
    kagl finds the products of a catalogue for Marqo's KAGL queries: titles, categories, colours, seasons, usages.
    search asks a store short queries made of the catalogue's labels and attributes, such as "black flats".

    Example: kaleidobert evaluate search catalogue/ --store shop.store --queries 300

    Example: kaleidobert evaluate search demo-out/catalogue --store demo-out/store --judged benchmarks/demo_judged.yaml

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --protocol 101 --json figures.json

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --queries 1000 --draws 5 --rerank 20

    Example: kaleidobert evaluate retrieval catalogue/ --model runs/mini --gallery train+test

    Example: kaleidobert evaluate kagl catalogue/ kagl/ --model runs/mini --rerank 20 --json figures.json

    Example: kaleidobert evaluate category catalogue/ --model runs/category --json figures.json
    """
    from kaleidobert.cli.figures import (
        print_captioning,
        print_recognition,
        print_retrieval,
        print_search,
        write_figures,
    )
    from kaleidobert.cli.kagl import run_kagl
    from kaleidobert.data.reading import Reading
    from kaleidobert.errors import InputError
    from kaleidobert.evaluation.model_card import write_model_card
    from kaleidobert.training.runs import HISTORY_FILE

    drawing = {"--protocol": protocol, "--queries": queries, "--seed": seed, "--draws": draws}
    options = {"--candidates": candidates, "--rerank": rerank, "--beams": beams, "--split": split, "--store": store}
    options["--judged"] = judged
    _check_options(task, drawing | options | {"--gallery": gallery, "GROUND_TRUTH": ground_truth})
    _check_candidates(candidates, drawing | {"--gallery": gallery})
    check_files(json)
    reading = Reading.load(columns, image_template, max_bad)
    if task is Task.kagl:
        figures = run_kagl(data, ground_truth, model, store, reading, rerank)
        write_figures(figures, json)
        return
    if task is Task.search:
        if store is None:
            raise InputError("search asks a store: give --store")
        if judged is not None and (queries is not None or seed is not None):
            raise InputError("--judged gives the queries: leave out --queries and --seed")
        from kaleidobert.index.opening import store_errors
        from kaleidobert.search.yardstick import evaluate_search

        with store_errors(store):
            figures = evaluate_search(data, store, split, model, queries or 300, seed or 0, reading, judged)
        print_search(figures)
        write_figures(figures, json)
        return
    if model is None:
        raise InputError("no --model; give the folder of a run")
    check_folder(model / "evaluation")
    if task is Task.retrieval:
        from kaleidobert.evaluation.retrieval import evaluate_retrieval

        chosen = (protocol or (Protocol.full if gallery else Protocol.hundred_and_one)).value
        figures = evaluate_retrieval(
            data, model, split, chosen, queries, seed or 0, reading, draws or 1, candidates, rerank, gallery
        )
        print_retrieval(figures)
    elif task is Task.captioning:
        from kaleidobert.evaluation.captioning import evaluate_captioning

        figures = evaluate_captioning(data, model, split, reading, queries, seed or 0, beams or 3)
        print_captioning(figures)
    else:
        from kaleidobert.evaluation.recognition import evaluate_recognition

        figures = evaluate_recognition(task.value, data, model, split, reading)
        print_recognition(figures)
    if (model / HISTORY_FILE).is_file():
        write_model_card(model)
    write_figures(figures, json)


def _check_options(task: Task, options: dict[str, Any]) -> None:
    """Raises ``InputError`` for an option that the task does not have."""
    from kaleidobert.errors import InputError

    drawn = (Task.retrieval, Task.captioning, Task.search)
    allowed = {"--queries": drawn, "--seed": drawn, "--beams": (Task.captioning,)}
    allowed |= {"--rerank": (Task.retrieval, Task.kagl), "--split": (*drawn, *RECOGNITION)}
    allowed |= {"--store": (Task.kagl, Task.search), "--judged": (Task.search,), "GROUND_TRUTH": (Task.kagl,)}
    for option, value in options.items():
        tasks = allowed.get(option, (Task.retrieval,))
        if value is not None and task not in tasks:
            names = " and ".join(each.value for each in tasks)
            raise InputError(f"{option} goes with {names}, not with {task.value}; leave it out")


def _check_candidates(candidates: Path | None, drawing: dict[str, Any]) -> None:
    """Raises ``InputError`` where fixed candidates are given together with an option for drawing them."""
    from kaleidobert.errors import InputError

    given = [option for option, value in drawing.items() if value is not None]
    if candidates and given:
        raise InputError(
            f"{given[0]} cannot be combined with --candidates, which fixes queries and candidates; leave one out"
        )
