"""`kaleidobert mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from kaleidobert.cli.options import Engine, EngineName, ModelFolder


def mcp(
    *,
    store: Annotated[str, typer.Option(help="The store made by `kaleidobert index`.")],
    model: ModelFolder = None,
    engine: EngineName = Engine.torch,
) -> None:
    """Serve a store to agents as tools of the Model Context Protocol, over standard input and output.

    Example: kaleidobert mcp --store shop.store
    """
    from kaleidobert.errors import InputError
    from kaleidobert.search.ranker import Ranker

    try:
        from kaleidobert.server.mcp_tools import mcp_server
    except ImportError as error:
        hint = "install it with: pip install 'kaleidobert[mcp]'"
        raise InputError(f"the tools need the package {error.name}; {hint}") from error

    mcp_server(Ranker.open(store, model, engine)).run("stdio")
