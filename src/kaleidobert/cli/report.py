"""`kaleidobert report`, with a command for runs and one for a shop's searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import JsonFile
from kaleidobert.cli.output import check_files, writing
from kaleidobert.errors import InputError

report = typer.Typer(name="report", help="Report on training runs, or on what shoppers searched for.")


@report.command()
def runs(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, written by pretrain or finetune; several are compared."),
    ],
    out: Annotated[Path, typer.Option(help="The HTML page to write; its figures go into a folder beside it.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a page with the settings, training curves and evaluations of one or several runs.

    Example: kaleidobert report runs runs/mini

    Example: kaleidobert report runs runs/guided runs/random --out comparison.html
    """
    from kaleidobert.evaluation.report import report as write_report

    if not out.suffix:
        raise InputError(f"{out}: not a name for a page; give one that ends in .html")
    check_files(out, out.with_suffix("") / "figure.png")
    with writing(out):
        page, *pictures = write_report(folders, out)
    typer.echo(f"wrote {page}, with {len(pictures)} figures as PNGs in {page.with_suffix('')}")


@report.command()
def search(
    store: Annotated[str, typer.Argument(help="The store, or a folder of events.")],
    top: Annotated[int, typer.Option(min=1, help="Queries to list of each kind.")] = 20,
    json: JsonFile = None,
) -> None:
    """Show which searches found nothing or nothing that matches well, and how far down the chosen products were.

    Of the events that `kaleidobert serve --log-events` keeps in the store's folder.

    Example: kaleidobert report search shop.store
    """
    from kaleidobert.cli.figures import print_events, write_figures
    from kaleidobert.data.events import load_events
    from kaleidobert.search.event_report import event_report

    check_files(json)
    events, damaged = load_events(store)
    figures = event_report(events, top) | {"damaged_lines": damaged}
    print_events(figures)
    write_figures(figures, json)
