"""`kaleidobert finetune`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, JsonFile, MaxBad, data_arguments
from kaleidobert.cli.output import check_files, check_folder


class Task(str, Enum):
    """The downstream tasks."""

    retrieval = "retrieval"
    category = "category"
    subcategory = "subcategory"
    captioning = "captioning"


RECOGNITION = (Task.category, Task.subcategory)


class Inputs(str, Enum):
    """What a classifier takes as input."""

    both = "both"
    image = "image"
    text = "text"


def finetune(
    task: Annotated[Task, typer.Argument(help="The task to fine-tune for.")],
    data: Catalogue,
    model: Annotated[Path, typer.Option(help="The pre-trained run folder to start from.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    inputs: Annotated[
        Inputs, typer.Option(help="category, subcategory: classify by the photo, the text, or both.")
    ] = Inputs.both,
    events: Annotated[
        str | None,
        typer.Option(help="retrieval: train also by what shoppers chose: a store with events (serve --log-events)."),
    ] = None,
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the run's last checkpoint.")] = False,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Time limit; the learning rate is annealed to end by then.")
    ] = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value; repeat for several.")] = None,
    json: JsonFile = None,
) -> None:
    """Fine-tune a pre-trained run end to end for retrieval, category or sub-category recognition, or captioning.

    Example: kaleidobert finetune retrieval catalogue/ --model runs/mini --out runs/mini-retrieval --max-minutes 10

    Example: kaleidobert finetune retrieval catalogue/ --model runs/mini --out runs/clicks --events shop.store

    Example: kaleidobert finetune category catalogue/ --model runs/mini --out runs/category --inputs image

    Example: kaleidobert finetune captioning catalogue/ --model runs/mini --out runs/captions --set training.epochs=5
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.events import load_chosen_queries
    from kaleidobert.data.reading import Reading
    from kaleidobert.errors import InputError
    from kaleidobert.evaluation.fit_ranker import fit_ranker
    from kaleidobert.evaluation.model_card import write_model_card
    from kaleidobert.training.finetune import finetune as run
    from kaleidobert.training.finetune import finetune_settings

    check_folder(out)
    check_files(json)
    if inputs is not Inputs.both and task not in RECOGNITION:
        raise InputError(f"--inputs {inputs.value} goes with category and subcategory, not with {task.value}")
    if events is not None and task is not Task.retrieval:
        raise InputError(f"--events goes with retrieval, not with {task.value}")
    chosen = load_chosen_queries(events) if events is not None else None
    overrides = [f"model.inputs={inputs.value}"] if task in RECOGNITION else []
    settings = finetune_settings(task.value, model, [*overrides, *(set or [])])
    reading = Reading.load(columns, image_template, max_bad)
    arguments = data_arguments(data, columns, image_template, max_bad)

    def finish(folder: Path) -> dict[str, Any]:
        figures = {}
        if task is Task.retrieval:
            memory = settings.objectives.trains_embeddings
            figures["ranking"] = fit_ranker(data, folder, reading=reading, memory=memory, finishing=True)
        write_model_card(folder)
        return figures

    figures = run(task.value, data, model, out, settings, reading, max_minutes, resume, chosen, finish)
    if figures["products_left_out"]:
        lacking = "text" if task is Task.captioning else task.value
        typer.echo(f"left out {figures['products_left_out']} training products without a {lacking}")
    if chosen is not None:
        typer.echo(f"{figures['products_chosen']} of the {len(chosen)} products that shoppers chose were trained on")
    typer.echo(f"the run is in {out}; next: kaleidobert evaluate {task.value} {arguments} --model {out}")
    write_figures(figures, json)
