"""Bounded execution and batching."""

import threading
import time
from collections.abc import Sequence

import anyio
import pytest
from starlette.exceptions import HTTPException

from kaleidobert.server.batching import Batcher, BoundedExecutor


def test_calls_beyond_the_queue_are_refused_at_once() -> None:
    async def scenario() -> list[str]:
        executor, release, results = BoundedExecutor(workers=1, max_queue=1), threading.Event(), []

        async def call() -> None:
            try:
                await executor.run(release.wait)
                results.append("done")
            except HTTPException as error:
                results.append(str(error.status_code))
                release.set()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
        return results

    assert anyio.run(scenario) == ["503", "done", "done"]


class Model:
    """Doubles numbers after ``go`` is set; a batch with 13 fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append([*items])
        self.started.set()
        assert self.go.wait(10)
        if 13 in items:
            raise ValueError("13")
        return [2 * each for each in items]


async def submit_all(batcher: Batcher[int, int], model: Model, items: Sequence[int]) -> list[object]:
    """Submit the first item, and the others while it is processed; returns results, or status codes and messages."""
    results: list[object] = [None] * len(items)

    async def submit(place: int) -> None:
        try:
            results[place], waited = await batcher.submit(items[place])
            assert waited >= 0
        except (ValueError, HTTPException) as error:
            results[place] = getattr(error, "status_code", str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(submit, 0)
        await anyio.to_thread.run_sync(model.started.wait)
        for place in range(1, len(items)):
            group.start_soon(submit, place)
        await anyio.sleep(0.05)
        model.go.set()
    return results


def test_queued_items_share_a_batch() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=9, max_batch=3)
    assert anyio.run(submit_all, batcher, model, [1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert model.batches == [[1], [2, 3, 4], [5]]
    assert batcher.queued == 0


def test_items_beyond_the_queue_are_refused() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=2, max_batch=8)
    assert anyio.run(submit_all, batcher, model, [1, 2, 3, 4]) == [2, 4, 6, 503]


def test_items_that_wait_too_long_are_refused() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=2, max_batch=8, max_wait=0.02)
    assert anyio.run(submit_all, batcher, model, [1, 2, 3]) == [2, 503, 503]  # the first is being processed
    assert model.batches == [[1]] and not batcher.queued


def test_slow_items_make_small_batches() -> None:
    sizes: list[int] = []

    def process(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.1 * len(items))
        return [*items]

    async def scenario() -> None:
        batcher = Batcher(process, workers=1, max_queue=9, max_batch=8, batch_seconds=0.35)
        await batcher.submit(0)
        async with anyio.create_task_group() as group:
            for number in range(7):
                group.start_soon(batcher.submit, number)

    anyio.run(scenario)
    assert sizes == [1, 3, 3, 1]


def test_the_time_of_the_last_batch_counts_as_waiting() -> None:
    """So that an answer arrives within ``max_wait``, where a batch takes much of it."""

    def process(items: Sequence[int]) -> list[int]:
        time.sleep(0.3)
        return [*items]

    async def scenario() -> list[object]:
        batcher = Batcher(process, workers=1, max_queue=9, max_batch=1, max_wait=0.5)
        results: list[object] = [(await batcher.submit(1))[0]]

        async def submit(item: int) -> None:
            try:
                results.append((await batcher.submit(item))[0])
            except HTTPException as error:
                results.append(error.status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(submit, 2)
            group.start_soon(submit, 3)  # after 0.3 seconds of waiting and 0.3 of its own it would be late
        return results

    assert anyio.run(scenario) == [1, 503, 2]


def test_calls_that_wait_too_long_are_refused_and_free_their_places() -> None:
    async def scenario() -> list[int]:
        executor, release = BoundedExecutor(workers=1, max_queue=1, max_wait=0.02), threading.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(executor.run, release.wait)
            await anyio.sleep(0)
            statuses = []
            for _ in range(3):
                try:
                    await executor.run(lambda: None)
                except HTTPException as error:
                    statuses.append(error.status_code)
            release.set()
        return [*statuses, await executor.run(lambda: 200)]

    assert anyio.run(scenario) == [503, 503, 503, 200]


def test_a_failing_item_does_not_affect_others() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=9, max_batch=8)
    assert anyio.run(submit_all, batcher, model, [1, 2, 13, 3]) == [2, 4, "13", 6]


def test_cancelled_items_are_not_processed() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=9, max_batch=8)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(batcher.submit, 1)
            await anyio.to_thread.run_sync(model.started.wait)
            with anyio.move_on_after(0.05):
                await batcher.submit(2)
            group.start_soon(batcher.submit, 3)
            await anyio.sleep(0.05)
            model.go.set()

    anyio.run(scenario)
    assert model.batches == [[1], [3]]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_run_in_parallel(workers: int) -> None:
    barrier = threading.Barrier(workers)

    def process(items: Sequence[int]) -> list[int]:
        barrier.wait(10)  # passes only if all workers get here
        return [*items]

    async def scenario() -> None:
        batcher = Batcher(process, workers=workers, max_queue=9, max_batch=1)
        async with anyio.create_task_group() as group:
            for number in range(workers):
                group.start_soon(batcher.submit, number)

    anyio.run(scenario)
