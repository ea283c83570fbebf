"""`kaleidobert finetune`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from kaleidobert.cli.evaluate import RECOGNITION, Task


class Inputs(str, Enum):
    """What a classifier reads."""

    both = "both"
    image = "image"
    text = "text"


def finetune(
    task: Annotated[Task, typer.Argument(help="What to fine-tune for.")],
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The pre-trained run folder.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    inputs: Annotated[Inputs, typer.Option(help="What tells a category or sub-category.")] = Inputs.both,
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="End, well annealed, after so long.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the last validation figures here.")] = None,
) -> None:
    """Fine-tune a pre-trained run end to end: to retrieve, to tell category or sub-category, or to caption.

    Example: kaleidobert finetune retrieval catalogue/ --model runs/mini --out runs/mini-retrieval --max-minutes 10

    Example: kaleidobert finetune category catalogue/ --model runs/mini --out runs/category --inputs image
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.errors import InputError
    from kaleidobert.evaluation.fit_ranker import fit_ranker
    from kaleidobert.training.finetune import finetune as run
    from kaleidobert.training.finetune import finetune_settings
    from kaleidobert.training.runs import is_main_process

    if inputs is not Inputs.both and task not in RECOGNITION:
        raise InputError(f"--inputs {inputs.value} goes with category and subcategory, not with {task.value}")
    read = [f"model.inputs={inputs.value}"] if task in RECOGNITION else []
    settings = finetune_settings(task.value, model, [*read, *(set or [])])
    mapping = load_columns(columns) if columns else None
    figures: dict[str, Any] = run(task.value, data, model, out, settings, mapping, max_minutes, resume)
    if task is Task.retrieval and is_main_process():
        figures["ranking"] = fit_ranker(data, out, columns=mapping)
    if figures["products_left_out"]:
        lacking = "text" if task is Task.captioning else task.value
        typer.echo(f"{figures['products_left_out']} products of train have no {lacking} and were left out")
    typer.echo(f"the run is in {out}; next: kaleidobert evaluate {task.value} {data} --model {out}")
    write_figures(figures, json)
