"""`kaleidobert align`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

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


class Source(str, Enum):
    """The words whose attention maps are used."""

    caption = "caption"
    teacher = "teacher"


def align(
    data: Catalogue,
    out: Annotated[Path, typer.Option(help="The alignment folder to write; a captioner in it is reused.")],
    source: Annotated[
        Source, typer.Option(help="Align the words of a generated caption, or the text's own (teacher forcing).")
    ] = Source.teacher,
    preset: Annotated[
        str,
        typer.Option(help=f"The preset with the photo settings: {PRESETS}, or a YAML file."),
    ] = "mini",
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="Time limit for training the captioner.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
    json: JsonFile = None,
) -> None:
    """Train a captioner on a catalogue, and write which patches of each photo the words of its text describe.

    Example: kaleidobert align catalogue/ --out runs/align --max-minutes 10
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.training.align import align as run
    from kaleidobert.training.settings import load_settings
    from kaleidobert.training.train_captioner import align_settings

    check_folder(out)
    check_files(json)
    settings, photos = align_settings(set or []), load_settings(preset)
    reading = Reading.load(columns, image_template, max_bad)
    arguments = data_arguments(data, columns, image_template, max_bad)
    figures = run(data, out, photos, settings, source.value, reading, max_minutes)
    if figures["pairs"]:
        typer.echo(
            f"{figures['pairs']:,} pairs in {out}: {figures['products_with_pairs']:,} of {figures['products']:,} "
            f"products and {figures['word_share']:.1f}% of their content words have at least one; "
            f"next: kaleidobert pretrain {arguments} --out RUN --align {out}"
        )
    else:
        typer.echo(
            f"warning: no pairs in {out}: every attention map is too even, so masking would be random; lower the "
            "threshold with --set least_lift=1.2, or train longer with --max-minutes into another --out",
            err=True,
        )
    write_figures(figures, json)
