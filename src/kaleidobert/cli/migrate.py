"""`kaleidobert migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import check_folder


def migrate(
    run: Annotated[Path, typer.Argument(help="A run folder of an earlier version.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
) -> None:
    """Convert a run of an earlier version to the present format. The weights stay the same; RUN is not changed.

    Fit its ranking again with fit-ranker, and index its stores again.

    Example: kaleidobert migrate runs/old --out runs/new
    """
    from kaleidobert.training.migration import migrate_run

    check_folder(out)
    ranks = migrate_run(run, out)
    typer.echo(f"the converted run is in {out}")
    if ranks:
        typer.echo(f"next: kaleidobert fit-ranker DATA --model {out}")
