"""Finding the tables of a source by path or name, and its splits."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from pathlib import Path

from kaleidobert.data.delimited import csv_table, kaggle_table
from kaleidobert.data.fashion_gen import fashion_gen_table
from kaleidobert.data.formats.image_folder import image_folder_table, is_image_folder
from kaleidobert.data.hugging_face import is_hub_name, is_saved, loaded_splits, saved_splits
from kaleidobert.data.json_files import json_table, jsonl_table
from kaleidobert.data.splits import DEFAULT_SHARES, SPLITS, Shares, split_of
from kaleidobert.data.tables import Table, parquet_table
from kaleidobert.data.xml_feeds import xml_table
from kaleidobert.errors import InputError

_LOGGER = logging.getLogger(__name__)
OPENERS: dict[str, Callable[[Path], Table]] = {
    ".parquet": parquet_table,
    ".jsonl": jsonl_table,
    ".ndjson": jsonl_table,
    ".csv": csv_table,
    ".tsv": csv_table,
    ".h5": fashion_gen_table,
    ".hdf5": fashion_gen_table,
    ".json": json_table,
    ".xml": xml_table,
    ".txt": csv_table,
}
FOLDER_SUFFIXES = OPENERS.keys() - {".txt"}  # a .txt in a folder may be its licence
SPLIT_NAMES = {name: name for name in SPLITS} | dict.fromkeys(("val", "valid", "dev"), "validation")
WHOLE = ""  # the only part of a source without splits

Parts = dict[str, list[Callable[[], Table]]]


def splits_of(data: str | Path) -> tuple[str, ...]:
    """The available splits of a source.

    A source without splits, or with train alone, is split 80/10/10 by a hash of the product id. If it has train and
    test but no validation, a tenth of train's products becomes validation. Otherwise the splits are the source's own:
    Fashion-Gen has train and validation only. Raises ``InputError`` if there is no such source.
    """
    return tuple(_plan(_parts(data)))


def open_source(data: str | Path, split: str | None = None) -> tuple[list[Table], Callable[[str], bool]]:
    """The tables that contain a split, or all tables if it is None, and a predicate for the split's product ids.

    Raises ``InputError`` if there is no such source or split, or a table cannot be opened.
    """
    parts = _parts(data)
    if split is None:
        return [opener() for part in parts.values() for opener in part], _any_product
    plan, name = _plan(parts), SPLIT_NAMES.get(split, split)
    if name not in plan:
        raise InputError(f"{data}: no split {split!r}; it has: {', '.join(plan)}")
    part, shares = plan[name]
    tables = [opener() for opener in parts[part]]
    return tables, partial(_in_split, split=name, shares=shares) if shares else _any_product


def split_sizes(data: str | Path, ids: Collection[str]) -> dict[str, int | None]:
    """How many products with these ids, those of the whole source, each split has; None where it has its own files."""
    plan = _plan(_parts(data))
    hashed = len({part for part, _ in plan.values()}) == 1
    return {
        name: sum(_in_split(each, name, shares) for each in ids) if shares and hashed else None
        for name, (_, shares) in plan.items()
    }


def _plan(parts: Parts) -> dict[str, tuple[str, Shares | None]]:
    """For each split the part of the source that contains it, and the shares if that part is split by hash."""
    if len(parts) == 1 and set(parts) <= {WHOLE, "train"}:
        return {split: (next(iter(parts)), DEFAULT_SHARES) for split in SPLITS}
    plan: dict[str, tuple[str, Shares | None]] = {part: (part, None) for part in parts}
    if {"train", "test"} <= set(parts) and "validation" not in parts:
        plan |= dict.fromkeys(("train", "validation"), ("train", (0.9, 0.1, 0.0)))
    return {split: plan[split] for split in (*SPLITS, *parts) if split in plan}


def _any_product(_: str) -> bool:
    return True


def _in_split(product_id: str, split: str, shares: Shares) -> bool:
    return split_of(product_id, shares=shares) == split


def _parts(data: str | Path) -> Parts:
    """The parts of a source, each with openers for its tables."""
    path = Path(data)
    if not str(data).strip():
        raise InputError("the name of the catalogue is empty; give a file or folder")
    if path.is_dir():
        return _folder_parts(path)
    if path.is_file():
        if path.suffix.lower() not in OPENERS:
            raise InputError(f"{path}: unknown suffix; supported are {', '.join(OPENERS)}")
        return {WHOLE: [_opener(path)]}
    # A mistyped path may look like a Hub name, and looking that up takes half a minute if offline.
    if not is_hub_name(str(data)) or path.parent.exists() or path.suffix.lower() in OPENERS:
        raise InputError(f"{data}: no such file or folder")
    try:
        return _one_table_each(loaded_splits(str(data)))
    except InputError as error:
        raise InputError(f"{data}: no such file or folder, nor a Hugging Face dataset; {error}") from error


def _folder_parts(folder: Path) -> Parts:
    if (folder / "styles.csv").is_file() and (folder / "images").is_dir():
        return {WHOLE: [_opener(folder / "styles.csv")]}
    if is_saved(folder):
        return _one_table_each(saved_splits(folder))
    by_split: dict[str, dict[str, list[Path]]] = {}  # suffix -> split -> files
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in FOLDER_SUFFIXES:
            by_split.setdefault(path.suffix.lower(), {}).setdefault(_split_named(path), []).append(path)
    formats = [by_split[suffix] for suffix in OPENERS if suffix in by_split]
    # If there are files named after splits, files with other names beside them are not part of the data.
    named = [{split: files for split, files in parts.items() if split != WHOLE} for parts in formats]
    for parts in (*named, *formats):
        if parts:
            read = {path for files in parts.values() for path in files}
            others = [path.name for each in formats for files in each.values() for path in files if path not in read]
            _tell_left_out(folder, tuple(sorted(path.name for path in read)), tuple(others))
            return {split: [_opener(path) for path in files] for split, files in parts.items()}
    if found := _image_folders(folder):
        return found
    expected = (
        f"train/validation/test files ({', '.join(OPENERS)}), styles.csv with images/, photos in a folder for each "
        "category, a saved dataset"
    )
    if not any(folder.iterdir()):
        raise InputError(f"{folder}: the folder is empty; expected {expected}")
    try:
        return _one_table_each(loaded_splits(folder))
    except InputError as error:
        raise InputError(f"{folder}: no data found; expected {expected}; {error}") from error


@lru_cache(256)  # once for each state of a folder
def _tell_left_out(folder: Path, read: tuple[str, ...], others: tuple[str, ...]) -> None:
    if others:
        message = "%s: only %s is read; if these are data, give them by name: %s"
        _LOGGER.warning(message, folder, ", ".join(read), ", ".join(others))


def _image_folders(folder: Path) -> Parts:
    """The parts of a folder of photos: its folders for splits, or the whole of it."""
    inner = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if inner and all(each.name.lower() in SPLIT_NAMES and is_image_folder(each) for each in inner):
        return {SPLIT_NAMES[each.name.lower()]: [partial(image_folder_table, each)] for each in inner}
    return {WHOLE: [partial(image_folder_table, folder)]} if is_image_folder(folder) else {}


def _one_table_each(openers: Mapping[str, Callable[[], Table]]) -> Parts:
    return {SPLIT_NAMES.get(split, split): [opener] for split, opener in openers.items()}


def _split_named(path: Path) -> str:
    """The split that a file name starts or ends with: train-00000-of-00002, fashiongen_256_256_train."""
    words = re.findall(r"[a-z]+", path.stem.lower())
    ends = {SPLIT_NAMES[word] for word in (*words[:1], *words[-1:]) if word in SPLIT_NAMES}
    return ends.pop() if len(ends) == 1 else WHOLE


def _opener(path: Path) -> Callable[[], Table]:
    if path.name == "styles.csv" and (path.parent / "images").is_dir():
        return partial(_open, path, kaggle_table)
    return partial(_open, path, OPENERS[path.suffix.lower()])


def _open(path: Path, opener: Callable[[Path], Table]) -> Table:
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        return opener(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
