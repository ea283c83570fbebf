"""``data.json`` of a run folder: the catalogue that a run was trained on, and the sizes of its splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kaleidobert.files import read_json, write_whole
from kaleidobert.training.dataset import PreparedDataset

DATA_SUMMARY = "data.json"


def save_data_summary(run: Path, data: str | Path, **splits: PreparedDataset) -> None:
    """Write the catalogue's name, and the number of products and photos of each split."""
    sizes = {name: {"products": len(split), "photos": len(split.pixels)} for name, split in splits.items()}
    write_whole(json.dumps({"data": Path(data).name, "splits": sizes}, indent=2) + "\n", run / DATA_SUMMARY)


def load_data_summary(run: Path) -> dict[str, Any] | None:
    """The summary of a run's data; None for runs of versions that did not record it."""
    path = run / DATA_SUMMARY
    return read_json(path, "delete it") if path.is_file() else None
