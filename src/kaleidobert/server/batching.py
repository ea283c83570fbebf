"""Bounded concurrency: a limited queue, a few threads, and one forward pass for requests that waited together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
from starlette.exceptions import HTTPException

Item = TypeVar("Item")
Result = TypeVar("Result")


MAX_WAIT = 5.0  # seconds that a call may wait
RECENT, SLOWER = 8, 1.25  # batches, and how much longer than the longest of them one may take
BATCH_SECONDS = 1.0  # that a batch should take at most; slower machines make smaller batches


class BoundedExecutor:
    """Runs calls in at most ``workers`` threads.

    It refuses a call while ``max_queue`` others wait, and one that has waited ``max_wait`` seconds.
    """

    def __init__(self, workers: int, max_queue: int, max_wait: float = MAX_WAIT) -> None:
        self._workers = CapacityLimiter(workers)
        self._threads = CapacityLimiter(workers)  # a thread's own, which it takes without waiting
        self._free = workers + max_queue
        self._max_wait = max_wait

    async def run(self, call: Callable[[], Result]) -> Result:
        """The call's result. Raises ``HTTPException`` 503 when the queue is full, or the call waited too long."""
        if not self._free:
            raise queue_full()
        self._free -= 1  # needs no lock: this runs in the event loop's thread only
        try:
            place = await self._place()
            try:
                return await to_thread.run_sync(call, limiter=self._threads)
            finally:
                self._workers.release_on_behalf_of(place)
        finally:
            self._free += 1

    async def _place(self) -> object:
        place = object()
        try:
            with fail_after(self._max_wait):
                await self._workers.acquire_on_behalf_of(place)
        except TimeoutError as error:
            raise queue_full() from error
        return place


@dataclass(frozen=True, slots=True, eq=False)
class _Pending(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[tuple[Result, float]]
    since: float


class Batcher(Generic[Item, Result]):
    """Processes items in ``workers`` threads; items that queue up while all threads are busy share a batch.

    An item that finds an idle thread is processed at once, so batches grow only with the load, up to ``max_batch`` and
    to as many as take ``batch_seconds`` if each takes as long as those of the last batch did.
    It refuses an item while ``max_queue`` others wait, and one that would have waited ``max_wait`` seconds for its
    result, if its batch takes ``SLOWER`` times as long as the longest of the last ones.
    """

    def __init__(
        self,
        process: Callable[[Sequence[Item]], list[Result]],
        workers: int,
        max_queue: int,
        max_batch: int,
        max_wait: float = MAX_WAIT,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self._process = process
        self._limiter = CapacityLimiter(workers)
        self._idle = workers
        self._max_queue = max_queue
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._batch_seconds = batch_seconds
        self._seconds: deque[float] = deque([0.0], RECENT)  # of the last batches
        self._item_seconds = 0.0  # of each item of the last one
        self._queue: deque[_Pending[Item, Result]] = deque()
        self._tasks: set[asyncio.Task] = set()
        self.observe_batch: Callable[[int], None] = lambda _: None

    @property
    def queued(self) -> int:
        """Items waiting for a thread."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        return len(self._queue) >= self._max_queue

    async def submit(self, item: Item) -> tuple[Result, float]:
        """The result, and the seconds spent in the queue.

        Raises ``HTTPException`` 503 when the queue is full, or the item waited too long.
        """
        if self.full:
            raise queue_full()
        loop = asyncio.get_running_loop()
        pending = _Pending(item, loop.create_future(), time.perf_counter())
        self._queue.append(pending)
        deadline = loop.call_later(max(0.0, self._max_wait - SLOWER * max(self._seconds)), self._give_up, pending)
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)  # the event loop itself keeps only a weak reference
            task.add_done_callback(self._tasks.discard)
        try:
            return await pending.future
        finally:
            deadline.cancel()

    def _give_up(self, pending: _Pending[Item, Result]) -> None:
        """Refuse an item that still waits; one that is being processed is not in the queue."""
        if pending in self._queue and not pending.future.done():
            self._queue.remove(pending)
            pending.future.set_exception(queue_full())

    async def _work(self) -> None:
        try:
            while batch := self._next_batch():
                started = time.perf_counter()
                self.observe_batch(len(batch))
                items = [pending.item for pending in batch]
                results = await to_thread.run_sync(self._process_safely, items, limiter=self._limiter)
                self._seconds.append(time.perf_counter() - started)
                self._item_seconds = self._seconds[-1] / len(batch)
                for pending, result in zip(batch, results, strict=True):
                    if pending.future.done():  # the client has disconnected
                        continue
                    if isinstance(result, Exception):
                        pending.future.set_exception(result)
                    else:
                        pending.future.set_result((result, started - pending.since))
        finally:
            self._idle += 1

    def _next_batch(self) -> list[_Pending[Item, Result]]:
        batch: list[_Pending[Item, Result]] = []
        while self._queue and len(batch) < self._max_batch:
            if batch and (len(batch) + 1) * self._item_seconds > self._batch_seconds:
                break
            pending = self._queue.popleft()
            if not pending.future.done():
                batch.append(pending)
        return batch

    def _process_safely(self, items: list[Item]) -> list[Result | Exception]:
        """Results; if the batch fails, retry its items one by one so that only the bad ones get an exception."""
        try:
            return [*self._process(items)]
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [result for item in items for result in self._process_safely([item])]


def queue_full() -> HTTPException:
    return HTTPException(503, "too many searches are waiting; try again in a second", {"Retry-After": "1"})
