"""Headers that every response has."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


HEAD = "kaleidobert.head"  # in the scope of a request that was HEAD


class HeadRequests:
    """ASGI middleware that answers HEAD like GET, without the body (RFC 9110, 9.3.2)."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def send_without_body(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                message = message | {"body": b""}
            await send(message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self._app(scope | {"method": "GET", HEAD: True}, receive, send_without_body)
        else:
            await self._app(scope, receive, send)


class DefaultHeaders:
    """ASGI middleware: security headers, and revalidation unless the response sets its own caching."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-cache")  # revalidate: an upgrade changes styles and scripts
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
