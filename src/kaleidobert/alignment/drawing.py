"""Pictures of aligned words and patches: one tile for each word, or one for each product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from kaleidobert.alignment.generator import AlignedPair, WordMap
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
    Locked,
    as_tile,
    font,
    photo_tile,
    place_tile,
)
from kaleidobert.vision.patches import WHITE

COLUMNS = 6
LEVEL_COLOURS = ("#c8102e", "#0a6fb8", "#1d1c1a")  # of the finest grid, of the next, of all others
WORD_COLOURS = ("#c8102e", "#0a6fb8", "#1c8a4b", "#b8690a", "#7a3fb0", "#0b8f95")
HEAT = (255, 106, 0)
MOST_WORDS = len(WORD_COLOURS)  # of one tile


def draw_words(product: Locked, pixels: Tensor, maps: Sequence[WordMap], pairs: Sequence[AlignedPair]) -> Image.Image:
    """The photo, then a tile for each word with its attention map and its patches outlined.

    pixels (3, S, S): the locked portion that the maps cover. A word whose map is too even has no outline.
    """
    count = 1 + len(maps)
    columns, rows = min(COLUMNS, count), -(-count // COLUMNS)
    size = (2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + rows * (TILE + CAPTION) - 12)
    sheet = Image.new("RGB", size, PAGE)
    grids = sorted({pair.level for pair in pairs}, reverse=True)
    place_tile(sheet, 0, 0, photo_tile(product), "mask and locked box", _legend(grids))
    tile = as_tile(pixels)
    for index, each in enumerate(maps, start=1):
        own = [pair for pair in pairs if pair.word == each.word]
        shown = _heated(tile, each.attention)
        for pair in own:
            _outline(shown, pair, LEVEL_COLOURS[min(grids.index(pair.level), 2)], 2 + 2 * (pair.level == grids[0]))
        lifts = ", ".join(f"{pair.score / pair.match:.1f}" for pair in sorted(own, key=lambda pair: -pair.level))
        detail = f"× uniform over the product: {lifts}" if own else "too even: no patch"
        place_tile(sheet, *divmod(index, COLUMNS), shown, each.word.text, detail)
    return sheet


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
            _outline(tile, pair, WORD_COLOURS[order], 3, sum(pair.patch == other.patch for other in chosen[:order]) * 5)
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
    return sorted(list(by_word.values())[:MOST_WORDS], key=lambda pair: pair.word.start)


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


def _legend(grids: Sequence[int]) -> str:
    names = ("red", "blue", "black")
    return "patches: " + ", ".join(f"{grid}×{grid} {names[min(i, 2)]}" for i, grid in enumerate(grids))


def _heated(tile: Image.Image, attention: np.ndarray) -> Image.Image:
    """A tile with the attention (h, w) as an orange glow over the pale photo."""
    heat = Image.fromarray((attention / attention.max()).astype(np.float32)).resize(tile.size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(heat), 0, 1)[:, :, None]
    photo = np.asarray(tile, dtype=np.float32)
    pale = 0.45 * photo + 0.55 * np.array(WHITE)
    glowing = 0.55 * photo + 0.45 * np.array(HEAT)
    return Image.fromarray(np.uint8(pale + (glowing - pale) * strength))


def _outline(tile: Image.Image, pair: AlignedPair, colour: str, width: int, inset: int = 0) -> None:
    row, column = divmod(pair.patch, pair.level)
    edges = [round(TILE * k / pair.level) for k in range(pair.level + 1)]
    x1, y1, x2, y2 = edges[column], edges[row], edges[column + 1] - 1, edges[row + 1] - 1
    ImageDraw.Draw(tile).rectangle((x1 + inset, y1 + inset, x2 - inset, y2 - inset), outline=colour, width=width)
