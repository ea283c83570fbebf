"""The mark of a run that is not finished: the first file that is written into its folder, and the last to go.

A process may be killed at any moment, so no other file tells whether a run is complete.
"""

from __future__ import annotations

from pathlib import Path

from kaleidobert.errors import InputError
from kaleidobert.files import write_whole

UNFINISHED = "UNFINISHED"  # holds what to do about it, for people who look into the folder
RESUME = "continue it with the command that started it and --resume"
REFIT = "run kaleidobert fit-ranker on it again"


def mark_unfinished(run: Path, what_to_do: str = RESUME) -> None:
    """Mark a run before anything in its folder is changed; creates the folder."""
    run.mkdir(parents=True, exist_ok=True)
    write_whole(what_to_do + "\n", run / UNFINISHED)


def mark_finished(run: Path) -> None:
    """Remove the mark, once everything is written."""
    mark = run / UNFINISHED
    if mark.is_file():
        for weights in run.glob("*.safetensors"):  # which safetensors writes for their owner alone
            weights.chmod(mark.stat().st_mode)
        mark.unlink()


def is_unfinished(run: Path) -> bool:
    return (run / UNFINISHED).is_file()


def check_finished(run: Path) -> None:
    """Raise ``InputError`` for a run that was stopped before it was finished, or is still being trained."""
    if is_unfinished(run):
        raise InputError(f"{run} is unfinished: {what_to_do(run)}")


def what_to_do(run: Path) -> str:
    """What an unfinished run needs."""
    return (run / UNFINISHED).read_text().strip()
