"""`kaleidobert check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaleidobert.cli.options import MAX_BAD, Catalogue, Columns, ImageTemplate, JsonFile, MaxBad
from kaleidobert.cli.output import check_files

if TYPE_CHECKING:
    from kaleidobert.data.product import Product
    from kaleidobert.index.catalogue_check import CatalogueCheck


def check(
    data: Catalogue,
    columns: Columns = None,
    image_template: ImageTemplate = None,
    max_bad: MaxBad = MAX_BAD,
    json: JsonFile = None,
) -> None:
    """Say what a catalogue would become, before anything is trained or indexed.

    Shows how many rows become products, what each column is taken for, which rows cannot be used, numbers that are
    read as text, and examples. Loads no model and writes nothing.

    Example: kaleidobert check catalogue.csv --columns columns.yaml
    """
    from kaleidobert.cli.figures import write_figures
    from kaleidobert.data.reading import Reading
    from kaleidobert.index.catalogue_check import check_catalogue

    check_files(json)
    found = check_catalogue(data, Reading.load(columns, image_template, max_bad))
    _print(data, found)
    figures = {name: getattr(found, name) for name in ("rows", "products", "photos", "columns", "splits")}
    figures |= {"numbers_as_text": found.numbers_as_text, "bad_rows": found.problems.count}
    write_figures(figures | {"bad_examples": found.problems.examples}, json)
    found.problems.check(max_bad)


def _print(data: str, found: CatalogueCheck) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    print(f"{data}: {found.rows:,} rows -> {found.products:,} products with {found.photos:,} photos")
    table = Table("column", "becomes")
    for column, what in found.columns.items():
        table.add_row(escape(column), what)
    console.print(table)
    if found.image_template:
        print(f"photos: {found.image_template}")
    hashed = any(found.splits.values())
    sizes = ", ".join(name if size is None else f"{name} {size:,}" for name, size in found.splits.items())
    print(f"splits: {sizes}" + (", by a hash of the id" if hashed else ""))
    for product in found.examples:
        photos = f"{len(product.images)} photo{'s' if len(product.images) > 1 else ''}"
        print(f"for example {product.id}: {product.text!r}, {photos}, the first {_size(product)}")
    for name, value in found.numbers_as_text.items():
        print(f"{name} is read as text, not as a number: {value!r}; ranges such as {name}<=50 will not find it")
    if found.problems.count:
        print(found.problems.summary())


def _size(product: Product) -> str:
    try:
        width, height = product.open().size
    except OSError as error:  # found only by decoding, as index and training do
        return f"cannot be read ({error})"
    return f"{width} × {height}"
