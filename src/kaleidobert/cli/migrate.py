"""`kaleidobert migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def migrate(
    run: Annotated[Path, typer.Argument(help="A run folder of an earlier version.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
) -> None:
    """Convert a run that an earlier version trained; the weights stay the same, and RUN is not changed.

    Its ranking and its retrieval memory are fitted anew, and its stores have to be indexed again.

    Example: kaleidobert migrate runs/old --out runs/new
    """
    from kaleidobert.training.migration import migrate_run

    ranks = migrate_run(run, out)
    typer.echo(f"the converted run is in {out}")
    if ranks:
        typer.echo(f"next: kaleidobert fit-ranker DATA --model {out}")
