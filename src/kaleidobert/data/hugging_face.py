"""Datasets of the ``datasets`` library: saved to disk, in a folder that it can load, or on the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kaleidobert.data.tables import BATCH_ROWS, NumberedRows, Table, arrow_rows
from kaleidobert.errors import InputError

# `datasets` is imported in the functions below: it takes seconds, and the other formats do not need it.


def is_saved(folder: Path) -> bool:
    """Whether the folder was written by ``save_to_disk`` of a dataset or of a dictionary of splits."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def saved_splits(folder: Path) -> dict[str, Callable[[], Table]]:
    """An opener for each split written by ``save_to_disk``; a dataset without splits has the key ""."""
    if not (folder / "dataset_dict.json").is_file():
        return {"": partial(_saved_table, folder, folder.name)}
    try:
        names = json.loads((folder / "dataset_dict.json").read_text("utf-8"))["splits"]
        return {name: partial(_saved_table, folder / name, name) for name in names}
    except (OSError, ValueError, LookupError, TypeError) as error:
        damaged = f"{folder / 'dataset_dict.json'}: damaged ({_one_line(error)})"
        raise InputError(f"{damaged}; save the dataset again with save_to_disk") from error


def _saved_table(folder: Path, split: str) -> Table:
    import datasets

    try:
        dataset = datasets.load_from_disk(str(folder))
    except Exception as error:  # Arrow, JSON and the file system raise different errors for a damaged folder
        raise InputError(f"{folder}: cannot be read as a saved dataset ({_one_line(error)})") from error
    return _dataset_table(dataset, str(folder), split, folder)


def is_hub_name(data: str) -> bool:
    """Whether ``data`` has the form of a name on the Hub, ``owner/name``."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", data) is not None


def loaded_splits(data: str | Path) -> dict[str, Callable[[], Table]]:
    """An opener for each split that ``load_dataset`` finds in a folder or under a Hub name; rows are streamed.

    Raises ``InputError`` if it finds nothing.
    """
    import datasets

    folder = Path(data) if isinstance(data, Path) else Path()
    try:
        splits = datasets.load_dataset(str(data), streaming=True)
    except Exception as error:  # no network, no such name, no data files, several configurations, ...
        raise InputError(f"{data}: load_dataset cannot read it ({_one_line(error)})") from error
    return {
        name: partial(_dataset_table, dataset, f"{data} ({name})", name, folder) for name, dataset in splits.items()
    }


def _dataset_table(dataset: Any, name: str, split: str, folder: Path) -> Table:
    """A dataset as a table. Its rows are read as Arrow, which leaves images encoded."""
    labels = {
        column: feature.names for column, feature in (dataset.features or {}).items() if hasattr(feature, "names")
    }
    columns = dataset.column_names or list(next(iter(dataset.take(1)), {}))

    def rows() -> NumberedRows:
        return arrow_rows(dataset.with_format("arrow").iter(batch_size=BATCH_ROWS), labels, name)

    return Table(name, folder, list(columns), rows, stem=split)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
