"""The search service: a page for people, a JSON API for programs, on one store and its model.

Everything the page needs comes from this process, and it works without JavaScript. The model runs in threads, a
few at once, so that health checks and photos are answered while it works.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.model.describing import Describer
from kaleidobert.search.ranker import Ranker
from kaleidobert.search.suggestions import Suggester, Vocabulary
from kaleidobert.server.auth import BodyLimit, Tokens
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.caching import CachedPerVersion
from kaleidobert.server.describing import PhotoReader
from kaleidobert.server.errors import Metrics, add_observation, add_problem_handlers, problem_response
from kaleidobert.server.pages import WEB, PageQuery, Pages
from kaleidobert.server.photos import PHOTO_BYTES
from kaleidobert.server.request_parsing import request_schemas
from kaleidobert.server.routes.html import PLACES, STALE_SECONDS, HtmlPages, page_routes
from kaleidobert.server.routes.products import write_routes
from kaleidobert.server.routes.search import product_routes, search_routes
from kaleidobert.server.schemas import DescribeRequest, NewProduct, Problem, SearchRequest, StoreRequest

WRITE_BYTES = 64_000_000
PHOTO_REQUEST_BYTES = PHOTO_BYTES * 4 // 3 + 100_000  # as base64, beside the other fields
OTHER_BYTES = 100_000
CONNECTIONS = 1000  # at once; beyond them even a queue is not asked
WATCH_SECONDS = 5.0  # between looks for a new version of the store

PROBLEMS: dict[int | str, dict] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}}
    for status in (400, 401, 403, 404, 413, 415, 422, 503)
}


@dataclass(frozen=True)
class ServerSettings:
    """What an operator chooses.

    tokens: of those who may write; none: nobody. workers: searches at once, as the model spreads one over the
    processor's cores already. waiting: searches that may wait before others are refused. batch: searches that one
    forward pass answers at most. describers: runs of `finetune` that tell of a new photo.
    """

    tokens: Tokens = Tokens()
    workers: int = 2
    waiting: int = 64
    batch: int = 8
    describers: Sequence[Path] = ()


def create_app(ranker: Ranker, settings: ServerSettings = ServerSettings()) -> FastAPI:
    """The service as an ASGI application. Raises ``InputError`` for describing runs that cannot be used."""
    metrics, pages = Metrics(), Pages()
    searcher = BatchedRanker(ranker, metrics, settings.workers, settings.waiting, settings.batch)
    vocabulary = CachedPerVersion(
        lambda: Vocabulary.of(searcher.ranker.store.titles(), searcher.ranker.store.words()),
        lambda: searcher.ranker.store.version,
        STALE_SECONDS,
        metrics.cache_use("vocabulary"),
    )
    suggester = Suggester(vocabulary)
    front = HtmlPages(searcher, suggester, pages, metrics)
    reader = PhotoReader(searcher, Describer(settings.describers))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher = asyncio.create_task(follow_versions(searcher))
        yield
        watcher.cancel()

    app = FastAPI(title="Kaleido-BERT product search", docs_url=None, redoc_url=None, lifespan=lifespan)

    def respond(request: Request, problem: Problem) -> Response:
        """People see a page, programs a problem document."""
        if request.url.path not in PLACES:
            return problem_response(problem)
        again = "." + request.url.path + ("?" + request.url.query if request.url.query else "")
        asked = PageQuery(request.query_params.get("q", "")[:2000])
        return HTMLResponse(pages.error(asked, problem, again), problem.status)

    add_problem_handlers(app, respond)
    app.add_middleware(BodyLimit, largest=largest_body)
    add_observation(app, metrics)
    app.mount("/static", StaticFiles(directory=WEB / "static"), name="static")
    app.include_router(page_routes(front))
    app.include_router(search_routes(searcher, suggester, reader, PROBLEMS))
    app.include_router(product_routes(searcher, PROBLEMS))
    app.include_router(write_routes(searcher, settings.tokens, PROBLEMS))
    app.include_router(operation_routes(searcher, metrics))
    app.include_router(description_routes(app, pages))
    return app


def largest_body(path: str) -> int:
    """Bytes that a request to this path may send."""
    if path == "/api/products":
        return WRITE_BYTES
    return PHOTO_REQUEST_BYTES if path in ("/photo", "/api/search", "/api/describe") else OTHER_BYTES


async def follow_versions(searcher: BatchedRanker) -> None:
    """Go over to a new version of the store, with its model, when one is searched; the old one answers meanwhile."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            if await asyncio.to_thread(lambda: searcher.ranker.store.superseded):
                searcher.ranker = await asyncio.to_thread(Ranker.open, searcher.ranker.store.uri)
        except (InputError, RuntimeError, OSError) as error:
            logging.getLogger(__name__).warning("the store's new version cannot be searched: %s", error)


def operation_routes(searcher: BatchedRanker, metrics: Metrics) -> APIRouter:
    """What an operator's tools ask."""
    router = APIRouter(default_response_class=PlainTextResponse)

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> str:
        return "ok"

    @router.get("/readyz", responses={503: PROBLEMS[503]}, summary="Can it answer searches?")
    def readyz() -> str:
        ranker = searcher.ranker
        try:
            ranker.check()
            rows = ranker.store.rows()
        except (ValueError, RuntimeError, OSError) as error:
            raise HTTPException(503, f"the store cannot be searched: {error}") from error
        if not rows:
            raise HTTPException(503, f"the store {ranker.store.uri} is empty")
        return "ready"

    @router.get("/metrics", summary="Prometheus metrics")
    def metric_values() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def description_routes(app: FastAPI, pages: Pages) -> APIRouter:
    """The API's description, for tools and for people."""
    router = APIRouter(include_in_schema=False)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["components"]["schemas"] |= request_schemas(SearchRequest, DescribeRequest, StoreRequest, NewProduct)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @router.get("/docs", response_class=HTMLResponse)
    def docs(request: Request) -> str:
        return pages.docs(openapi(), str(request.base_url))

    return router


def serve_store(
    store: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    model: Path | None = None,
    settings: ServerSettings = ServerSettings(),
) -> None:
    """Serve a store until interrupted. Raises ``InputError`` where store, model or address cannot be used."""
    listener = listen(host, port)  # first: a port in use should not cost the loading of a model
    with listener:
        ranker = Ranker.open(store, model)
        app = create_app(ranker, settings)
        address = f"http://{host}:{listener.getsockname()[1]}"
        writes = "writes with a token" if settings.tokens else "read-only"
        print(f"serving {ranker.store.rows():,} photos of {store} at {address}, {writes} (Ctrl+C stops)", flush=True)
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=CONNECTIONS)
        uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``InputError`` where the port is taken or the host is not this machine's."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {reason}; choose another with --port") from error
