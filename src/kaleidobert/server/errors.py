"""Errors as problem documents (RFC 9457)."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from kaleidobert.errors import InputError, StoreError
from kaleidobert.server.headers import SECURITY_HEADERS
from kaleidobert.server.request_parsing import validation_message
from kaleidobert.server.schemas import ProblemDetails

PROBLEM_TYPE = "application/problem+json"
PROBLEM_RESPONSES: dict[int | str, dict] = {  # for the OpenAPI description
    status: {"model": ProblemDetails, "content": {PROBLEM_TYPE: {}}}
    for status in (400, 401, 403, 404, 413, 415, 422, 503, 507)
}

Responder = Callable[[Request, ProblemDetails], Response]


def problem_response(problem: ProblemDetails) -> Response:
    return Response(problem.model_dump_json(), problem.status, media_type=PROBLEM_TYPE)


def add_problem_handlers(app: FastAPI, respond: Responder) -> None:
    """Turn every exception into ``ProblemDetails`` with a one-sentence ``detail``, and send it through ``respond``."""

    def response_to(request: Request, status: int, detail: str) -> Response:
        response = respond(request, ProblemDetails(title=HTTPStatus(status).phrase, status=status, detail=detail))
        response.headers.update(SECURITY_HEADERS)  # an unhandled exception bypasses the middleware
        return response

    @app.exception_handler(InputError)
    async def _(request: Request, error: InputError) -> Response:
        return response_to(request, 400, str(error))

    _add_store_handlers(app, response_to)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        return response_to(request, 422, validation_message(error.errors()[0], skip=1))

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        response = response_to(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def _(request: Request, _error: ClientDisconnect) -> Response:
        return response_to(request, 400, "the request ended before its body was complete")  # for the log and metrics

    @app.exception_handler(OSError)
    async def _(request: Request, error: OSError) -> Response:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):  # uploads above a megabyte pass through files
            return response_to(request, 507, "the request cannot be stored: the server's disk is full or read-only")
        raise error

    @app.exception_handler(Exception)
    async def _(request: Request, _error: Exception) -> Response:
        response = response_to(request, 500, "the server failed on this request; see its log for the reason")
        response.headers["Connection"] = "close"  # as uvicorn does with it
        return response


def _add_store_handlers(app: FastAPI, response_to: Callable[[Request, int, str], Response]) -> None:
    """A store that is damaged or gone while it is served is no fault of the request."""

    def unreadable(request: Request, error: Exception) -> Response:
        logging.getLogger(__name__).error("the store cannot be read: %s", error)
        return response_to(request, 503, "the store cannot be read; the log says why")

    @app.exception_handler(StoreError)
    async def _(request: Request, error: StoreError) -> Response:
        return unreadable(request, error)

    @app.exception_handler(RuntimeError)
    async def _(request: Request, error: RuntimeError) -> Response:
        if "lance error" in str(error):  # of its files
            return unreadable(request, error)
        raise error
