"""Logs the service's own searches and the products opened from them, where the operator has it log events."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool

from kaleidobert.data.events import CLICK, SEARCH, Event, EventLog
from kaleidobert.search.query import Answer

_LOGGER = logging.getLogger(__name__)


class SearchLog:
    """``events`` is None where nothing is logged. A log that cannot be written to fails no search."""

    def __init__(self, events: EventLog | None) -> None:
        self.events = events

    async def searched(self, text: str, offset: int, answer: Answer) -> None:
        """Log a search for what was typed; further pages of an answer are the same search."""
        if text.strip() and not offset:
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
