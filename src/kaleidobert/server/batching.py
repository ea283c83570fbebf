"""Bounded concurrency: a queue, a few threads, and one forward pass for those that waited together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException

Question = TypeVar("Question")
Reply = TypeVar("Reply")


class Gate:
    """Runs work in threads, ``workers`` at once; with ``waiting`` in the queue already, it refuses."""

    def __init__(self, workers: int, waiting: int) -> None:
        self._limiter = CapacityLimiter(workers)
        self._room = workers + waiting

    async def run(self, work: Callable[[], Reply]) -> Reply:
        """Raises ``HTTPException`` 503 when the queue is full."""
        if not self._room:
            raise busy()
        self._room -= 1  # only the event loop's thread comes here
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._room += 1


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Question, Reply]):
    question: Question
    reply: asyncio.Future[tuple[Reply, float]]
    since: float


class Batcher(Generic[Question, Reply]):
    """Answers questions in ``workers`` threads; those that wait while the threads work are answered together.

    Nobody waits for company: a question that finds an idle thread is answered at once. So a batch grows with the
    load, up to ``largest``. With ``waiting`` questions in the queue already, it refuses.
    """

    def __init__(
        self, answer_many: Callable[[Sequence[Question]], list[Reply]], workers: int, waiting: int, largest: int
    ) -> None:
        self._answer_many = answer_many
        self._limiter = CapacityLimiter(workers)
        self._idle = workers
        self._room = waiting
        self._largest = largest
        self._queue: deque[_Waiting[Question, Reply]] = deque()
        self._tasks: set[asyncio.Task] = set()
        self.observe_batch: Callable[[int], None] = lambda _: None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def ask(self, question: Question) -> tuple[Reply, float]:
        """The answer, and the seconds in the queue. Raises ``HTTPException`` 503 when the queue is full."""
        if len(self._queue) >= self._room:
            raise busy()
        waiting: _Waiting[Question, Reply] = _Waiting(
            question, asyncio.get_running_loop().create_future(), time.perf_counter()
        )
        self._queue.append(waiting)
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)  # the loop itself keeps no reference
            task.add_done_callback(self._tasks.discard)
        return await waiting.reply

    async def _work(self) -> None:
        try:
            while batch := self._take():
                started = time.perf_counter()
                self.observe_batch(len(batch))
                questions = [each.question for each in batch]
                replies = await to_thread.run_sync(self._answer, questions, limiter=self._limiter)
                for each, reply in zip(batch, replies, strict=True):
                    if each.reply.done():  # its client left
                        continue
                    if isinstance(reply, Exception):
                        each.reply.set_exception(reply)
                    else:
                        each.reply.set_result((reply, started - each.since))
        finally:
            self._idle += 1

    def _take(self) -> list[_Waiting[Question, Reply]]:
        batch: list[_Waiting[Question, Reply]] = []
        while self._queue and len(batch) < self._largest:
            each = self._queue.popleft()
            if not each.reply.done():
                batch.append(each)
        return batch

    def _answer(self, questions: list[Question]) -> list[Reply | Exception]:
        """A question that cannot be answered spoils no other."""
        try:
            return [*self._answer_many(questions)]
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [reply for question in questions for reply in self._answer([question])]


def busy() -> HTTPException:
    return HTTPException(503, "too many searches are waiting; try again in a second", {"Retry-After": "1"})
