"""`kaleidobert serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    store: Annotated[str, typer.Option(help="The store that `kaleidobert index` made.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    model: Annotated[Path | None, typer.Option(help="The model folder, where it has moved.")] = None,
) -> None:
    """Serve a store as a web page and a JSON API.

    Example: kaleidobert serve --store shop.store --port 8000
    """
    from kaleidobert.errors import InputError

    try:
        from kaleidobert.search.service import serve_store
    except ImportError as error:
        hint = "install it with: pip install 'kaleidobert[serve]'"
        raise InputError(f"serving needs the package {error.name}; {hint}") from error

    serve_store(store, host, port, model)
