"""`kaleidobert search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def search(
    query: Annotated[str | None, typer.Argument(help="What to look for, in words.")] = None,
    *,
    store: Annotated[str, typer.Option(help="The store that `kaleidobert index` made.")],
    image: Annotated[Path | None, typer.Option(help="A photo to look for, alone or with the words.")] = None,
    filter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be given several times.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many products.")] = 10,
    rerank: Annotated[int, typer.Option(min=0, help="How many the joint model reads; 0: none.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Draw the result as a picture here.")] = None,
    model: Annotated[Path | None, typer.Option(help="The model folder, where it has moved.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write hits and timings here.")] = None,
) -> None:
    """Search a store with words, a photo or both.

    Example: kaleidobert search "red summer dress" --store shop.store --filter gender=Women --out result.png
    """
    from kaleidobert.search.terminal import search_once

    search_once(query, store, image, filter or [], top, rerank, out, model, json)
