"""Draw aligned products for `sheets.py`: each word's patch of the finest grid, outlined in the word's colour."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from kaleidobert.alignment.drawing import outline_patch
from kaleidobert.alignment.generator import AlignedPair
from kaleidobert.vision.drawing import (
    CAPTION,
    DETAIL_SIZE,
    FAINT,
    GAP,
    INK,
    LINE,
    MARGIN,
    PAGE,
    TILE,
    TITLE_SIZE,
    as_tile,
    font,
)

WORD_COLOURS = ("#c8102e", "#0a6fb8", "#1c8a4b", "#b8690a", "#7a3fb0", "#0b8f95")
MAX_WORDS = len(WORD_COLOURS)  # of one tile


def draw_products(products: Sequence[tuple[Tensor, str, Sequence[AlignedPair]]], columns: int = 6) -> Image.Image:
    """A sheet of products (locked portion (3, S, S), text, pairs), each word's patch of the finest grid outlined.

    If a product has more aligned words than colours, those with the highest scores are shown, in the text's order.
    """
    rows, caption = -(-len(products) // columns), CAPTION + 24
    size = (2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + rows * (TILE + caption) - 12)
    sheet = Image.new("RGB", size, PAGE)
    draw = ImageDraw.Draw(sheet)
    for index, (pixels, text, pairs) in enumerate(products):
        row, column = divmod(index, columns)
        x, y = MARGIN + column * (TILE + GAP), MARGIN + row * (TILE + caption)
        tile, chosen = as_tile(pixels), _best(pairs)
        for order, pair in enumerate(chosen):
            outline_patch(
                tile, pair, WORD_COLOURS[order], 3, sum(pair.patch == other.patch for other in chosen[:order]) * 5
            )
        draw.rectangle((x - 2, y - 2, x + TILE + 1, y + TILE + 1), outline=LINE, width=2)
        sheet.paste(tile, (x, y))
        draw.text((x, y + TILE + 8), _shortened(text, draw), FAINT, font(DETAIL_SIZE))
        _words(draw, (x, y + TILE + 28), chosen)
    return sheet


def _best(pairs: Sequence[AlignedPair]) -> list[AlignedPair]:
    """Each spelling's pair of the finest grid with the highest score, in the text's order."""
    finest = max((pair.level for pair in pairs), default=0)
    by_word: dict[str, AlignedPair] = {}
    for pair in sorted(pairs, key=lambda pair: -pair.score):
        if pair.level == finest:
            by_word.setdefault(pair.word.text.lower(), pair)
    return sorted(list(by_word.values())[:MAX_WORDS], key=lambda pair: pair.word.start)


def _words(draw: ImageDraw.ImageDraw, place: tuple[int, int], pairs: Sequence[AlignedPair]) -> None:
    """Write the words in the colours of their patches, on two lines at most."""
    (left, top), write = place, font(TITLE_SIZE - 2, bold=True)
    x, y = left, top
    for order, pair in enumerate(pairs):
        width = draw.textlength(pair.word.text, write)
        if x > left and x + width > left + TILE:
            x, y = left, y + 20
        draw.text((x, y), pair.word.text, WORD_COLOURS[order], write)
        x += round(width) + 9
    if not pairs:
        draw.text(place, "no pair", INK, write)


def _shortened(text: str, draw: ImageDraw.ImageDraw) -> str:
    """The beginning of the text that fits below a tile."""
    while draw.textlength(text, font(DETAIL_SIZE)) > TILE:
        text = text.removesuffix("…")[:-1].rstrip() + "…"
    return text
