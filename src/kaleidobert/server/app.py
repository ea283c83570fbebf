"""The search service: web pages for people and a JSON API for programs, on one store and its model.

The service sends everything its pages need, and they work without JavaScript. The model runs in a few threads, so
that health checks and photos are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from kaleidobert.data.events import EventLog
from kaleidobert.errors import InputError
from kaleidobert.scoring.engine import Engine
from kaleidobert.search.ranker import Ranker
from kaleidobert.search.suggestions import Suggester
from kaleidobert.server.auth import Tokens
from kaleidobert.server.batched_ranker import BatchedRanker, follow_versions
from kaleidobert.server.connections import LimitedProtocol
from kaleidobert.server.describing import PhotoDescriber
from kaleidobert.server.errors import add_problem_handlers
from kaleidobert.server.headers import DefaultHeaders, HeadRequests
from kaleidobert.server.limits import BodyLimit
from kaleidobert.server.metrics import Metrics, add_request_metrics
from kaleidobert.server.pages import WEB, PageRenderer
from kaleidobert.server.paths import EncodedSlashes
from kaleidobert.server.routes.events import event_routes
from kaleidobert.server.routes.html import PageHandlers, error_responder, page_routes
from kaleidobert.server.routes.operations import description_routes, operation_routes
from kaleidobert.server.routes.products import product_routes, write_routes
from kaleidobert.server.routes.search import search_routes
from kaleidobert.server.search_log import SearchLog
from kaleidobert.server.start_page import cached_vocabulary
from kaleidobert.server.ucp.settings import UcpSettings

# After which a thread that searches lets the one that accepts and refuses requests run: by Python's default of 5 ms,
# that one falls seconds behind when requests come faster than searches.
SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class ServerSettings:
    """What an operator chooses.

    tokens: accepted for writes; none makes the service read-only.
    workers: searches that run at once; one already uses several processor cores.
    max_queue: searches that may wait before further ones are refused.
    max_batch: queued searches that share one forward pass at most.
    describe_runs: fine-tuned runs that describe uploaded photos.
    events: the log of searches and clicks; None logs none.
    ucp: how to offer the catalogue by the Universal Commerce Protocol; None does not.
    photos: the folder below which originals that the store keeps by reference may be shown; None shows none of them.
    metrics_tokens: accepted for metrics; none makes them public.
    """

    tokens: Tokens = Tokens()
    workers: int = 2
    max_queue: int = 64
    max_batch: int = 8
    describe_runs: Sequence[Path] = ()
    events: EventLog | None = None
    ucp: UcpSettings | None = None
    photos: Path | None = None
    metrics_tokens: Tokens = Tokens()


def create_app(ranker: Ranker, settings: ServerSettings = ServerSettings()) -> FastAPI:
    """The service as an ASGI application. Raises ``InputError`` for settings that cannot be used."""
    metrics, renderer = Metrics(), PageRenderer()
    batched_ranker = BatchedRanker(ranker, metrics, settings.workers, settings.max_queue, settings.max_batch)
    suggester = Suggester(cached_vocabulary(batched_ranker, metrics))
    log = SearchLog(settings.events)
    handlers = PageHandlers(batched_ranker, suggester, renderer, metrics, log)
    describer = _describer(batched_ranker, settings.describe_runs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower = asyncio.create_task(follow_versions(batched_ranker))
        yield
        follower.cancel()

    app = FastAPI(title="Kaleido-BERT product search", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.router.redirect_slashes = False  # such redirects go to whatever host the request names
    respond = error_responder(renderer, handlers)
    if settings.ucp:
        from kaleidobert.server.routes.ucp import ucp_errors, ucp_routes  # needs the extra [ucp]

        app.include_router(ucp_routes(batched_ranker, settings.ucp))
        respond = ucp_errors(app, settings.ucp, respond)
    add_problem_handlers(app, respond)
    app.add_middleware(BodyLimit)
    app.add_middleware(DefaultHeaders)
    add_request_metrics(app, metrics)
    app.add_middleware(EncodedSlashes)  # the outermost, so that metrics see what is routed
    app.add_middleware(HeadRequests)
    app.mount("/static", StaticFiles(directory=WEB / "static"), name="static")
    app.include_router(page_routes(handlers))
    app.include_router(search_routes(batched_ranker, suggester, describer, log))
    app.include_router(event_routes(log))
    app.include_router(product_routes(batched_ranker, settings.photos))
    app.include_router(write_routes(batched_ranker, settings.tokens))
    app.include_router(operation_routes(batched_ranker, metrics, settings.metrics_tokens))
    app.include_router(description_routes(app, renderer))
    return app


def _describer(batched_ranker: BatchedRanker, runs: Sequence[Path]) -> PhotoDescriber:
    if not runs:
        return PhotoDescriber(batched_ranker)
    from kaleidobert.model.describing import Describer  # needs torch

    return PhotoDescriber(batched_ranker, Describer(runs))


def serve_store(
    store: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    model: Path | None = None,
    settings: ServerSettings = ServerSettings(),
    engine: Engine = Engine.torch,
) -> None:
    """Serve a store until interrupted. Raises ``InputError`` when the store, model or address cannot be used."""
    listener = listen(host, port)  # before loading the model, so that a taken port fails at once
    with listener:
        sys.setswitchinterval(SWITCH_SECONDS)
        ranker = Ranker.open(store, model, engine)
        ranker.store.hold_vectors()
        app = create_app(ranker, settings)
        address = f"http://{host}:{listener.getsockname()[1]}"
        access = "writes need a token" if settings.tokens else "read-only"
        print(f"serving {ranker.store.rows():,} photos of {store} at {address}, {access} (Ctrl+C stops)", flush=True)
        config = uvicorn.Config(app, log_level="warning", http=LimitedProtocol, ws="none")
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``InputError`` when the port is taken or the host is no address of this machine."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {reason}; choose another port with --port") from error
