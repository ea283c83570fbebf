"""`kaleidobert index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import ImageTemplate
from kaleidobert.cli.output import check_files


def index(
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or the name of a data set.")],
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    store: Annotated[str, typer.Option(help="Where to keep the store: a folder or an object-store address.")],
    split: Annotated[str | None, typer.Option(help="Index only this split, for example test.")] = None,
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    image_template: ImageTemplate = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per forward pass.")] = 64,
    prune: Annotated[bool, typer.Option("--prune", help="Delete products that are no longer in DATA.")] = False,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="Build a new version beside the current one, and switch at the end.")
    ] = False,
    photos: Annotated[
        str | None,
        typer.Option(help="What to keep of the photos: thumbnails only, originals (stored), or paths (referenced)."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Save the run's figures to this file as JSON.")] = None,
) -> None:
    """Embed a catalogue and store it for searching. Run it again to embed only what has changed.

    A store made with another model needs --new-version; searches continue while it is built.
    Example: kaleidobert index catalogue.parquet --model runs/mini --store shop.store
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.readers import catalogue_columns
    from kaleidobert.index.indexer import index_catalogue

    check_files(json)
    mapping = catalogue_columns(columns, image_template)
    figures = index_catalogue(data, model, store, split, mapping, batch_size, prune, new_version, photos)
    indexed = f"{figures['products']:,} products ({figures['views']:,} photos) in {figures['seconds']:.0f} s"
    others = f"{figures['unchanged']:,} unchanged, {figures['removed']:,} removed"
    settings = figures["index"]
    search = "exact" if settings["kind"] == "exact" else f"{settings['kind']}, {settings['probes']} probes"
    typer.echo(f"indexed {indexed}; {others}; vector search: {search}, recall@10 {settings['recall']:.3f}")
    typer.echo(f"try: kaleidobert search 'black shoes' --store {store}")
    write_figures(figures, json)
