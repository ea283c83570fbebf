"""The service's Prometheus metrics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # histogram buckets


class Metrics:
    """All metrics of one service, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("kaleidobert_requests_total", "Requests", ["route", "status"], registry=self.registry)
        self.request_seconds = self._seconds("kaleidobert_request_seconds", "Response time", "route")
        self.stage_seconds = self._seconds("kaleidobert_search_stage_seconds", "Time of one search stage", "stage")
        self.queued = Gauge("kaleidobert_queue_waiting", "Searches waiting for a thread", registry=self.registry)
        self.batch_size = Histogram(
            "kaleidobert_batch_size",
            "Searches answered in one forward pass",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32),
        )
        self.cache_uses = Counter(
            "kaleidobert_cache_total", "Cache lookups", ["cache", "outcome"], registry=self.registry
        )

    def cache_observer(self, cache: str) -> Callable[[bool], None]:
        """A function that counts a lookup in this cache as a hit (True) or a miss (False)."""
        return lambda hit: self.cache_uses.labels(cache, "hit" if hit else "miss").inc()

    def _seconds(self, name: str, help_text: str, label: str) -> Histogram:
        return Histogram(name, help_text, [label], registry=self.registry, buckets=SECONDS)


def add_request_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Count and time every request by route and status."""

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
        return response
