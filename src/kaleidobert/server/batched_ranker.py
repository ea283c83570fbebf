"""The one way to the ranker: a bounded queue, batches, and a record of how long the stages take."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException

from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Answer, Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.server.batching import Batcher, Gate
from kaleidobert.server.errors import Metrics


class BatchedRanker:
    """Asks the ranker, from a bounded queue and in batches, and records how long the stages take.

    ``gate`` bounds what else the model and decoders are asked for. ``ranker`` may be replaced at any time, by one
    of the store's next version: ask for it each time.
    """

    def __init__(self, ranker: Ranker, metrics: Metrics, workers: int, waiting: int, batch: int) -> None:
        self.ranker = ranker
        self.gate = Gate(workers, waiting)
        self._metrics = metrics
        self._batcher: Batcher[Query, tuple[Answer, str]] = Batcher(self._answer_many, workers, waiting, batch)
        self._batcher.observe_batch = metrics.batch_size.observe
        metrics.waiting.set_function(lambda: self._batcher.waiting)

    async def answer(self, query: Query) -> Answer:
        """Raises ``HTTPException`` 503 when the queue is full."""
        return (await self.answer_by(query))[0]

    async def answer_by(self, query: Query) -> tuple[Answer, str]:
        """The answer, and the fingerprint of the model that gave it: another one may have come since."""
        query.check()  # before it waits
        (found, model), waited = await self._batcher.ask(query)
        found.seconds["queue"] = waited
        for stage, seconds in found.seconds.items():
            self._metrics.stage_seconds.labels(stage).observe(seconds)
        return found, model

    def _answer_many(self, queries: Sequence[Query]) -> list[tuple[Answer, str]]:
        ranker = self.ranker
        return [(answer, ranker.fingerprint) for answer in ranker.answer_many(queries)]


def known(ranker: Ranker, product_id: str) -> tuple[Candidate, list[int]]:
    """The product and its views. Raises ``HTTPException`` 404 where there is none."""
    found = ranker.store.product(product_id)
    if found is None:
        raise HTTPException(404, f"no product with id {product_id!r}")
    return found
