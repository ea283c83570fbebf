"""The search service: a page for people, a JSON API for programs, on one ``Ranker``.

Everything the page needs comes from this process; it works without JavaScript. The model runs in threads, a
few at once, so that health checks and photos are answered while it works.
"""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.search.answers import Answer
from kaleidobert.search.answers import Query as Question
from kaleidobert.search.filters import Filters
from kaleidobert.search.http import Gate, Metrics, add_observation, add_problem_handlers, problem_response
from kaleidobert.search.pages import PAGE_SIZE, WEB, Pages
from kaleidobert.search.ranking import Ranker
from kaleidobert.search.records import parse_filters
from kaleidobert.search.schemas import (
    MAX_RESULTS,
    Problem,
    ProductResponse,
    SearchRequest,
    SearchResponse,
)

WORKERS = 2  # searches at once: the model already spreads one over the processor's cores
WAITING = 64  # searches that may wait for their turn

PROBLEMS: dict[int | str, dict] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}} for status in (400, 404, 422, 503)
}


class Searcher:
    """Runs searches in threads, a few at once, and records how long their stages take."""

    def __init__(self, ranker: Ranker, metrics: Metrics) -> None:
        self.ranker = ranker
        self.metrics = metrics
        self.gate = Gate(WORKERS, WAITING)

    async def answer(self, request: SearchRequest) -> Answer:
        """The answer up to one hit beyond the page asked for."""
        depth = request.offset + request.top + 1
        found = await self.gate.run(
            lambda: self.ranker.answer(
                Question(
                    request.query,
                    filters=Filters.of(request.filters),
                    top=depth,
                    rerank=request.rerank,
                    thumbnails=False,
                )
            )
        )
        for stage, seconds in found.seconds.items():
            if seconds:
                self.metrics.stage_seconds.labels(stage).observe(seconds)
        return found


def create_app(ranker: Ranker) -> FastAPI:
    """The service as an ASGI application."""
    app = FastAPI(title="Kaleido-BERT product search", docs_url=None, redoc_url=None)
    metrics = Metrics()
    pages = Pages(ranker.store)
    searcher = Searcher(ranker, metrics)

    def respond(request: Request, problem: Problem) -> Response:
        """People see a page, programs a problem document."""
        if request.url.path == "/":
            return HTMLResponse(pages.error(request.query_params.get("q", ""), problem), problem.status)
        return problem_response(problem)

    add_problem_handlers(app, respond)
    add_observation(app, metrics)
    app.mount("/static", StaticFiles(directory=WEB / "static"), name="static")
    app.include_router(page_routes(searcher, pages, app))
    app.include_router(product_routes(searcher))
    app.include_router(operation_routes(ranker, metrics))
    return app


def page_routes(searcher: Searcher, pages: Pages, app: FastAPI) -> APIRouter:
    """What people open."""
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/")
    async def page(
        q: Annotated[str, Query(max_length=2000)] = "",
        number: Annotated[int, Query(alias="page", ge=1, le=MAX_RESULTS // PAGE_SIZE)] = 1,
        conditions: Annotated[list[str] | None, Query(alias="filter", max_length=20)] = None,
    ) -> str:
        if not q.strip():
            return await searcher.gate.run(pages.start)
        filters = parse_filters(conditions or [])
        request = SearchRequest(query=q, filters=filters, top=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)
        found = await searcher.answer(request)
        hint = "" if found.hits else await searcher.gate.run(lambda: searcher.ranker.why_nothing(filters))
        return pages.results(request, number, found, hint)

    @router.get("/docs")
    def docs(request: Request) -> str:
        return pages.docs(app.openapi(), str(request.base_url))

    return router


def product_routes(searcher: Searcher) -> APIRouter:
    """What programs ask: searches, products and their photos."""
    router = APIRouter(responses=PROBLEMS)
    store = searcher.ranker.store

    @router.post("/api/search", summary="Rank the catalogue for a query")
    async def search(request: SearchRequest) -> SearchResponse:
        return SearchResponse.of(request, await searcher.answer(request), searcher.ranker.fingerprint)

    @router.get("/api/products/{product_id:path}", summary="One product")
    def product(product_id: str) -> ProductResponse:
        found = store.product(product_id)
        if found is None:
            raise HTTPException(404, f"no product with id {product_id!r}")
        return ProductResponse.of(*found)

    @router.get("/images/{product_id:path}/{view}", summary="A photo's thumbnail (JPEG)")
    def image(request: Request, product_id: str, view: int) -> Response:
        found = store.thumbnails([(product_id, view)])
        if not found:
            raise HTTPException(404, f"no photo {view} of a product with id {product_id!r}")
        (photo,) = found.values()
        tag = f'"{hashlib.sha256(photo).hexdigest()[:16]}"'
        headers = {"Cache-Control": "public, max-age=3600", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(photo, media_type="image/jpeg", headers=headers)

    return router


def operation_routes(ranker: Ranker, metrics: Metrics) -> APIRouter:
    """What an operator's tools ask."""
    router = APIRouter(default_response_class=PlainTextResponse)

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> str:
        return "ok"

    @router.get("/readyz", responses={503: PROBLEMS[503]}, summary="Can it answer searches?")
    def readyz() -> str:
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


def serve_store(store: str, host: str = "127.0.0.1", port: int = 8000, model: Path | None = None) -> None:
    """Serve a store until interrupted. Raises ``InputError`` where store, model or address cannot be used."""
    listener = listen(host, port)  # first: a port in use should not cost the loading of a model
    with listener:
        ranker = Ranker.open(store, model)
        app = create_app(ranker)
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"serving {ranker.store.rows():,} photos of {store} at {address} (Ctrl+C stops)", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``InputError`` where the port is taken or the host is not this machine's."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {reason}; choose another with --port") from error
