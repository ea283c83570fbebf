"""`kaleidobert finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.evaluate import Task


def finetune(
    task: Annotated[Task, typer.Argument(help="What to fine-tune for.")],
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The pre-trained run folder.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="End, well annealed, after so long.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the last validation figures here.")] = None,
) -> None:
    """Fine-tune a pre-trained run end to end, with hard negatives from the same sub-category.

    Example: kaleidobert finetune retrieval catalogue/ --model runs/mini --out runs/mini-retrieval --max-minutes 10
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.training.finetune import finetune_retrieval, retrieval_settings

    finetuners = {Task.retrieval: finetune_retrieval}
    settings = retrieval_settings(model, set or [])
    mapping = load_columns(columns) if columns else None
    figures = finetuners[task](data, model, out, settings, mapping, max_minutes, resume)
    typer.echo(f"the run is in {out}; next: kaleidobert evaluate {task.value} {data} --model {out}")
    write_figures(figures, json)
