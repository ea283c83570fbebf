"""`kaleidobert features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, MaxBad, data_arguments
from kaleidobert.cli.output import check_folder


def features(
    data: Catalogue,
    out: Annotated[Path, typer.Option(help="The folder to write; an interrupted run is continued.")],
    preset: Annotated[
        str, typer.Option(help="The preset with backbone and photo settings: base, or a YAML file.")
    ] = "base",
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
) -> None:
    """Compute a frozen backbone's features of every photo once, to be used by pretrain --features.

    Example: kaleidobert features catalogue/ --out features/ --preset base
    """
    from kaleidobert.data.reading import Reading
    from kaleidobert.training.cached_features import build_features
    from kaleidobert.training.settings import load_settings

    check_folder(out)
    reading = Reading.load(columns, image_template, max_bad)
    arguments = data_arguments(data, columns, image_template, max_bad)
    counts = build_features(data, out, load_settings(preset, set or []), reading)
    size = sum(path.stat().st_size for path in out.glob("*.f16")) / 1e9
    typer.echo(
        f"features of {sum(counts.values()):,} views in {out}, {size:,.1f} GB; next: "
        f"kaleidobert pretrain {arguments} --preset {preset} --features {out} --set training.augmentation=0"
    )
