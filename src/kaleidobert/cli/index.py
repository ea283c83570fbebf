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
    json: Annotated[Path | None, typer.Option(help="Write the run's figures here.")] = None,
) -> None:
    """Embed a catalogue once and store it for searching; again updates it in place.

    Example: kaleidobert index catalogue.parquet --model runs/mini --store shop.store
    """
    from json import dumps

    from kaleidobert.search.indexing import index_catalogue

    figures = index_catalogue(data, model, store, split, columns, batch_size)
    indexed = f"{figures['products']:,} products ({figures['views']:,} photos) in {figures['seconds']:.0f} s"
    typer.echo(f"indexed {indexed}; try: kaleidobert search 'black shoes' --store {store}")
    if json:
        json.write_text(dumps(figures, indent=2))
