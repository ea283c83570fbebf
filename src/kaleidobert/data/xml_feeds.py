"""Product feeds in XML: the items of RSS and the entries of Atom, with Google's names (``g:``)."""

from __future__ import annotations

import itertools
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from lxml import etree

from kaleidobert.data.broken_feeds import separate_items
from kaleidobert.data.tables import NumberedRows, Table
from kaleidobert.errors import InputError

GOOGLE = "{http://base.google.com/ns/1.0}"
ITEMS = ("{*}item", "{*}entry")
ITEMS_FOR_COLUMNS = 100
# Errors that are no damage of an item: attacks, and files that are no XML
REFUSED = (
    *("ERR_RESOURCE_LIMIT", "ERR_ENTITY_LOOP", "ERR_INTERNAL_ERROR", "ERR_NO_MEMORY"),
    *("ERR_UNSUPPORTED_ENCODING", "ERR_DOCUMENT_EMPTY"),
)


def xml_table(path: Path) -> Table:
    """A feed with one row per item. An element that is repeated is a list, one with others in it a dictionary.

    Where RSS or Atom and Google have an element of one name, Google's counts. A damaged item is a row that cannot be
    read. Raises ``InputError`` if the file is no feed, or would take too much memory. Entities of the file's own and
    other files are not read.
    """
    state = path.stat()
    damage = _damage(path, state.st_size, state.st_mtime_ns)
    rows = _separate_rows if damage else _rows
    first = list(itertools.islice(rows(path), ITEMS_FOR_COLUMNS))
    columns = list(dict.fromkeys(name for _, row in first if isinstance(row, dict) for name in row))
    if not columns:
        reason = f"broken XML ({damage})" if damage else "no <item> or <entry> in it"
        raise InputError(f"{path}: {reason}; expected an RSS or Atom feed of products")
    return Table(str(path), path.parent, columns, lambda: rows(path), "line", path.stem)


@lru_cache(256)
def _damage(path: Path, size: int, modified: int) -> str:  # noqa: ARG001  the state of the file that was looked at
    """Why a file is no well-formed XML, "" if it is. Raises ``InputError`` where no part of it can be read."""
    with path.open("rb") as file:
        blank = _skip_blank_lines(file)
        elements = _elements(file)
        try:
            for _, item in elements:
                _forget(item)
        except etree.XMLSyntaxError as error:
            known = next(iter(elements.error_log), None)  # of some errors alone
            reason = f"{known.message.strip()}, line {blank + known.line}" if known else str(error)
            if known is None or known.type_name in REFUSED:
                raise InputError(f"{path}: broken XML ({reason})") from error
            return reason
    return ""


def _rows(path: Path) -> NumberedRows:
    """Those of well-formed XML."""
    with path.open("rb") as file:
        blank = _skip_blank_lines(file)
        for _, item in _elements(file):
            yield blank + item.sourceline, _row(item)
            _forget(item)


def _separate_rows(path: Path) -> NumberedRows:
    for line, item in separate_items(path, f' xmlns:g="{GOOGLE[1:-1]}"'):
        yield line, item if isinstance(item, str) else _row(item)


def _elements(file: BinaryIO) -> Any:
    return etree.iterparse(
        file, tag=ITEMS, resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )


def _forget(item: Any) -> None:
    """Items that were read would stay in memory."""
    item.clear()
    while item.getprevious() is not None:
        del item.getparent()[0]


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
        # without its namespace, or the prefix that should have stood for one
        name, cell = child.tag.rpartition("}")[2].rpartition(":")[2], _cell(child)
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
