"""`kaleidobert serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    *,
    store: Annotated[str, typer.Option(help="The store that `kaleidobert index` made.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    model: Annotated[Path | None, typer.Option(help="The model folder, where it has moved.")] = None,
    describe: Annotated[list[Path] | None, typer.Option(help="Runs that tell of new photos, as for describe.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Tokens that allow writes, one a line.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Searches at once.")] = 2,
    queue: Annotated[int, typer.Option(min=0, help="Searches that may wait before others are refused.")] = 64,
    batch: Annotated[int, typer.Option(min=1, help="Waiting searches that one forward pass answers at most.")] = 8,
) -> None:
    """Serve a store as a web page and a JSON API. Without a token (--token-file or KALEIDOBERT_TOKENS) it is read-only.

    Example: kaleidobert serve --store shop.store --port 8000
    """
    from kaleidobert.errors import InputError

    try:
        from kaleidobert.server.app import ServerSettings, serve_store
        from kaleidobert.server.auth import Tokens
    except ImportError as error:
        hint = "install it with: pip install 'kaleidobert[serve]'"
        raise InputError(f"serving needs the package {error.name}; {hint}") from error

    settings = ServerSettings(Tokens.read(token_file), workers, queue, batch, describe or ())
    serve_store(store, host, port, model, settings)
