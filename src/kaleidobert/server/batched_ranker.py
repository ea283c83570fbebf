"""The service's only access to the ranker: a bounded queue, batches and stage timings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Answer, Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.server.batching import Batcher, BoundedExecutor, queue_full
from kaleidobert.server.metrics import Metrics

VERSION_CHECK_SECONDS = 5.0  # between checks for a new version of the store


class BatchedRanker:
    """Answers queries in batches from a bounded queue and records the time of each stage.

    ``executor`` bounds all other work with the model; ``decoder`` decodes photos, so that no search waits for that.
    ``ranker`` may be replaced at any time when
    the store gets a new version, so read it anew for each request.
    """

    def __init__(self, ranker: Ranker, metrics: Metrics, workers: int, max_queue: int, max_batch: int) -> None:
        self.ranker = ranker
        self.executor = BoundedExecutor(workers, max_queue)
        self.decoder = BoundedExecutor(1, max_queue)
        self._metrics = metrics
        self._batcher: Batcher[Query, tuple[Answer, str]] = Batcher(self._answer_many, workers, max_queue, max_batch)
        self._batcher.observe_batch = metrics.batch_size.observe
        metrics.queued.set_function(lambda: self._batcher.queued)

    def admit(self) -> None:
        """Raise ``HTTPException`` 503 when the queue is full, before a request's body is read."""
        if self._batcher.full:
            raise queue_full()

    @property
    def store(self) -> ProductIndex:
        return self.ranker.store

    async def answer(self, query: Query) -> Answer:
        """Raises ``HTTPException`` 503 when the queue is full."""
        return (await self.answer_with_fingerprint(query))[0]

    async def answer_with_fingerprint(self, query: Query) -> tuple[Answer, str]:
        """The answer, and the fingerprint of the model that gave it, as the ranker may be replaced meanwhile."""
        query.check()  # refuse a bad query before it waits
        (answer, fingerprint), waited = await self._batcher.submit(query)
        answer.seconds["queue"] = waited
        for stage, seconds in answer.seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        return answer, fingerprint

    def _answer_many(self, queries: Sequence[Query]) -> list[tuple[Answer, str]]:
        ranker = self.ranker
        return [(answer, ranker.fingerprint) for answer in ranker.answer_many(queries)]


def product_or_404(ranker: Ranker, product_id: str) -> tuple[Candidate, list[int]]:
    """The product and the indices of its views. Raises ``HTTPException`` 404 for an unknown id."""
    found = ranker.store.product(product_id)
    if found is None:
        raise HTTPException(404, f"no product with id {product_id!r}")
    return found


async def follow_versions(batched_ranker: BatchedRanker) -> None:
    """Switch to each new version of the store, with its model; the old one answers until the new one is loaded."""
    while True:
        await asyncio.sleep(VERSION_CHECK_SECONDS)
        try:
            if await asyncio.to_thread(lambda: batched_ranker.store.superseded):
                ranker = await asyncio.to_thread(batched_ranker.ranker.reopened)
                ranker.store.hold_vectors()
                batched_ranker.ranker = ranker
        except (InputError, RuntimeError, OSError) as error:
            logging.getLogger(__name__).warning("cannot switch to the store's new version: %s", error)
