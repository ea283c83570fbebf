"""`kaleidobert demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="The folder for everything the demo makes.")] = Path("demo-out"),
    products: Annotated[int, typer.Option(help="How many products to draw.")] = 1200,
    minutes: Annotated[float, typer.Option(min=0.05, help="Pre-train so long; fine-tune a third of it.")] = 2.5,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="End with the search page, running.")] = True,
    host: Annotated[str, typer.Option(help="The address of the search page.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the search page.")] = 8000,
) -> None:
    """The whole journey on a drawn catalogue: photos and texts in, a model, its figures and a search page out.

    Example: kaleidobert demo --out demo-out --no-serve
    """
    from kaleidobert.cli.figures import print_retrieval
    from kaleidobert.demo import demo as run

    store, figures = run(out, products, minutes)
    print_retrieval(figures)
    typer.echo(f"pictures: {out}/catalogue.png, {out}/patches.png, {out}/results.png")
    if serve:
        from kaleidobert.server.app import serve_store

        serve_store(store, host, port)
