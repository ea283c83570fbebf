"""Notes on standard error, and the progress bar of all commands but training."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kaleidobert.main_process import is_main_process

Item = TypeVar("Item")


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
    """A bar on standard error with the time left; shows nothing unless standard error is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
