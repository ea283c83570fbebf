"""Limits on request bodies."""

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

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
