"""Draws search results as pictures: one query as a grid of cards, or several queries with a row of cards each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kaleidobert.data.images import open_image
from kaleidobert.search.query import Hit

MARGIN, GAP, PADDING = 32, 16, 12  # pixels, like all sizes here
CARD_WIDTH, PHOTO_HEIGHT, TITLE_LINES = 210, 220, 3
PAGE, CARD, LINE = "#f4f3f0", "#ffffff", "#dedbd4"
WORD_COLOURS = ("#c8102e", "#0a6fb8", "#1c8a4b", "#b8690a", "#7a3fb0")  # of the words with the most weight
INK, MUTED, ACCENT = "#1d1c1a", "#6b675f", "#7a2e3a"
HEADING_SIZE, TITLE_SIZE, SMALL_SIZE = 30, 14, 12
CARD_HEIGHT = PHOTO_HEIGHT + TITLE_LINES * 19 + 2 * 18 + 3 * PADDING


def result_sheet(query: str, hits: Sequence[Hit], columns: int = 5) -> Image.Image:
    """One query as the heading, and its hits as a grid of cards."""
    return _sheet([(query, hits)], columns)


def result_sheets(answers: Sequence[tuple[str, Sequence[Hit]]], top: int = 8) -> Image.Image:
    """Several (query, hits), each as a heading and a row of the ``top`` best hits."""
    return _sheet([(query, hits[:top]) for query, hits in answers], top)


def _sheet(answers: Sequence[tuple[str, Sequence[Hit]]], columns: int) -> Image.Image:
    width = 2 * MARGIN + columns * CARD_WIDTH + (columns - 1) * GAP
    headings = [_wrap(query, _font(HEADING_SIZE, bold=True), width - 2 * MARGIN, 2) for query, _ in answers]
    heights = [
        len(heading) * 40 + 12 + max(1, -(-len(hits) // columns)) * (CARD_HEIGHT + GAP)
        for heading, (_, hits) in zip(headings, answers, strict=True)
    ]
    sheet = Image.new("RGB", (width, sum(heights) + 2 * MARGIN - GAP), PAGE)
    draw = ImageDraw.Draw(sheet)
    top = MARGIN
    for heading, height, (_, hits) in zip(headings, heights, answers, strict=True):
        _draw_lines(draw, (MARGIN, top), heading, _font(HEADING_SIZE, bold=True), INK, 40)
        first = top + len(heading) * 40 + 12
        if not hits:
            draw.text((MARGIN, first), "Nothing found.", MUTED, _font(TITLE_SIZE))
        for place, hit in enumerate(hits):
            row, column = divmod(place, columns)
            corner = (MARGIN + column * (CARD_WIDTH + GAP), first + row * (CARD_HEIGHT + GAP))
            _card(sheet, draw, corner, hit)
        top += height
    return sheet


def _card(sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], hit: Hit) -> None:
    x, y = corner
    draw.rounded_rectangle((x, y, x + CARD_WIDTH, y + CARD_HEIGHT), 10, CARD, LINE)
    photo = _thumbnail(hit, (CARD_WIDTH - 2 * PADDING, PHOTO_HEIGHT))
    words = _outline_words(photo, hit)
    sheet.paste(photo, (x + (CARD_WIDTH - photo.width) // 2, y + PADDING + (PHOTO_HEIGHT - photo.height) // 2))
    rank = str(hit.rank)
    badge = 14 + int(draw.textlength(rank, _font(TITLE_SIZE, bold=True)))
    draw.rounded_rectangle((x + 8, y + 8, x + 8 + badge, y + 32), 7, INK)
    draw.text((x + 8 + badge / 2, y + 20), rank, "white", _font(TITLE_SIZE, bold=True), anchor="mm")
    left, inner = x + PADDING, CARD_WIDTH - 2 * PADDING
    below = y + 2 * PADDING + PHOTO_HEIGHT
    title = _wrap(hit.product.title or hit.product.id, _font(TITLE_SIZE, bold=True), inner, TITLE_LINES)
    _draw_lines(draw, (left, below), title, _font(TITLE_SIZE, bold=True), INK, 19)
    label = _wrap(hit.product.subcategory or hit.product.category, _font(SMALL_SIZE), inner, 1)
    below += TITLE_LINES * 19
    if words:
        _draw_words(draw, (left, below), words, inner)
    else:
        _draw_lines(draw, (left, below), label, _font(SMALL_SIZE), MUTED, 18)
    _draw_lines(draw, (left, below + 18), [hit.label], _font(SMALL_SIZE, bold=True), ACCENT, 18)


def _outline_words(photo: Image.Image, hit: Hit) -> list[tuple[str, str]]:
    """Outline each word's best patch on the photo; returns the words, by weight, with their colours."""
    draw, labels = ImageDraw.Draw(photo), []
    words = sorted(hit.why or [], key=lambda each: -each.weight)
    for order, (evidence, colour) in enumerate(zip(words, WORD_COLOURS, strict=False)):
        labels.append((f"{evidence.word} {evidence.weight:.0%}", colour))
        for patch in evidence.patches[:1]:
            inset = 2 * order  # several words may match the same patch
            corners = (
                patch.x1 * photo.width + inset,
                patch.y1 * photo.height + inset,
                patch.x2 * photo.width - 1 - inset,
                patch.y2 * photo.height - 1 - inset,
            )
            if corners[2] > corners[0] and corners[3] > corners[1]:
                draw.rectangle(corners, outline=colour, width=2)
    return labels


def _draw_words(draw: ImageDraw.ImageDraw, corner: tuple[int, int], words: list[tuple[str, str]], width: int) -> None:
    """Draw as many words as fit on one line, each in its colour."""
    x, font = corner[0], _font(SMALL_SIZE, bold=True)
    for word, colour in words:
        length = draw.textlength(word, font)
        if x + length <= corner[0] + width:
            draw.text((x, corner[1]), word, colour, font)
            x += int(length) + 8


def _thumbnail(hit: Hit, size: tuple[int, int]) -> Image.Image:
    """The thumbnail scaled to fit ``size``, at most threefold so that a tiny one stays legible."""
    if not hit.thumbnail:
        return Image.new("RGB", size, PAGE)
    photo = open_image(hit.thumbnail)
    scale = min(size[0] / photo.width, size[1] / photo.height, 3.0)
    shape = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(shape, Image.Resampling.LANCZOS)


def _draw_lines(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Sequence[str],
    font: ImageFont.FreeTypeFont,
    colour: str,
    step: int,
) -> None:
    for number, line in enumerate(lines):
        draw.text((corner[0], corner[1] + number * step), line, colour, font)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """``text`` in at most ``lines`` lines of ``width`` pixels, shortened with an ellipsis."""
    wrapped: list[str] = [""]
    for word in text.split():
        longer = f"{wrapped[-1]} {word}".strip()
        if font.getlength(longer) <= width or not wrapped[-1]:
            wrapped[-1] = longer
        else:
            wrapped.append(word)
    kept = wrapped[:lines]
    if len(wrapped) > lines:
        kept[-1] += " …"
    return [_shortened(line, font, width) for line in kept]


def _shortened(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    kept = line.removesuffix(" …")
    while kept and font.getlength(kept + "…") > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


@lru_cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which is installed with matplotlib."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
