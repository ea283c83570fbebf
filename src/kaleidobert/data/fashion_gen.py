"""Fashion-Gen's HDF5 files (Rostamzadeh et al., arXiv 1806.08317): one row per view, one to six views per product."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError

ENCODING = "iso8859-9"  # of the byte strings; they use all bytes from 0x80 on, so they are not UTF-8
LINE_BREAK = re.compile(r"<br\s*/?>")
IMAGE, PRODUCT = "input_image", "input_productID"
# `index`, `index_2` and `pose` describe views; `concat_description` repeats the other texts.
IGNORED = {"index", "index_2", "input_pose", "input_concat_description"}


def fashion_gen_table(path: Path) -> Table:
    """A Fashion-Gen HDF5 file as a table with one row per product; the prefix ``input_`` is dropped from the columns.

    A product's views need not be adjacent: the id column is read first and groups the rows. Products come in the
    order of their first views; pixels are read product by product.
    Raises ``InputError`` if the file is not HDF5 or lacks Fashion-Gen's columns.
    """
    try:
        with h5py.File(path) as file:
            shapes = {key: file[key].shape for key in file if isinstance(file[key], h5py.Dataset)}
            pixels = str(file[IMAGE].dtype) if IMAGE in shapes else ""
    except OSError as error:
        raise InputError(f"{path}: not a readable HDF5 file ({error})") from error
    if missing := [key for key in (IMAGE, PRODUCT) if key not in shapes]:
        raise InputError(f"{path}: not Fashion-Gen: no {' and no '.join(missing)}; it contains: {', '.join(shapes)}")
    if len(shapes[IMAGE]) != 4 or pixels != "uint8":
        raise InputError(f"{path}: not Fashion-Gen: {IMAGE} is not rows × height × width × 3 of uint8")
    lengths = {key: shape[0] if shape and all(shape[1:]) else 0 for key, shape in shapes.items() if key not in IGNORED}
    if short := [f"{key} {length}" for key, length in lengths.items() if length != lengths[IMAGE]]:
        raise InputError(f"{path}: damaged: {IMAGE} has {lengths[IMAGE]} rows, but {', '.join(short)}")
    columns = {key: key.removeprefix("input_") for key in shapes if key not in IGNORED}
    return Table(str(path), path.parent, list(columns.values()), lambda: _rows(path, columns), stem=path.stem)


def _rows(path: Path, columns: dict[str, str]) -> NumberedRows:
    with h5py.File(path) as file:
        for rows in _views_by_product(file[PRODUCT]):
            first = rows[0]
            row = {column: _value(file[key], first) for key, column in columns.items() if key != IMAGE}
            row["image"] = [partial(_pixels, file[IMAGE], index) for index in rows]
            yield first, row


def _views_by_product(ids: h5py.Dataset) -> list[list[int]]:
    """The row numbers of each product's views; products are ordered by their first view."""
    views: dict[Any, list[int]] = {}
    for index, product_id in enumerate(np.ravel(ids[:]).tolist()):
        views.setdefault(product_id, []).append(index)
    return list(views.values())


def _pixels(images: h5py.Dataset, index: int) -> np.ndarray:
    return images[index]  # (256, 256, 3) uint8


def _value(column: h5py.Dataset, index: int) -> Any:
    value = np.ravel(column[index])[0]
    if isinstance(value, bytes):
        return " ".join(line.strip() for line in LINE_BREAK.split(value.decode(ENCODING)))
    return value.item() if isinstance(value, np.generic) else value
