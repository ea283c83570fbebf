"""The items of a feed that is no well-formed XML, each parsed alone, so that damage spoils its own item only.

lxml's recovery over a whole file would run on: a tag left open takes in all following items, and its log of errors says
lines, of which a feed may have one.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lxml import etree

from kaleidobert.data.plain_text import is_unicode
from kaleidobert.errors import InputError

START = re.compile(r"<(?P<tag>(?:[\w.-]+:)?(?:item|entry))(?=[\s/>])")
NAMESPACE = re.compile(r"""\sxmlns:(?P<prefix>[\w.-]+)\s*=\s*("[^"<]*"|'[^'<]*')""")
ENCODING = re.compile(rb"""<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)""")
# An ampersand that begins no entity of XML itself; those of HTML become letters where all texts do. Not in CDATA.
AMPERSAND = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)|&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-fA-F]+);)", re.DOTALL)
CONTROLS = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # that XML does not allow
READ = 1 << 16  # characters at a time
LONGEST = 10_000_000  # characters of an item; libxml2 has the same limit for a text
LONGEST_TAG = 100


def separate_items(path: Path, namespaces: str) -> Iterator[tuple[int, Any]]:
    """Each item's line, and its element or, as text, why it cannot be read.

    ``namespaces``: declarations that count where the file has none of the same prefix. Ampersands that were not escaped
    are kept, control characters become blanks. Raises ``InputError`` for an encoding that is not known.
    """
    encoding = _encoding(path)
    try:
        # as in tables, bytes that are no letters become surrogates, which `_item` reports
        file = path.open(encoding=encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "replace")
    except LookupError as error:  # not known
        raise InputError(f"{path}: {error}") from error
    with file:
        pieces = _pieces(file)
        _, head = next(pieces)
        declared = {
            each["prefix"]: " ".join(each[0].split())
            for text in (namespaces, head)
            for each in NAMESPACE.finditer(text)
        }
        for line, piece in pieces:
            yield line, _item(piece, " ".join(["", *declared.values()]), line, encoding)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1000)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    named = ENCODING.search(start)
    name = named[1].decode().lower() if named else "utf-8"
    return "utf-8-sig" if name in ("utf-8", "utf8") else name


def _pieces(file: IO[str]) -> Iterator[tuple[int, str]]:
    """What is before the first item, then from each item's start to that of the next, with the line of each."""
    text, line, searched, left_out = "", 1, 0, 0
    while added := file.read(READ):
        text += added
        begun = 0
        for found in START.finditer(text, searched):
            yield line, text[begun : found.start()]
            line += text.count("\n", begun, found.start()) + left_out
            begun, left_out = found.start(), 0
        text = text[begun:]
        searched = max(1, len(text) - LONGEST_TAG)
        if len(text) > LONGEST + READ:  # `_item` refuses it, so the rest is not kept
            left_out += text.count("\n", LONGEST + 1, searched)
            text, searched = text[: LONGEST + 1] + text[searched:], LONGEST + 1
    yield line, text


def _item(piece: str, namespaces: str, line: int, encoding: str) -> Any:
    """The element of a piece that begins with an item, or why it cannot be read."""
    if len(piece) > LONGEST:
        return f"broken XML (an item of more than {LONGEST:,} characters)"
    if not is_unicode(piece):
        return f"not valid text in the file's encoding, {encoding.removesuffix('-sig')}"
    start = START.match(piece)
    assert start is not None
    end = re.search(rf"</{re.escape(start['tag'])}\s*>", piece)
    item = piece[: end.end()] if end else piece
    item = AMPERSAND.sub(lambda found: found[0] if len(found[0]) > 1 else "&amp;", CONTROLS.sub(" ", item))
    # recovers from prefixes without a namespace alone; the rest is refused
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    feed = etree.fromstring(f"<feed{namespaces}>{item}</feed>", parser)
    if error := next((each for each in parser.error_log if each.level == etree.ErrorLevels.FATAL), None):
        cut = "" if end else f"; the {start['tag']} has no end: is the file cut off?"
        return f"broken XML ({error.message.strip()}, line {line + error.line - 1}{cut})"
    return feed[0]
