"""`kaleidobert align`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Source(str, Enum):
    """Where attention maps come from."""

    caption = "caption"
    teacher = "teacher"


def align(
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    out: Annotated[Path, typer.Option(help="The alignment folder to write; a captioner in it is used again.")],
    source: Annotated[
        Source, typer.Option(help="Maps of a generated description's words (caption) or of the text's own (teacher).")
    ] = Source.teacher,
    preset: Annotated[str, typer.Option(help="Whose photos to see: mini, small, base, or a YAML file.")] = "mini",
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="End training after so long.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write what the pairs cover here.")] = None,
) -> None:
    """Fit a captioner on a catalogue, and write which patches of each photo its words talk about.

    Example: kaleidobert align catalogue/ --out runs/align --max-minutes 10
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.readers import load_columns
    from kaleidobert.training.align import align as run
    from kaleidobert.training.settings import load_settings
    from kaleidobert.training.train_captioner import align_settings

    settings, photos = align_settings(set or []), load_settings(preset)
    mapping = load_columns(columns) if columns else None
    figures = run(data, out, photos, settings, source.value, mapping, max_minutes)
    typer.echo(
        f"{figures['pairs']:,} pairs in {out}: {figures['products_with_pairs']:,} of {figures['products']:,} products "
        f"and {figures['word_share']:.1f} % of their content words have one; "
        f"next: kaleidobert pretrain {data} --align {out}"
    )
    write_figures(figures, json)
