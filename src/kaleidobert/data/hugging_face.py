"""Datasets of the ``datasets`` library: saved to disk, loadable from a folder, or named on the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kaleidobert.data.tables import ROWS_A_BATCH, NumberedRows, Table, arrow_rows
from kaleidobert.errors import InputError

# `datasets` is imported where it is used: it takes seconds, and the other formats do not need it.


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` of a dataset or of a dictionary of splits wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def saved_splits(folder: Path) -> dict[str, Callable[[], Table]]:
    """How to open each split that ``save_to_disk`` wrote; "" is the one of a dataset without splits."""
    if not (folder / "dataset_dict.json").is_file():
        return {"": partial(_saved_table, folder, folder.name)}
    names = json.loads((folder / "dataset_dict.json").read_text("utf-8"))["splits"]
    return {name: partial(_saved_table, folder / name, name) for name in names}


def _saved_table(folder: Path, split: str) -> Table:
    import datasets

    try:
        dataset = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever Arrow, JSON or the file system make of a damaged folder
        raise InputError(f"{folder}: cannot be read as a saved dataset ({_one_line(error)})") from error
    return _dataset_table(dataset, str(folder), split, folder)


def looks_like_name(data: str) -> bool:
    """Whether this could be a dataset on the Hub: ``owner/name``."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", data) is not None


def loaded_splits(data: str | Path) -> dict[str, Callable[[], Table]]:
    """How to open each split of what ``load_dataset`` finds under a folder or a Hub name, streamed.

    Raises ``InputError`` where it finds nothing.
    """
    import datasets

    folder = Path(data) if isinstance(data, Path) else Path()
    try:
        splits = datasets.load_dataset(str(data), streaming=True)
    except Exception as error:  # many kinds: no network, no such name, no data files, several configurations
        raise InputError(f"{data}: nothing that load_dataset can read ({_one_line(error)})") from error
    return {
        name: partial(_dataset_table, dataset, f"{data} ({name})", name, folder) for name, dataset in splits.items()
    }


def _dataset_table(dataset: Any, name: str, split: str, folder: Path) -> Table:
    """Rows in Arrow form, so that images stay the encoded files they are."""
    labels = {column: kind.names for column, kind in (dataset.features or {}).items() if hasattr(kind, "names")}
    columns = dataset.column_names or list(next(iter(dataset.take(1)), {}))

    def rows() -> NumberedRows:
        return arrow_rows(dataset.with_format("arrow").iter(batch_size=ROWS_A_BATCH), labels, name)

    return Table(name, folder, list(columns), rows, stem=split)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
