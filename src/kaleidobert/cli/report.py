"""`kaleidobert report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that pretrain or finetune wrote; several are compared.")],
    out: Annotated[Path, typer.Option(help="The page to write; its pictures go into a folder beside it.")] = Path(
        "report.html"
    ),
) -> None:
    """Draw every loss and accuracy over steps, and list what evaluations of the runs gave.

    Example: kaleidobert report runs/guided runs/random --out report.html
    """
    from kaleidobert.evaluation.report import report as write_report

    page, *pictures = write_report(runs, out)
    typer.echo(f"{page}: {len(pictures)} figures, each a PNG in {page.with_suffix('')}")
