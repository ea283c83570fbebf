"""Finding the format of a table by its header. A new format is a module of its own and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from kaleidobert.data.columns import column_key, column_name
from kaleidobert.data.formats.algolia import ALGOLIA
from kaleidobert.data.formats.base import Format
from kaleidobert.data.formats.google_merchant import GOOGLE_MERCHANT
from kaleidobert.data.formats.h_and_m import H_AND_M
from kaleidobert.data.formats.shopify import SHOPIFY, SHOPIFY_2025
from kaleidobert.data.formats.woocommerce import WOOCOMMERCE
from kaleidobert.data.tables import NumberedRows, Table, row_of

FORMATS: tuple[Format, ...] = (SHOPIFY, SHOPIFY_2025, WOOCOMMERCE, GOOGLE_MERCHANT, ALGOLIA, H_AND_M)


def format_of(table: Table) -> Format | None:
    """The format whose header a table has, in any of its languages; None for a table of products."""
    keys = {column_key(column) for column in table.columns}
    for each in FORMATS:
        spelled = _spelling(each)
        if {spelled[key] for key in keys & spelled.keys()}.issuperset(each.header):
            return each
    return None


def product_table(table: Table) -> Table:
    """A table whose rows are products: those of a known format converted, with its fields and photos.

    Columns are named as the format writes them in English; all others in composed Unicode.
    """
    found = format_of(table)
    spelled = _spelling(found) if found else {}
    names = {column: spelled.get(column_key(column), column_name(column)) for column in table.columns}
    read = partial(_renamed, table.rows, {column: name for column, name in names.items() if column != name})
    if found is None:
        return replace(table, columns=list(dict.fromkeys(names.values())), rows=read)
    columns = list(dict.fromkeys([*names.values(), *found.added]))
    return replace(
        table,
        columns=columns,
        rows=partial(found.rows, read),
        fields={field: column for field, column in found.fields.items() if column in columns},
        image_template=found.image_template,
        format=found.name,
    )


def _spelling(form: Format) -> dict[str, str]:
    """The format's columns by the keys of their names."""
    others = {column_key(other): name for name, names in form.translations.items() for other in names}
    return others | {column_key(name): name for name in (*form.header, *form.others)}


def _renamed(read: Callable[[], NumberedRows], names: Mapping[str, str]) -> NumberedRows:
    for number, row in read():
        if names and isinstance(row, dict):
            row = row_of((names.get(name, name), cell) for name, cell in row.items())
        yield number, row
