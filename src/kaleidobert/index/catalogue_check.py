"""What a catalogue would become, found out by reading it once, without a model: for `kaleidobert check`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaleidobert.data.formats.known_formats import format_of
from kaleidobert.data.problems import Problems
from kaleidobert.data.product import Product
from kaleidobert.data.readers import mapped_table, read_products
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.data.sources import open_source, split_sizes
from kaleidobert.index.facet_column import number, numeric
from kaleidobert.progress import progress_bar

EXAMPLES = 3  # products that are shown
VALUES = 1000  # of an attribute that are looked at
UNIT_LETTERS = 4  # of a value that is a number with a currency or unit, at most
GROUND_TRUTH = ("masks", "regions")


@dataclass
class CatalogueCheck:
    """What a catalogue would become.

    ``columns``: what became of each. ``image_template``: where photos are, or "". ``splits``: numbers of products, None
    where a split has files of its own. ``numbers_as_text``: attributes that look like numbers but cannot be compared
    as such, each with a value.
    """

    rows: int = 0
    products: int = 0
    photos: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    image_template: str = ""
    splits: dict[str, int | None] = field(default_factory=dict)
    examples: list[Product] = field(default_factory=list)
    numbers_as_text: dict[str, str] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)


def check_catalogue(data: str | Path, reading: Reading = BY_DEFAULT) -> CatalogueCheck:
    """Read a whole catalogue as every command does. Raises ``InputError`` where none of it can be used."""
    found, ids, values = CatalogueCheck(), [], dict[str, list[str]]()
    tables, _ = open_source(data)
    with progress_bar() as progress:
        bar = progress.add_task("reading", total=None)
        for product in read_products(data, None, reading.columns, 1.0, found.problems):
            found.photos += len(product.images)
            ids.append(product.id)
            if len(ids) <= EXAMPLES:
                found.examples.append(product)
            for name, value in product.attributes.items():
                own = values.setdefault(name, [])
                if len(own) < VALUES:
                    own.append(value)
            progress.advance(bar)
    found.rows, found.products = found.problems.rows, len(ids)
    found.splits = split_sizes(data, ids)
    for table in tables:
        mapped, columns = mapped_table(table, reading.columns)
        known = format_of(table)
        folded = {*known.header, *known.others} if known else set()
        found.columns |= _columns(mapped.columns, columns.fields, values, folded)
        found.image_template = columns.image_template
    found.numbers_as_text = {name: text for name, own in values.items() if (text := _number_as_text(own))}
    return found


def _columns(
    names: Iterable[str], fields: Mapping[str, str], values: Mapping[str, list[str]], folded: Collection[str]
) -> dict[str, str]:
    """What became of each column; ``folded``: those from which a known format makes others."""
    field_of = {column: name for name, column in fields.items()}
    kinds = {name: "attribute, a number" if numeric(own) else "attribute" for name, own in values.items()}
    found = {name: field_of.get(name) or kinds.get(name) or _unused(name, kinds, folded) for name in names}
    return found | {name: kind for name, kind in kinds.items() if name not in found}


def _unused(name: str, kinds: Mapping[str, str], folded: Collection[str]) -> str:
    if name in folded:
        return "part of a column below"
    if name in GROUND_TRUTH:
        return "ground truth"
    if any(attribute.startswith(f"{name}.") for attribute in kinds):
        return f"attributes {name}.*"
    return "its keys are attributes" if name == "attributes" else "not used: empty, bytes or nested values"


def _number_as_text(values: list[str]) -> str:
    """One of the values, if most are digits with a unit or in a notation that is not read; "" otherwise."""
    found = [each for each in values if number(each) is None and _like_number(each)]
    return found[0] if 2 * len(found) > len(values) else ""


def _like_number(text: str) -> bool:
    return any(map(str.isdigit, text)) and sum(map(str.isalpha, text)) <= UNIT_LETTERS
