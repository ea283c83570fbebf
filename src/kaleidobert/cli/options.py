"""Options that several verbs share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, TextIO

import typer

from kaleidobert.data.problems import MAX_BAD

__all__ = ["MAX_BAD", "STANDARD_OUTPUT", "Catalogue", "Columns", "ImageTemplate", "JsonFile", "MaxBad", "print_figures"]
STANDARD_OUTPUT = Path("-")
_standard_output: list[TextIO] = []  # that of the running verb, while sys.stdout is standard error


@contextmanager
def _figures_alone() -> Iterator[None]:
    _standard_output.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _standard_output.pop()


def _figures_file(context: typer.Context, path: Path | None) -> Path | None:
    """For ``-``, everything but the figures goes to standard error, so that programs can read standard output."""
    if path == STANDARD_OUTPUT:
        context.with_resource(_figures_alone())
    return path


def print_figures(text: str) -> None:
    """Print to the standard output that the verb started with."""
    print(text, end="", file=_standard_output[-1])


JsonFile = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this file as JSON; - for standard output.", callback=_figures_file),
]
Catalogue = Annotated[str, typer.Argument(help="The catalogue: a file, a folder or the name of a data set.")]
Columns = Annotated[Path | None, typer.Option(help="A file that maps unusual column names (docs/catalogues.md).")]
MaxBad = Annotated[
    float, typer.Option(min=0, max=1, help="Share of unusable rows, from 0 to 1, above which the catalogue is refused.")
]
ImageTemplate = Annotated[
    str | None,
    typer.Option(help="Where photos are: images/{id}.jpg, of columns or of {file}, the last part of an address."),
]
