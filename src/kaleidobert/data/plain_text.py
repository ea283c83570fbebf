"""HTML in a catalogue's texts as the text that a shopper reads."""

from __future__ import annotations

import re

from lxml import etree, html
from lxml.html import defs

UNSEEN = ("script", "style", "template", "noscript", "head")
BLOCKS = (*defs.block_tags, "br", "article", "aside", "section", "header", "footer", "figure", "figcaption", "summary")
# Tags that HTML has, so that "size <M>" stays as it is, and entities.
TAG = rf"</?(?:{'|'.join(sorted(defs.tags))})(?:\s[^<>]*)?/?>"
MARKUP = re.compile(rf"{TAG}|<!--|<!\[CDATA\[|&#?\w{{1,31}};", re.IGNORECASE)
CONTROL = re.compile(r"[^\S\n\t ]|[\0-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff]")  # what a parser of XML refuses
ESCAPED_TWICE = 2  # times at most that HTML is itself text of HTML, as in feeds


def plain_text(text: str) -> str:
    """Without tags, scripts and styles, with letters in place of entities; a block of the page is a line."""
    for _ in range(ESCAPED_TWICE):
        if not MARKUP.search(text):
            break
        text = _parsed(text)
    return text


def is_unicode(text: str) -> bool:
    """Whether the text can be written: it holds no half of a pair of surrogates, and no byte that is no letter."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(text: str) -> str:
    parser = html.HTMLParser(huge_tree=True)
    page = html.fragment_fromstring(CONTROL.sub(" ", text), create_parent="div", parser=parser)
    etree.strip_elements(page, *UNSEEN, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    for block in page.iter(*BLOCKS):
        block.text = "\n" + (block.text or "")
        block.tail = "\n" + (block.tail or "")
    lines = (" ".join(line.split()) for line in "".join(page.itertext()).splitlines())
    return "\n".join(filter(None, lines))
