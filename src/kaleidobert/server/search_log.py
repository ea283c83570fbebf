"""Logs the searches by words that the service answers, and the products opened from them, where it is to log events.

A photo or a product to resemble would be missing from a query as it is logged, so such searches are not.
"""

from __future__ import annotations

import logging

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from kaleidobert.data.events import CLICK, SEARCH, Event, EventLog
from kaleidobert.search.query import Answer
from kaleidobert.server.headers import HEAD

_LOGGER = logging.getLogger(__name__)


def by_person(request: Request) -> bool:
    """Whether a page was asked for to be read: not by HEAD, as a picture of another page, or ahead of time."""
    ahead = request.headers.get("sec-purpose") or request.headers.get("purpose") or request.headers.get("x-moz")
    destination = request.headers.get("sec-fetch-dest", "document")
    return not (request.scope.get(HEAD) or ahead) and destination == "document"


class SearchLog:
    """``events`` is None where nothing is logged. A log that cannot be written to fails no search."""

    def __init__(self, events: EventLog | None) -> None:
        self.events = events

    async def searched(self, text: str, offset: int, answer: Answer) -> None:
        """Log a search for what was typed; further pages of an answer are the same search."""
        if text.strip() and not offset and answer.asked.image is None and not answer.asked.like:
            await self._append(Event(SEARCH, text, hits=answer.total, weak=answer.weak))

    async def clicked(self, query: str, product: str, position: int | None) -> None:
        """Log that a product was opened from the answer to a query."""
        if query.strip() and position:
            await self._append(Event(CLICK, query, product, position))

    async def _append(self, event: Event) -> None:
        if self.events is not None:
            try:
                await run_in_threadpool(self.events.append, [event])
            except OSError as error:
                _LOGGER.warning("an event is lost: %s", error)
