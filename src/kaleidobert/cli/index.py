"""`kaleidobert index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def index(
    data: Annotated[str, typer.Argument(help="The catalogue: a file, a folder or a data set's name.")],
    model: Annotated[Path, typer.Option(help="The model folder: a run of pretrain or finetune.")],
    store: Annotated[str, typer.Option(help="Where the store lies: a folder or an object-store address.")],
    split: Annotated[str | None, typer.Option(help="Index this split only, for example test.")] = None,
    columns: Annotated[Path | None, typer.Option(help="A file that maps unusual column names.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos embedded at once.")] = 64,
    prune: Annotated[bool, typer.Option("--prune", help="Delete products that are no longer in DATA.")] = False,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="Build beside what is searched now, and switch at the end.")
    ] = False,
    photos: Annotated[
        str | None, typer.Option(help="Keep originals: stored, referenced (by path), or thumbnails only.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the run's figures here.")] = None,
) -> None:
    """Embed a catalogue once and store it for searching; again embeds what has changed.

    A model other than the store's needs --new-version; searches go on meanwhile.
    Example: kaleidobert index catalogue.parquet --model runs/mini --store shop.store
    """
    from json import dumps

    from kaleidobert.index.indexer import index_catalogue

    figures = index_catalogue(data, model, store, split, columns, batch_size, prune, new_version, photos)
    done = f"{figures['products']:,} products ({figures['views']:,} photos) in {figures['seconds']:.0f} s"
    kept = f"{figures['unchanged']:,} unchanged, {figures['removed']:,} removed"
    found = figures["index"]
    search = "exact" if found["kind"] == "exact" else f"{found['kind']}, {found['probes']} probes"
    typer.echo(f"indexed {done}; {kept}; vector search: {search}, recall@10 {found['recall']:.3f}")
    typer.echo(f"try: kaleidobert search 'black shoes' --store {store}")
    if json:
        json.write_text(dumps(figures, indent=2))
