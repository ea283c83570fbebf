"""Limits on request bodies: the size of each, the bytes of all together, and the time that one takes to arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio import current_time, fail_after
from starlette.exceptions import HTTPException

from kaleidobert.server.photos import PHOTO_BYTES

WRITE_BYTES = 64_000_000
PHOTO_REQUEST_BYTES = PHOTO_BYTES * 4 // 3 + 100_000  # one photo as base64, and the other fields
EVENT_BYTES = 1_000_000
OTHER_BYTES = 100_000
BODIES_BYTES = 100_000_000  # of all bodies above OTHER_BYTES together, until their requests are answered
BODY_SECONDS = 30.0  # from the first byte that is read to the last
CLOSE = {"Connection": "close"}  # the rest of the body is not read
BUSY = {"Retry-After": "1", **CLOSE}

Receive = Callable[[], Awaitable[dict[str, Any]]]


def max_body_bytes(path: str) -> int:
    """The largest body, in bytes, that a request to this path may have."""
    if path == "/api/products":
        return WRITE_BYTES
    if path == "/api/events":
        return EVENT_BYTES
    return PHOTO_REQUEST_BYTES if path in ("/photo", "/api/search", "/api/describe") else OTHER_BYTES


class BodyLimit:
    """ASGI middleware that refuses bodies above ``max_bytes(path)``, whether or not they declare their length (413),
    bodies that do not fit into ``budget`` bytes with those of other requests (503), and those that take longer than
    ``seconds`` (408).

    A body counts with its declared length from the moment when it is first read, so after tokens were checked and a
    place in the queue was found.
    """

    def __init__(
        self,
        app: Any,
        max_bytes: Callable[[str], int] = max_body_bytes,
        budget: int = BODIES_BYTES,
        seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._free = budget
        self._seconds = seconds

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, received, held, complete = self._max_bytes(scope["path"]), 0, 0, False
        length = dict(scope["headers"]).get(b"content-length", b"0")
        declared = int(length) if length.isdigit() and len(length) < 20 else 0
        deadline: float | None = None

        def hold(size: int) -> None:
            nonlocal held
            if size > limit:
                raise too_large(limit)
            more = size - held if size > OTHER_BYTES else 0
            if more > self._free:
                raise HTTPException(503, "too many large requests at once; try again in a second", BUSY)
            if more > 0:
                self._free -= more
                held += more

        async def limited_receive() -> dict[str, Any]:
            nonlocal received, deadline, complete
            if complete:  # what follows is the end of the connection
                return await receive()
            hold(declared)
            deadline = current_time() + self._seconds if deadline is None else deadline
            try:
                with fail_after(deadline - current_time()):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"the request took longer than {self._seconds:.0f} seconds", CLOSE) from error
            received += len(message.get("body", b""))
            hold(max(declared, received))
            complete = not message.get("more_body", False)
            return message

        try:
            await self._app(scope, limited_receive, send)
        finally:
            self._free += held


def too_large(limit: int) -> HTTPException:
    size = f"{limit / 1e6:.0f} MB" if limit >= 1e6 else f"{limit / 1e3:.0f} kB"
    return HTTPException(413, f"the request is larger than {size}, the limit for this path: send less", CLOSE)
