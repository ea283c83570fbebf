"""What every response of the service has in common: problem documents, security headers, metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.search.schemas import Problem

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Result = TypeVar("Result")
Respond = Callable[[Request, Problem], Response]


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("kaleidobert_requests_total", "Requests", ["route", "status"], registry=self.registry)
        self.request_seconds = Histogram(
            "kaleidobert_request_seconds",
            "Time to answer",
            ["route"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self.stage_seconds = Histogram(
            "kaleidobert_search_stage_seconds",
            "Time of one stage of a search",
            ["stage"],
            registry=self.registry,
            buckets=SECONDS,
        )


class Gate:
    """Runs work in threads, ``workers`` at once; with ``waiting`` in the queue already, it refuses."""

    def __init__(self, workers: int, waiting: int) -> None:
        self._limiter = CapacityLimiter(workers)
        self._room = workers + waiting

    async def run(self, work: Callable[[], Result]) -> Result:
        """Raises ``HTTPException`` 503 when the queue is full."""
        if not self._room:
            detail = "too many searches are waiting; try again in a second"
            raise HTTPException(503, detail, {"Retry-After": "1"})
        self._room -= 1  # only the event loop's thread comes here
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._room += 1


def problem_response(problem: Problem) -> Response:
    return Response(problem.model_dump_json(), problem.status, media_type="application/problem+json")


def add_problem_handlers(app: FastAPI, respond: Respond) -> None:
    """Give every error to ``respond`` as a ``Problem`` with one clear sentence."""

    def answer(request: Request, status: int, detail: str) -> Response:
        response = respond(request, Problem(title=HTTPStatus(status).phrase, status=status, detail=detail))
        response.headers.update(HEADERS)  # a failure inside passes the middleware by
        return response

    @app.exception_handler(InputError)
    async def _(request: Request, error: InputError) -> Response:
        return answer(request, 400, str(error))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return answer(request, 422, f"{place}: {first['msg']}" if place else first["msg"])

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        response = answer(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def _(request: Request, _error: Exception) -> Response:
        return answer(request, 500, "the server failed on this request; its log says why")


def add_observation(app: FastAPI, metrics: Metrics) -> None:
    """Count and time every request, and set the security headers of every response."""

    @app.middleware("http")
    async def _(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        status = 500
        try:
            response = await call_next(request)
            status = response.status_code
        finally:
            route = getattr(request.scope.get("route"), "path", "other")
            metrics.requests.labels(route, str(status)).inc()
            metrics.request_seconds.labels(route).observe(time.perf_counter() - started)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-cache")  # ask again: an upgrade changes style and script
        return response
