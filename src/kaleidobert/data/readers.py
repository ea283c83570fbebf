"""Any source of products -> a stream of ``Product``.

- A parquet file: images as bytes, as ``{bytes, path}``, or as paths relative to the file.
- A CSV or JSONL file beside its images; several images of a product separated by "|" or as a JSON list.
- A folder of these, named after their splits (``train.parquet``, ``val.csv``, ``train-0-of-4.parquet``) or,
  where none is, read as one source.
- The Kaggle folder Fashion Product Images: ``styles.csv`` and ``images/<id>.jpg``.
- Fashion-Gen: an HDF5 file, or the folder that holds ``..._train.h5`` and ``..._validation.h5``.
- A Hugging Face dataset: a folder by ``save_to_disk``, one that ``load_dataset`` reads, or ``owner/name``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kaleidobert.data.columns import find_columns, load_columns
from kaleidobert.data.problems import ROWS_BEFORE_EARLY_CHECK, BadRow, Problems
from kaleidobert.data.product import Product
from kaleidobert.data.rows import id_of, product_of
from kaleidobert.data.sources import open_source, splits_of
from kaleidobert.data.tables import Table
from kaleidobert.errors import InputError

__all__ = ["Problems", "load_columns", "read_products", "splits_of"]


def read_products(
    data: str | Path,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_bad: float = 0.05,
    report: Problems | None = None,
) -> Iterator[Product]:
    """Stream the products of a source, or of one of its splits (see ``splits_of``).

    ``columns`` maps fields (id, title, description, category, subcategory, images) to column names where they
    are not the known ones; see ``load_columns``. Every other column of plain values becomes an attribute.
    Adjacent rows with the same id and text are views of one product; an id that comes back later is bad.
    Rows that cannot be used are counted in ``report``, or logged as one warning where none is given.

    Raises ``InputError``, most of them before the first product: the source or the split is not there, the
    columns cannot be told, no row could be used, or more than the share ``max_bad`` of the rows is bad (told
    at the end, or after a thousand rows). Images are checked by their headers; a later decode may still fail.
    """
    if not 0 <= max_bad <= 1:
        raise InputError(f"max_bad is a share from 0 to 1, not {max_bad}")
    tables, keep = open_source(data, split)
    found = [(table, find_columns(table.columns, columns, table.name)) for table in tables]
    name = f"{data} ({split})" if split else str(data)
    return _checked(found, keep, max_bad, report, name)


Found = list[tuple[Table, dict[str, str]]]  # tables and which of their columns hold which field
Keep = Callable[[str], bool]  # whether a product id belongs to the split


def _checked(found: Found, keep: Keep, max_bad: float, report: Problems | None, name: str) -> Iterator[Product]:
    """The products, with the checks that need all of them."""
    problems = Problems() if report is None else report
    count = 0
    for product in _joined(found, keep, max_bad, problems):
        count += 1
        yield product
    problems.check(max_bad)
    if not count:
        raise InputError(f"{name}: no product in it; {problems.summary()}")
    if report is None and problems.count:
        logging.getLogger(__name__).warning("%s: %s", name, problems.summary())


def _joined(found: Found, keep: Keep, max_bad: float, problems: Problems) -> Iterator[Product]:
    """Adjacent rows of one product joined, ids that come back later refused."""
    seen: set[str] = set()
    waiting: Product | None = None
    for table, fields in found:
        for number, product in _usable(table, fields, keep, max_bad, problems):
            place = f"{table.unit} {number}"
            if waiting is not None and product.id == waiting.id:
                if _same_but_views(waiting, product):
                    waiting = _with_views(waiting, product)
                else:
                    problems.add(table.name, place, f"product id {product.id} again, with another text")
            elif product.id in seen:
                problems.add(table.name, place, f"duplicate product id {product.id}")
            else:
                if waiting is not None:
                    yield waiting
                waiting = product
                seen.add(product.id)
    if waiting is not None:
        yield waiting


def _usable(
    table: Table, fields: dict[str, str], keep: Keep, max_bad: float, problems: Problems
) -> Iterator[tuple[int, Product]]:
    """The rows of this split that can be used; the others are counted."""
    for number, row in table.rows():
        place = f"{table.unit} {number}"
        own_name = f"{table.stem}-{number}"
        try:
            if isinstance(row, str):
                raise BadRow(row)
            product_id = id_of(row, fields, own_name)
        except BadRow as error:
            if keep(own_name):  # a row without an id falls into one split too, and is counted there only
                problems.total += 1
                problems.add(table.name, place, str(error))
            continue
        if not keep(product_id):
            continue
        problems.total += 1
        if problems.total >= ROWS_BEFORE_EARLY_CHECK:
            problems.check(max_bad)
        try:
            product, lost_views = product_of(row, fields, product_id, table.folder)
        except BadRow as error:
            problems.add(table.name, place, str(error))
            continue
        if lost_views:
            problems.add(table.name, place, lost_views)
        yield number, product


def _same_but_views(one: Product, other: Product) -> bool:
    same_text = (one.title, one.description) == (other.title, other.description)
    return same_text and bool(one.masks) == bool(other.masks) and bool(one.regions) == bool(other.regions)


def _with_views(one: Product, other: Product) -> Product:
    return replace(
        one,
        images=one.images + other.images,
        masks=one.masks + other.masks,
        regions=one.regions + other.regions,
    )
