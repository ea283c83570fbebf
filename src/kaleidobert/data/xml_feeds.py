"""Product feeds in XML: the items of RSS and the entries of Atom, with Google's names (``g:``)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError

GOOGLE = "{http://base.google.com/ns/1.0}"
ITEMS = ("{*}item", "{*}entry")
ITEMS_FOR_COLUMNS = 100


def xml_table(path: Path) -> Table:
    """A feed with one row per item. An element that is repeated is a list, one with others in it a dictionary.

    Where RSS or Atom and Google have an element of one name, Google's counts. Raises ``InputError`` if the file is no
    feed. Entities of the file's own and other files are not read.
    """
    first = list(itertools.islice(_rows(path), ITEMS_FOR_COLUMNS))
    columns = list(dict.fromkeys(name for _, row in first if isinstance(row, dict) for name in row))
    if not columns:
        raise InputError(f"{path}: no <item> or <entry> in it; expected an RSS or Atom feed of products")
    return Table(str(path), path.parent, columns, lambda: _rows(path), "line", path.stem)


def _rows(path: Path) -> NumberedRows:
    with path.open("rb") as file:
        blank = _skip_blank_lines(file)
        elements = etree.iterparse(
            file, tag=ITEMS, resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
        )
        try:
            for _, item in elements:
                yield blank + item.sourceline, _row(item)
                item.clear()
                while item.getprevious() is not None:  # items that were read would stay in memory
                    del item.getparent()[0]
        except etree.XMLSyntaxError as error:
            known = next(iter(elements.error_log), None)  # of some errors alone
            reason = f"{known.message}, line {blank + known.line}" if known else str(error)
            raise InputError(f"{path}: broken XML ({reason})") from error


def _skip_blank_lines(file: BinaryIO) -> int:
    """Read what scripts print before the XML declaration, where XML allows nothing; returns the number of lines."""
    lines = 0
    while (byte := file.read(1)) and byte in b" \t\r\n":
        lines += byte == b"\n"
    file.seek(-len(byte), 1)
    return lines


def _row(item: Any) -> dict[str, Any]:
    google: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for child in item.iterchildren(etree.Element):  # no references to entities
        found = google if child.tag.startswith(GOOGLE) else others
        name, cell = child.tag.rpartition("}")[2], _cell(child)
        known = found.get(name)
        found[name] = cell if known is None else [*(known if isinstance(known, list) else [known]), cell]
    if "description" not in google and "description" not in others and (summary := others.pop("summary", "")):
        others["description"] = summary  # as Atom calls it
    return others | google


def _cell(element: Any) -> Any:
    """An element's text, its elements by name, or, of Atom's links, its address."""
    if len(element) and all(isinstance(child.tag, str) and child.tag.startswith(GOOGLE) for child in element):
        return _row(element)
    return "".join(element.itertext()).strip() or element.get("href") or ""
