"""Options that several verbs share."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from click import get_current_context

from kaleidobert.data.problems import MAX_BAD

__all__ = ["MAX_BAD", "STANDARD_OUTPUT", "Catalogue", "Columns", "JsonFile", "MaxBad", "print_figures"]
STANDARD_OUTPUT = Path("-")
_STREAM = "kaleidobert.standard_output"  # in the context's ``meta``


def _figures_file(context: typer.Context, path: Path | None) -> Path | None:
    """For ``-``, everything but the figures goes to standard error, so that programs can read standard output."""
    if path == STANDARD_OUTPUT:
        context.meta[_STREAM] = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return path


def print_figures(text: str) -> None:
    """Print to the standard output that the verb started with."""
    print(text, end="", file=get_current_context().meta[_STREAM])


JsonFile = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this file as JSON; - for standard output.", callback=_figures_file),
]
Catalogue = Annotated[str, typer.Argument(help="The catalogue: a file, a folder or the name of a data set.")]
Columns = Annotated[Path | None, typer.Option(help="A file that maps unusual column names (docs/columns.md).")]
MaxBad = Annotated[
    float, typer.Option(min=0, max=1, help="Share of unusable rows, from 0 to 1, above which the catalogue is refused.")
]
