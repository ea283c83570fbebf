"""What a run was trained on: ``data.json``, the catalogue and the sizes of its splits, and ``trained_products.npy``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.files import read_json, write_whole
from kaleidobert.scoring.memory_file import key_of
from kaleidobert.training.dataset import PreparedDataset

DATA_SUMMARY = "data.json"
TRAINED_PRODUCTS = "trained_products.npy"  # `key_of` each of them, int64


def save_data_summary(run: Path, data: str | Path, train: PreparedDataset, validation: PreparedDataset) -> None:
    """Write the catalogue's name, the numbers of products and photos of each split, and what is trained on."""
    splits = {"train": train, "validation": validation}
    sizes = {name: {"products": len(split), "photos": len(split.pixels)} for name, split in splits.items()}
    np.save(run / TRAINED_PRODUCTS, _keys(train.ids))
    write_whole(json.dumps({"data": Path(data).name, "splits": sizes}, indent=2) + "\n", run / DATA_SUMMARY)


def load_data_summary(run: Path) -> dict[str, Any] | None:
    """The summary of a run's data; None for runs of versions that did not record it."""
    path = run / DATA_SUMMARY
    return read_json(path, "delete it") if path.is_file() else None


def count_trained(run: Path, ids: Sequence[str]) -> int:
    """How many of these products a run was trained on; 0 for runs of versions that did not record it."""
    path = run / TRAINED_PRODUCTS
    if not path.is_file():
        return 0
    try:
        known = np.load(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it") from error
    return int(np.isin(_keys(ids), known).sum())


def _keys(ids: Sequence[str]) -> np.ndarray:
    return np.array([key_of(each) for each in ids], dtype=np.int64)
