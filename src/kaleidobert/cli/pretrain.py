"""`kaleidobert pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kaleidobert.cli.options import (
    MAX_BAD,
    PRESETS,
    Catalogue,
    Columns,
    ImageTemplate,
    JsonFile,
    MaxBad,
    data_arguments,
)
from kaleidobert.cli.output import check_files, check_folder


def pretrain(
    data: Catalogue,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    preset: Annotated[str, typer.Option(help=f"{PRESETS}, or a YAML file.")] = "mini",
    align: Annotated[Path | None, typer.Option(help="A folder of kaleidobert align, to mask aligned pairs.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="A folder of kaleidobert features, of a frozen backbone.")
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
    """Pre-train on a catalogue's photos and texts.

    Objectives: masked words, captioning, image-text matching, one pretext task per grid, and a contrastive loss.

    Example: kaleidobert pretrain catalogue/ --out runs/mini --preset mini --max-minutes 30
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.evaluation.fit_ranker import fit_ranker
    from kaleidobert.evaluation.model_card import write_model_card
    from kaleidobert.training.pretrain import pretrain as run
    from kaleidobert.training.settings import load_settings

    check_folder(out)
    check_files(json)
    settings = load_settings(preset, set or [])
    reading = Reading.load(columns, image_template, max_bad)
    arguments = data_arguments(data, columns, image_template, max_bad)

    def finish(folder: Path) -> dict[str, Any]:
        memory = settings.objectives.trains_embeddings
        ranking = fit_ranker(data, folder, reading=reading, memory=memory, finishing=True)
        write_model_card(folder)
        return {"ranking": ranking}

    figures = run(data, out, settings, reading, max_minutes, resume, align, features, finish)
    if align:
        typer.echo(f"{figures['products_without_pairs']} products had no aligned pair and were masked at random")
    typer.echo(f"the run is in {out}; next: kaleidobert evaluate retrieval {arguments} --model {out}")
    write_figures(figures, json)
