"""`kaleidobert search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import Engine, EngineName, JsonFile, ModelFolder


def search(
    query: Annotated[str, typer.Argument(help="The text to search for.")] = "",
    *,
    store: Annotated[str, typer.Option(help="The store made by `kaleidobert index`.")],
    image: Annotated[Path | None, typer.Option(help="A photo to search with, alone or with a text.")] = None,
    like: Annotated[str | None, typer.Option(help="The id of a product to find similar ones to.")] = None,
    avoid: Annotated[str, typer.Option(help="Phrases that hits should not match, comma-separated.")] = "",
    filter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, NAME<=NUMBER or NAME=LOW..HIGH; can be repeated.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of hits.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Number of hits to skip.")] = 0,
    rerank: Annotated[
        int | None,
        typer.Option(min=0, help="Candidates to re-rank with the joint model; 0 for none.", show_default="20"),
    ] = None,
    hybrid: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Weight of the full-text rank in the order, from 0 to 1; 0 for none.",
            show_default="as fitted",
        ),
    ] = None,
    sort: Annotated[str, typer.Option(help="match, title or an attribute; prefix - to reverse.")] = "match",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Minimum match probability of a hit, from 0 to 1.")
    ] = None,
    facets: Annotated[bool, typer.Option(help="Count the values of all attributes.")] = False,
    why: Annotated[
        bool, typer.Option(help="Explain each hit by the query's words; with --out, mark the patches they match.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Save a picture of the result to this file.")] = None,
    model: ModelFolder = None,
    engine: EngineName = Engine.torch,
    json: JsonFile = None,
) -> None:
    """Search a store with a text, a photo, a product to resemble, or several of them.

    Example: kaleidobert search "red summer dress" --store shop.store --filter gender=Women --why --out result.png

    Example: kaleidobert search "but in blue" --like 10042 --avoid "leather, stripes" --store shop.store
    """
    from kaleidobert.cli.search_output import search_once
    from kaleidobert.data.images import open_photo
    from kaleidobert.index.filters import parse_filters
    from kaleidobert.search.query import Query

    search_once(
        Query(
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
        ),
        store,
        out,
        model,
        json,
        engine=engine,
    )
