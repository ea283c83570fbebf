"""Limits on request bodies."""

from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from kaleidobert.server.limits import BodyLimit


def test_bodies_are_limited_whether_they_declare_their_size_or_not() -> None:
    app, seen = FastAPI(), []

    @app.post("/small")
    @app.post("/large")
    async def receive(request: Request) -> int:
        body = await request.body()
        seen.append(len(body))
        return len(body)

    app.add_middleware(BodyLimit, max_bytes=lambda path: 100 if path == "/small" else 1000)
    with TestClient(app) as client:
        assert client.post("/small", content=b"a" * 100).json() == 100
        assert client.post("/small", content=b"a" * 101).status_code == 413
        assert client.post("/small", content=(b"a" * 60 for _ in range(2))).status_code == 413
        assert client.post("/large", content=(b"a" * 60 for _ in range(2))).json() == 120
    assert seen == [100, 120]


def test_large_bodies_share_a_budget_and_small_ones_need_none() -> None:
    app = FastAPI()
    inside: list[Any] = []

    @app.post("/{name}")
    async def receive(request: Request) -> int:
        body = await request.body()
        if request.url.path == "/first":  # the first request sends another one before it is answered
            for name, size in (("second", 200_000), ("small", 1000)):
                inside.append(await run_in_threadpool(client.post, f"/{name}", content=b"a" * size))
        return len(body)

    app.add_middleware(BodyLimit, max_bytes=lambda _: 10**6, budget=300_000)
    with TestClient(app) as client:
        assert client.post("/first", content=b"a" * 200_000).json() == 200_000
        assert client.post("/third", content=(b"a" * 100_000 for _ in range(2))).json() == 200_000  # the budget is free
    refused, small = inside
    assert (refused.status_code, refused.headers["retry-after"], small.json()) == (503, "1", 1000)


def test_a_slow_body_is_refused() -> None:
    statuses: list[int] = []

    async def read(scope: dict, receive: Any, send: Any) -> None:  # noqa: ARG001
        try:
            await receive()
            await receive()
        except HTTPException as error:
            statuses.append(error.status_code)

    async def receive() -> dict[str, Any]:
        if sent:
            await anyio.sleep(10)
        sent.append(1)
        return {"type": "http.request", "body": b"a", "more_body": True}

    sent: list[int] = []
    anyio.run(BodyLimit(read, seconds=0.05), {"type": "http", "path": "/", "headers": []}, receive, None)
    assert statuses == [408]
