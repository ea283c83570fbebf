"""`kaleidobert search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.")] = "",
    *,
    store: Annotated[str, typer.Option(help="The store that `kaleidobert index` made.")],
    image: Annotated[Path | None, typer.Option(help="A photo to look for, alone or with the words.")] = None,
    like: Annotated[str | None, typer.Option(help="The id of a product to find more of.")] = None,
    avoid: Annotated[str, typer.Option(help="What no hit should show or say; commas between phrases.")] = "",
    filter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, NAME<=NUMBER, NAME=LOW..HIGH; may be given several times.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many products.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out before them.")] = 0,
    rerank: Annotated[
        int | None, typer.Option(min=0, help="How many the joint model reads; 0: none.", show_default="20")
    ] = None,
    hybrid: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the full-text rank in the order, from 0 to 1.")
    ] = 0.0,
    sort: Annotated[str, typer.Option(help="match, title or an attribute; - in front turns it round.")] = "match",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least match probability of a hit, from 0 to 1.")
    ] = None,
    facets: Annotated[bool, typer.Option(help="Count the values of every attribute.")] = False,
    why: Annotated[bool, typer.Option(help="Say how much each word explains, and draw where with --out.")] = False,
    out: Annotated[Path | None, typer.Option(help="Draw the result as a picture here.")] = None,
    model: Annotated[Path | None, typer.Option(help="The model folder, where it has moved.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write hits and timings here.")] = None,
) -> None:
    """Search a store with words, a photo, a product to be like, or several of them.

    Example: kaleidobert search "red summer dress" --store shop.store --filter gender=Women --why --out result.png

    Example: kaleidobert search "but in blue" --like 10042 --avoid "leather, stripes" --store shop.store
    """
    from kaleidobert.cli.search_output import search_once
    from kaleidobert.data.images import open_photo
    from kaleidobert.index.filters import parse_filters
    from kaleidobert.search.query import Query

    asked = Query(
        query,
        image=open_photo(image) if image else None,
        like=like,
        avoid=avoid,
        filters=parse_filters(filter or []),
        top=top,
        offset=offset,
        rerank=rerank,
        hybrid=hybrid,
        sort=sort,
        threshold=threshold,
        why=why,
        facets=() if facets else None,
        thumbnails=out is not None,
    )
    search_once(asked, store, out, model, json)
