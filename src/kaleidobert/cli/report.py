"""`kaleidobert report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import check_files, writing
from kaleidobert.errors import InputError


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, written by pretrain or finetune; several are compared.")
    ],
    out: Annotated[Path, typer.Option(help="The HTML page to write; its figures go into a folder beside it.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a page with the settings, training curves and evaluations of one or several runs.

    Example: kaleidobert report runs/mini

    Example: kaleidobert report runs/guided runs/random --out comparison.html
    """
    from kaleidobert.evaluation.report import report as write_report

    if not out.suffix:
        raise InputError(f"{out}: not a name for a page; give one that ends in .html")
    check_files(out, out.with_suffix("") / "figure.png")
    with writing(out):
        page, *pictures = write_report(runs, out)
    typer.echo(f"wrote {page}, with {len(pictures)} figures as PNGs in {page.with_suffix('')}")
