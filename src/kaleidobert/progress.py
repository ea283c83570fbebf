"""Notes on standard error, and the progress bar of all commands but training."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kaleidobert.main_process import is_main_process

Item = TypeVar("Item")
SECONDS_A_LINE = 60


def note(text: str) -> None:
    """One line on standard error, for people; of torchrun's processes only the first prints it."""
    if is_main_process():
        print(text, file=sys.stderr)


@cache
def note_once(text: str) -> None:
    """`note`, which a process prints only the first time."""
    note(text)


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """The items, with a `progress_bar`."""
    with progress_bar() as progress:
        yield from progress.track(items, description=description)


def progress_bar() -> Progress:
    """A bar on standard error with the time left; a line every minute unless standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return _Lines(disable=True, auto_refresh=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class _Lines(Progress):
    """Notes in place of a bar, for logs, and none in the first ``SECONDS_A_LINE`` seconds.

    Bars that follow each other share the time of the last line, so that many short ones are not silent together.
    """

    last_line = last_move = float("-inf")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        now = time.monotonic()
        if now - _Lines.last_move > SECONDS_A_LINE:
            _Lines.last_line = now
        _Lines.last_move = now

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._line(task_id)

    def update(self, task_id: TaskID, **kwargs: Any) -> None:
        super().update(task_id, **kwargs)
        self._line(task_id)

    def _line(self, task_id: TaskID) -> None:
        now = _Lines.last_move = time.monotonic()
        if now - self.last_line < SECONDS_A_LINE:
            return
        _Lines.last_line = now
        task = self.tasks[self.task_ids.index(task_id)]
        of_all = f" of {task.total:,.0f}" if task.total else ""
        left = "" if task.time_remaining is None else f", {task.time_remaining / 60:.1f} left"
        note(f"{task.description}: {task.completed:,.0f}{of_all} · {(task.elapsed or 0) / 60:.1f} min{left}")
