"""Connections with limits: how many there are, and how long each may take to send a request or to read an answer.

What is refused here, before the application sees a request, gets a problem document as well.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from kaleidobert.server.errors import PROBLEM_TYPE, problem_response
from kaleidobert.server.schemas import ProblemDetails

MAX_CONNECTIONS = 1000
HEADER_SECONDS = 10.0  # to send the headers of a request
WRITE_SECONDS = 60.0  # in which a client reads nothing of an answer


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 that refuses requests on more than ``MAX_CONNECTIONS`` (503), and closes slow connections (408)."""

    max_connections = MAX_CONNECTIONS
    header_seconds = HEADER_SECONDS
    write_seconds = WRITE_SECONDS
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self.app = refuse_connection
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._header_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_headers()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._write_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _await_headers(self) -> None:
        """Start the clock where the next request has not begun, and stop it where one has."""
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._header_timer)
            self._header_timer = None
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._headers_late)

    def _headers_late(self) -> None:
        if not self.transport.is_closing():
            seconds = f"{self.header_seconds:.0f} seconds"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request's headers took longer than {seconds}")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem document, unless an answer was sent before, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = ProblemDetails(title=status.phrase, status=status, detail=detail).model_dump_json().encode()
            headers = [("content-type", PROBLEM_TYPE), ("content-length", str(len(body))), ("connection", "close")]
            start = h11.Response(status_code=status, headers=headers, reason=status.phrase)
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


async def refuse_connection(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "too many connections; try again in a second"
    response = problem_response(ProblemDetails(title="Service Unavailable", status=503, detail=detail))
    response.headers.update({"Retry-After": "1", "Connection": "close"})
    await response(scope, receive, send)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
