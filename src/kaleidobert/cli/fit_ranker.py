"""`kaleidobert fit-ranker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, JsonFile, MaxBad
from kaleidobert.cli.output import check_files, check_folder, check_picture, writing


def fit_ranker(
    data: Catalogue,
    model: Annotated[Path, typer.Option(help="The run folder, written by pretrain or finetune.")],
    split: Annotated[
        str, typer.Option(help="The split to fit on; not one that the run was trained on.")
    ] = "validation",
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Build a retrieval memory from DATA's train split.")
    ] = True,
    trained: Annotated[
        int,
        typer.Option(min=0, help="Training products among which those of SPLIT are ranked, as in a shop; 0 for none."),
    ] = 5000,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for drawing queries and pairs; default the run's.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw predicted against observed match rates into this PNG.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Build a run's retrieval memory, and fit the weights of its scores and its match probabilities.

    pretrain and finetune retrieval end with this. Use it to adapt a copy of a run to another catalogue without
    training: it replaces the run's ranking and memory, and stores indexed with the run have to be indexed again.

    Example: kaleidobert fit-ranker catalogue/ --model runs/shop

    Example: kaleidobert fit-ranker another-catalogue/ --model runs/shop --picture reliability.png
    """
    from matplotlib.figure import Figure

    from kaleidobert.cli.figures import print_ranking, write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.evaluation.fit_ranker import fit_ranker as fit
    from kaleidobert.evaluation.report import draw_reliability

    check_files(json)
    check_folder(model)
    check_picture(picture, [f".{ending}" for ending in Figure().canvas.get_supported_filetypes()])
    figures = fit(data, model, split, Reading.load(columns, image_template, max_bad), seed, memory, trained)
    print_ranking(figures)
    write_figures(figures, json)
    best = figures.get("with_memory", figures["without_memory"])
    if picture and "calibration" in best:
        with writing(picture):
            draw_reliability(best["calibration"], picture)
