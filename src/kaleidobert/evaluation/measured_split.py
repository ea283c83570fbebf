"""Which products an evaluation measures unless a user chooses a split."""

from __future__ import annotations

from pathlib import Path

from kaleidobert.data.reading import Reading
from kaleidobert.model.image_processing import KaleidoBertImageProcessor
from kaleidobert.progress import note
from kaleidobert.training.data_summary import count_trained
from kaleidobert.training.dataset import PreparedDataset, prepare

ALL = "all"  # in figures and file names


def measured_split(data: str | Path, split: str | None) -> str | None:
    """The given split; without one the test split, or None for all rows where ``data`` is a single file."""
    return split or (None if Path(data).is_file() else "test")


def prepare_measured(
    data: str | Path, split: str | None, run: Path, image_processor: KaleidoBertImageProcessor, reading: Reading
) -> tuple[PreparedDataset, str]:
    """The products of the `measured_split`, and its name in figures and file names.

    Notes it where the run was trained on some of them.
    """
    measured = measured_split(data, split)
    dataset = prepare(data, measured, image_processor, reading)
    if trained := count_trained(run, dataset.ids):
        hint = "" if measured else "; --split test leaves them out"
        note(f"{data}: {trained:,} of the {len(dataset):,} products are some that {run} was trained on{hint}")
    return dataset, measured or ALL
