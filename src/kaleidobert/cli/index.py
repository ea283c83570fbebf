"""`kaleidobert index`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, JsonFile, MaxBad
from kaleidobert.cli.output import check_files


def index(
    data: Catalogue,
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    store: Annotated[str, typer.Option(help="Where to keep the store: a folder or an object-store address.")],
    split: Annotated[str | None, typer.Option(help="Index only this split, for example test.")] = None,
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos per forward pass.")] = 64,
    prune: Annotated[bool, typer.Option("--prune", help="Delete products that are no longer in DATA.")] = False,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="Build a new version beside the current one, and switch at the end.")
    ] = False,
    photos: Annotated[
        str | None,
        typer.Option(help="What to keep of the photos: thumbnails only, originals (stored), or paths (referenced)."),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Embed a catalogue and store it for searching. Run it again to embed only what has changed.

    A store made with another model needs --new-version; searches continue while it is built.
    Example: kaleidobert index catalogue.parquet --model runs/mini --store shop.store
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.index.indexer import index_catalogue
    from kaleidobert.index.opening import store_errors

    check_files(json)
    reading = Reading.load(columns, image_template, max_bad)
    with store_errors(store):
        figures = index_catalogue(data, model, store, split, reading, batch_size, prune, new_version, photos)
    indexed = f"{figures['products']:,} products ({figures['views']:,} photos) in {figures['seconds']:.0f} s"
    others = f"{figures['unchanged']:,} unchanged, {figures['removed']:,} removed"
    settings = figures["index"]
    search = "exact" if settings["kind"] == "exact" else f"{settings['kind']}, {settings['probes']} probes"
    typer.echo(f"indexed {indexed}; {others}; vector search: {search}, recall@10 {settings['recall']:.3f}")
    typer.echo(f"try: kaleidobert search {quote(figures['example'])} --store {store}")
    write_figures(figures, json)
