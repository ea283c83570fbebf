"""The queue before the model."""

import threading
from collections.abc import Sequence

import anyio
import pytest
from starlette.exceptions import HTTPException

from kaleidobert.server.batching import Batcher, BoundedExecutor


def test_a_full_queue_is_refused_at_once() -> None:
    async def scenario() -> list[str]:
        executor, release, results = BoundedExecutor(workers=1, max_queue=1), threading.Event(), []

        async def ask() -> None:
            try:
                await executor.run(release.wait)
                results.append("done")
            except HTTPException as error:
                results.append(str(error.status_code))
                release.set()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        return results

    assert anyio.run(scenario) == ["503", "done", "done"]


class Model:
    """Doubles numbers, is slow until told to go on, and cannot stand 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, questions: Sequence[int]) -> list[int]:
        self.batches.append([*questions])
        self.started.set()
        assert self.go.wait(10)
        if 13 in questions:
            raise ValueError("13")
        return [2 * each for each in questions]


async def ask_all(batcher: Batcher[int, int], model: Model, questions: Sequence[int]) -> list[object]:
    """The first question alone, the others while it is answered; their answers, or the errors' names."""
    answers: list[object] = [None] * len(questions)

    async def ask(place: int) -> None:
        try:
            answers[place], waited = await batcher.submit(questions[place])
            assert waited >= 0
        except (ValueError, HTTPException) as error:
            answers[place] = getattr(error, "status_code", str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 0)
        await anyio.to_thread.run_sync(model.started.wait)
        for place in range(1, len(questions)):
            group.start_soon(ask, place)
        await anyio.sleep(0.05)
        model.go.set()
    return answers


def test_what_waits_together_is_answered_together() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=9, max_batch=3)
    assert anyio.run(ask_all, batcher, model, [1, 2, 3, 4, 5]) == [2, 4, 6, 8, 10]
    assert model.batches == [[1], [2, 3, 4], [5]]
    assert batcher.queued == 0


def test_beyond_the_queue_questions_are_refused() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=2, max_batch=8)
    assert anyio.run(ask_all, batcher, model, [1, 2, 3, 4]) == [2, 4, 6, 503]


def test_a_question_that_fails_spoils_no_other() -> None:
    model = Model()
    batcher = Batcher(model, workers=1, max_queue=9, max_batch=8)
    assert anyio.run(ask_all, batcher, model, [1, 2, 13, 3]) == [2, 4, "13", 6]


def test_who_left_is_not_answered() -> None:
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
def test_threads_work_side_by_side(workers: int) -> None:
    together = threading.Barrier(workers)

    def answer(questions: Sequence[int]) -> list[int]:
        together.wait(10)  # nobody comes through alone
        return [*questions]

    async def scenario() -> None:
        batcher = Batcher(answer, workers=workers, max_queue=9, max_batch=1)
        async with anyio.create_task_group() as group:
            for number in range(workers):
                group.start_soon(batcher.submit, number)

    anyio.run(scenario)
