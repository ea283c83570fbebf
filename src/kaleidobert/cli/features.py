"""`kaleidobert features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import ImageTemplate
from kaleidobert.cli.output import check_folder


def features(
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or the name of a data set.")],
    out: Annotated[Path, typer.Option(help="The folder to write; an interrupted run is continued.")],
    preset: Annotated[
        str, typer.Option(help="The preset with backbone and photo settings: base, or a YAML file.")
    ] = "base",
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    image_template: ImageTemplate = None,
    set: Annotated[list[str] | None, typer.Option(help="Override a setting: key=value.")] = None,
) -> None:
    """Compute a frozen backbone's features of every photo once, to be used by pretrain --features.

    Example: kaleidobert features catalogue/ --out features/ --preset base
    """
    from kaleidobert.data.readers import catalogue_columns
    from kaleidobert.training.cached_features import build_features
    from kaleidobert.training.settings import load_settings

    check_folder(out)
    mapping = catalogue_columns(columns, image_template)
    counts = build_features(data, out, load_settings(preset, set or []), mapping)
    size = sum(path.stat().st_size for path in out.glob("*.f16")) / 1e9
    typer.echo(
        f"features of {sum(counts.values()):,} views in {out}, {size:,.1f} GB; next: "
        f"kaleidobert pretrain {data} --preset {preset} --features {out} --set training.augmentation=0"
    )
