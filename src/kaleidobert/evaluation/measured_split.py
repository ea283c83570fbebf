"""Which products an evaluation measures unless a user chooses a split."""

from __future__ import annotations

from pathlib import Path

from kaleidobert.data.reading import Reading
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.progress import note
from kaleidobert.training.data_summary import load_data_summary
from kaleidobert.training.dataset import PreparedDataset, prepare

ALL = "all"  # in figures and file names


def measured_split(data: str | Path, split: str | None, run: Path) -> str | None:
    """The given split; without one the test split, or None for all rows where ``data`` is a single file.

    Notes it where the run was trained on a part of that file.
    """
    if split or not Path(data).is_file():
        return split or "test"
    if (load_data_summary(run) or {}).get("data") == Path(data).name:
        note(f"{data}: all rows are measured, also those that {run} was trained on; --split test leaves them out")
    return None


def prepare_measured(
    data: str | Path, split: str | None, run: Path, image_processor: KaleidoBertImageProcessor, reading: Reading
) -> tuple[PreparedDataset, str]:
    """The products of the `measured_split`, and its name in figures and file names."""
    measured = measured_split(data, split, run)
    return prepare(data, measured, image_processor, reading), measured or ALL
