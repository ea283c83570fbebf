"""`kaleidobert demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.output import check_folder


def demo(
    out: Annotated[Path, typer.Option(help="The folder for all results of the demo.")] = Path("demo-out"),
    products: Annotated[int, typer.Option(help="Number of synthetic products.")] = 1200,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="Minutes of pre-training; fine-tuning takes a third of that.")
    ] = 2.5,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Start the search page at the end.")] = True,
    host: Annotated[str, typer.Option(help="Address that the search page listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the search page.")] = 8000,
) -> None:
    """Draw a synthetic catalogue, train a model on it, measure retrieval, and search it in the browser.

    Example: kaleidobert demo --out demo-out --no-serve
    """
    from kaleidobert.cli.figures import print_retrieval
    from kaleidobert.demo import demo as run

    check_folder(out)
    store, figures = run(out, products, minutes)
    print_retrieval(figures)
    typer.echo(f"pictures: {out}/catalogue.png, {out}/patches.png, {out}/results.png")
    if serve:
        from kaleidobert.server.app import serve_store

        serve_store(store, host, port)
