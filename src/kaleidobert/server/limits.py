"""Limits on the size of request bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException

from kaleidobert.server.photos import PHOTO_BYTES

WRITE_BYTES = 64_000_000
PHOTO_REQUEST_BYTES = PHOTO_BYTES * 4 // 3 + 100_000  # one photo as base64, and the other fields
EVENT_BYTES = 1_000_000
OTHER_BYTES = 100_000

Receive = Callable[[], Awaitable[dict[str, Any]]]


def max_body_bytes(path: str) -> int:
    """The largest body, in bytes, that a request to this path may have."""
    if path == "/api/products":
        return WRITE_BYTES
    if path == "/api/events":
        return EVENT_BYTES
    return PHOTO_REQUEST_BYTES if path in ("/photo", "/api/search", "/api/describe") else OTHER_BYTES


class BodyLimit:
    """ASGI middleware that refuses bodies above ``max_bytes(path)``, whether or not they declare their length."""

    def __init__(self, app: Any, max_bytes: Callable[[str], int] = max_body_bytes) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, received = self._max_bytes(scope["path"]), 0
        declared = dict(scope["headers"]).get(b"content-length", b"0")

        async def limited_receive() -> dict[str, Any]:
            nonlocal received
            if declared.isdigit() and int(declared) > limit:
                raise too_large(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large(limit)
            return message

        await self._app(scope, limited_receive, send)


def too_large(limit: int) -> HTTPException:
    size = f"{limit / 1e6:.0f} MB" if limit >= 1e6 else f"{limit / 1e3:.0f} kB"
    return HTTPException(413, f"the request is larger than {size}, the limit for this path: send less")
