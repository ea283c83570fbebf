"""Health checks and metrics for operators; the API's description for tools and people."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError, StoreError
from kaleidobert.server.auth import Tokens
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.errors import PROBLEM_RESPONSES
from kaleidobert.server.metrics import Metrics
from kaleidobert.server.pages import PageRenderer
from kaleidobert.server.request_parsing import request_schemas
from kaleidobert.server.request_schemas import (
    DescribeRequest,
    EventsRequest,
    NewProduct,
    PutProductsRequest,
    SearchRequest,
)


def operation_routes(batched_ranker: BatchedRanker, metrics: Metrics, tokens: Tokens) -> APIRouter:
    """``tokens``: accepted for metrics; without any, metrics are public."""
    router = APIRouter(default_response_class=PlainTextResponse)

    @router.get("/healthz", summary="Check that the process is alive")
    async def healthz() -> str:
        return "ok"

    @router.get("/readyz", responses={503: PROBLEM_RESPONSES[503]}, summary="Check that searches can be answered")
    def readyz() -> str:
        ranker = batched_ranker.ranker
        try:
            ranker.check()
            ranker.store.check_files()
            rows = ranker.store.rows()
        except (StoreError, RuntimeError, OSError) as error:
            raise StoreError(str(error)) from error
        except InputError as error:
            raise HTTPException(503, f"the store cannot be searched: {error}") from error
        if not rows:
            raise HTTPException(503, f"the store {ranker.store.uri} is empty")
        return "ready"

    @router.get("/metrics", summary="Prometheus metrics")
    def metric_values(request: Request) -> Response:
        if tokens:
            tokens.check(request)
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def description_routes(app: FastAPI, renderer: PageRenderer) -> APIRouter:
    """/openapi.json with the schemas of bodies that FastAPI cannot see, and /docs rendered from it."""
    router = APIRouter(include_in_schema=False)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            bodies = request_schemas(SearchRequest, DescribeRequest, PutProductsRequest, NewProduct, EventsRequest)
            schema["components"]["schemas"] |= bodies
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema

    @router.get("/docs", response_class=HTMLResponse)
    def docs(request: Request) -> str:
        return renderer.docs(openapi(), str(request.base_url))

    return router
