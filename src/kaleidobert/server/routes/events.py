"""The JSON API for events: what shoppers viewed, clicked and put in the cart, as the shop's own pages report it."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from kaleidobert.server.errors import PROBLEM_RESPONSES
from kaleidobert.server.request_parsing import body_schema, read_json
from kaleidobert.server.request_schemas import EventsRequest
from kaleidobert.server.search_log import SearchLog

_LOGGER = logging.getLogger(__name__)


def event_routes(log: SearchLog) -> APIRouter:
    router = APIRouter(responses=PROBLEM_RESPONSES)

    @router.post(
        "/api/events",
        summary="Log what a shopper viewed, clicked or put in the cart",
        status_code=204,
        openapi_extra=body_schema(EventsRequest, None),
    )
    async def post(request: Request) -> Response:
        if log.events is None:
            raise HTTPException(403, "this service logs no events: start it with --log-events")
        body = await read_json(request, EventsRequest, forms=False)
        try:
            await run_in_threadpool(log.events.append, [each.to_event() for each in body.events])
        except OSError as error:
            _LOGGER.warning("events are lost: %s", error)
            raise HTTPException(507, "the events cannot be stored: the log is full or cannot be written") from error
        return Response(status_code=204)

    return router
