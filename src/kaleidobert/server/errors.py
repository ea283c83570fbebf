"""What every response of the service has in common: problem documents, security headers, metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.server.request_parsing import sentence
from kaleidobert.server.schemas import Problem

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Respond = Callable[[Request, Problem], Response]


class Metrics:
    """The service's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("kaleidobert_requests_total", "Requests", ["route", "status"], registry=self.registry)
        self.request_seconds = self._seconds("kaleidobert_request_seconds", "Time to answer", "route")
        self.stage_seconds = self._seconds("kaleidobert_search_stage_seconds", "Time of one stage of a search", "stage")
        self.waiting = Gauge("kaleidobert_queue_waiting", "Searches that wait for a thread", registry=self.registry)
        self.batch_size = Histogram(
            "kaleidobert_batch_size",
            "Searches answered in one forward pass",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32),
        )
        self.cache_uses = Counter(
            "kaleidobert_cache_total", "Uses of what is kept", ["cache", "outcome"], registry=self.registry
        )

    def cache_use(self, cache: str) -> Callable[[bool], None]:
        """Counts the uses of one cache: was it there?"""
        return lambda hit: self.cache_uses.labels(cache, "hit" if hit else "miss").inc()

    def _seconds(self, name: str, help_text: str, label: str) -> Histogram:
        return Histogram(name, help_text, [label], registry=self.registry, buckets=SECONDS)


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
        return answer(request, 422, sentence(error.errors()[0], skip=1))

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
