"""Options that several verbs share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import STANDARD_OUTPUT, figures_alone
from kaleidobert.data.problems import MAX_BAD
from kaleidobert.scoring.engine import Engine

__all__ = [
    "MAX_BAD",
    "PRESETS",
    "Catalogue",
    "Columns",
    "Engine",
    "EngineName",
    "ImageTemplate",
    "JsonFile",
    "MaxBad",
    "ModelFolder",
    "data_arguments",
]

PRESETS = "mini, small, scratch, base, published, published-mini"


def _figures_file(context: typer.Context, path: Path | None) -> Path | None:
    """For ``-``, everything but the figures goes to standard error, so that programs can read standard output."""
    if path == STANDARD_OUTPUT:
        context.with_resource(figures_alone())
    return path


JsonFile = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this file as JSON; - for standard output.", callback=_figures_file),
]
Catalogue = Annotated[str, typer.Argument(help="The catalogue: a file, a folder or the name of a data set.")]
Columns = Annotated[Path | None, typer.Option(help="A file that maps unusual column names (docs/catalogues.md).")]
ModelFolder = Annotated[Path | None, typer.Option(help="The model folder, if it has moved since indexing.")]
EngineName = Annotated[
    Engine, typer.Option(help="What runs the model: torch, or onnx for the folder of `kaleidobert export`, by --model.")
]
MaxBad = Annotated[
    float, typer.Option(min=0, max=1, help="Share of unusable rows, from 0 to 1, above which the catalogue is refused.")
]
ImageTemplate = Annotated[
    str | None,
    typer.Option(help="Where photos are, such as images/{id}.jpg; {file}: the last part of a listed address."),
]


def data_arguments(
    data: str, columns: Path | None = None, image_template: str | None = None, max_bad: float = MAX_BAD
) -> str:
    """DATA and how it is read, as a command that is suggested names them."""
    words = [data]
    words += ["--columns", str(columns)] if columns else []
    words += ["--image-template", image_template] if image_template else []
    words += ["--max-bad", str(max_bad)] if max_bad != MAX_BAD else []
    return shlex.join(words)
