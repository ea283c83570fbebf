"""`kaleidobert serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kaleidobert.cli.options import Engine, EngineName, ModelFolder
from kaleidobert.data.events import KEEP_DAYS


def serve(
    *,
    store: Annotated[str, typer.Option(help="The store made by `kaleidobert index`.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 chooses a free one.")] = 8000,
    model: ModelFolder = None,
    engine: EngineName = Engine.torch,
    describe: Annotated[
        list[Path] | None, typer.Option(help="Fine-tuned runs that describe uploaded photos; can be repeated.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Tokens that allow writes, one per line.")] = None,
    metrics_token_file: Annotated[
        Path | None, typer.Option(help="Tokens that allow reading /metrics, one per line; without, everybody may.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="The folder of photos that a store made with --photos referenced may show.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Searches that run at once.")] = 2,
    queue: Annotated[int, typer.Option(min=0, help="Searches that may wait before further ones are refused.")] = 64,
    log_events: Annotated[
        bool,
        typer.Option("--log-events", help="Log searches and clicks, but not whose, in the store's folder."),
    ] = False,
    keep_events: Annotated[
        int, typer.Option(min=0, help="Days after which logged events are deleted; 0 keeps them all.")
    ] = KEEP_DAYS,
    ucp: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Offer the catalogue to agents by the Universal Commerce Protocol, at this "
            "public address of the service, such as https://shop.example; needs --currency.",
        ),
    ] = "",
    currency: Annotated[str, typer.Option(help="The currency of the store's prices, such as EUR, for --ucp.")] = "",
    batch: Annotated[int, typer.Option(min=1, help="Maximum number of waiting searches per forward pass.")] = 8,
) -> None:
    """Serve a store as a website and a JSON API.

    The service is read-only unless it has tokens for writes, from --token-file or $KALEIDOBERT_TOKENS.
    Example: kaleidobert serve --store shop.store --port 8000
    """
    from kaleidobert.data.events import EventLog, events_folder
    from kaleidobert.errors import InputError

    if bool(ucp) != bool(currency):
        raise InputError("--ucp and --currency belong together: give the service's address and its prices' currency")
    try:
        from kaleidobert.server.app import ServerSettings, serve_store
        from kaleidobert.server.auth import METRICS_VARIABLE, Tokens
        from kaleidobert.server.ucp.settings import UcpSettings

        if ucp:
            import kaleidobert.server.routes.ucp  # noqa: F401
    except ImportError as error:
        extra = "serve,ucp" if ucp else "serve"
        hint = f"install it with: pip install 'kaleidobert[{extra}]'"
        raise InputError(f"serving needs the package {error.name}; {hint}") from error

    settings = ServerSettings(
        tokens=Tokens.read(token_file),
        workers=workers,
        max_queue=queue,
        max_batch=batch,
        describe_runs=describe or (),
        events=EventLog(events_folder(store), keep_events) if log_events else None,
        ucp=UcpSettings(ucp, currency) if ucp else None,
        photos=photos,
        metrics_tokens=Tokens.read(metrics_token_file, METRICS_VARIABLE),
    )
    serve_store(store, host, port, model, settings, engine)
