"""`kaleidobert calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    split: Annotated[str, typer.Option(help="The split to fit on, which the run was not trained on.")] = "validation",
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    remember: Annotated[
        bool, typer.Option("--remember", help="First fill the memory with DATA's train split, and fit the scores.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Draws queries and pairs.")] = 0,
    picture: Annotated[Path | None, typer.Option(help="Draw predicted against observed matches here.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Fit the match probabilities of a run that has none; pretrain and finetune do so at their end.

    Example: kaleidobert calibrate catalogue/ --model runs/mini --picture reliability.png

    Example: kaleidobert calibrate another-catalogue/ --model runs/mini --remember
    """
    from kaleidobert.cli.figures import print_calibration, write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.evaluation.fit_calibration import calibrate as fit
    from kaleidobert.evaluation.fit_ranker import remember as fill
    from kaleidobert.evaluation.report import draw_reliability

    mapping = load_columns(columns) if columns else None
    if remember:
        weights = fill(data, model, split, mapping, seed)
        typer.echo("fitted: " + ", ".join(f"{name} {value}" for name, value in weights.items()))
    figures = fit(data, model, split, mapping, seed)
    print_calibration(figures)
    write_figures(figures, json)
    if picture:
        draw_reliability(figures, picture)
