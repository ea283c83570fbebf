"""Reading products from any source.

- A parquet file with images as bytes, as ``{bytes, path}``, or as paths relative to the file.
- A CSV, TSV, JSON or JSONL file beside its images; several images of a product are separated by "|" or a JSON list.
- What Shopify, WooCommerce, Google Merchant and Algolia export, and H&M's articles (`data.formats`).
- A folder of such files named after splits (``train.parquet``, ``val.csv``, ``train-0-of-4.parquet``). If none is,
  all of them are read as one source.
- Kaggle's folder Fashion Product Images: ``styles.csv`` and ``images/<id>.jpg``.
- A folder of photos in one folder for each category.
- Fashion-Gen: an HDF5 file, or a folder with ``..._train.h5`` and ``..._validation.h5``.
- A Hugging Face dataset: a folder written by ``save_to_disk``, one that ``load_dataset`` reads, or ``owner/name``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kaleidobert.data.columns import IMAGE_TEMPLATE, find_columns, load_columns
from kaleidobert.data.formats.known_formats import product_table
from kaleidobert.data.numbers import with_plain_numbers
from kaleidobert.data.photo_names import check_template
from kaleidobert.data.problems import MAX_BAD, ROWS_BEFORE_EARLY_CHECK, BadRow, Problems
from kaleidobert.data.product import Product
from kaleidobert.data.rows import Columns, read_id, read_product
from kaleidobert.data.sources import open_source, splits_of
from kaleidobert.data.tables import Table
from kaleidobert.errors import InputError

__all__ = ["Problems", "load_columns", "read_products", "splits_of"]


def read_products(
    data: str | Path,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_bad: float = MAX_BAD,
    report: Problems | None = None,
) -> Iterator[Product]:
    """Stream the products of a source, or of one of its splits (see ``splits_of``).

    ``columns`` maps fields (id, title, description, category, subcategory, images) to column names, where these are
    not known aliases, and may hold an ``image_template``; see ``load_columns``. All other columns become attributes.
    Adjacent rows with the same id and text are views of one product; an id that recurs later is an error.
    Bad rows are counted in ``report``, or logged as one warning if there is none.

    Raises ``InputError`` if there is no such source or split, columns cannot be identified, no row is usable, or more
    than the fraction ``max_bad`` of the rows is bad. The latter is checked at the end and from 1,000 rows on, the
    others before the first product. Only image headers are checked, so decoding may still fail.
    """
    if not 0 <= max_bad <= 1:
        raise InputError(f"max_bad is a share from 0 to 1, not {max_bad}")
    tables, in_split = open_source(data, split)
    mapped = [mapped_table(table, columns or {}) for table in tables]
    name = f"{data} ({split})" if split else str(data)
    return _checked(mapped, in_split, max_bad, report, name)


MappedTables = list[tuple[Table, Columns]]
InSplit = Callable[[str], bool]  # whether a product id belongs to the split


def mapped_table(table: Table, columns: Mapping[str, str]) -> tuple[Table, Columns]:
    """A table of products, and where its fields and photos are: by ``columns``, else by its format, else by name."""
    table = product_table(with_plain_numbers(table))
    named = {key: column for key, column in columns.items() if key != IMAGE_TEMPLATE}
    template = columns.get(IMAGE_TEMPLATE, "" if "images" in named else table.image_template)
    if template:
        check_template(template, table.columns)
    fields = find_columns(table.columns, {**table.fields, **named}, table.name, photos=not template)
    return table, Columns(fields, template)


def _checked(
    tables: MappedTables, in_split: InSplit, max_bad: float, report: Problems | None, name: str
) -> Iterator[Product]:
    """All products, then the checks that need all of them."""
    problems = Problems() if report is None else report
    count = 0
    for product in _merged(tables, in_split, max_bad, problems):
        count += 1
        yield product
    problems.check(max_bad)
    if not count:
        raise InputError(f"{name}: no product in it; {problems.summary()}")
    if report is None and problems.count:
        logging.getLogger(__name__).warning("%s: %s", name, problems.summary())


def _merged(tables: MappedTables, in_split: InSplit, max_bad: float, problems: Problems) -> Iterator[Product]:
    """Products with the views of adjacent rows merged; rows whose id recurs later are counted as bad."""
    seen: set[str] = set()
    pending: Product | None = None
    for table, columns in tables:
        for number, product in _usable_rows(table, columns, in_split, max_bad, problems):
            place = f"{table.unit} {number}"
            if pending is not None and product.id == pending.id:
                if _differ_in_views_only(pending, product):
                    pending = _merge_views(pending, product)
                else:
                    problems.add(table.name, place, f"product id {product.id} again, with another text")
            elif product.id in seen:
                problems.add(table.name, place, f"duplicate product id {product.id}")
            else:
                if pending is not None:
                    yield pending
                pending = product
                seen.add(product.id)
    if pending is not None:
        yield pending


def _usable_rows(
    table: Table, columns: Columns, in_split: InSplit, max_bad: float, problems: Problems
) -> Iterator[tuple[int, Product]]:
    """Products from the usable rows of the split; other rows are counted as bad."""
    for number, row in table.rows():
        problems.rows += 1
        place = f"{table.unit} {number}"
        default_id = f"{table.stem}-{number}"
        try:
            if isinstance(row, str):
                raise BadRow(row)
            product_id = read_id(row, columns, default_id)
        except BadRow as error:
            if in_split(default_id):  # a row without an id belongs to one split, too, and is counted only there
                problems.total += 1
                problems.add(table.name, place, str(error))
            continue
        if not in_split(product_id):
            continue
        problems.total += 1
        if problems.total >= ROWS_BEFORE_EARLY_CHECK:
            problems.check(max_bad)
        try:
            product, dropped_views = read_product(row, columns, product_id, table.folder)
        except BadRow as error:
            problems.add(table.name, place, str(error))
            continue
        except RecursionError:
            problems.add(table.name, place, "its values are nested too deeply")
            continue
        if dropped_views:
            problems.add(table.name, place, dropped_views)
        yield number, product


def _differ_in_views_only(one: Product, other: Product) -> bool:
    same_text = (one.title, one.description) == (other.title, other.description)
    return same_text and bool(one.masks) == bool(other.masks) and bool(one.regions) == bool(other.regions)


def _merge_views(one: Product, other: Product) -> Product:
    return replace(
        one,
        images=one.images + other.images,
        masks=one.masks + other.masks,
        regions=one.regions + other.regions,
    )
