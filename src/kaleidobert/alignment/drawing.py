"""A picture of a photo's words with their attention maps and patches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from kaleidobert.alignment.generator import AlignedPair, WordMap
from kaleidobert.vision.drawing import (
    CAPTION,
    GAP,
    MARGIN,
    PAGE,
    TILE,
    Locked,
    as_tile,
    photo_tile,
    place_tile,
)
from kaleidobert.vision.locked_portion import WHITE

COLUMNS = 6
LEVEL_COLOURS = ("#c8102e", "#0a6fb8", "#1d1c1a")  # of the finest grid, of the next, of all others
HEAT = (255, 106, 0)


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
            outline_patch(shown, pair, LEVEL_COLOURS[min(grids.index(pair.level), 2)], 2 + 2 * (pair.level == grids[0]))
        lifts = ", ".join(f"{pair.score / pair.match:.1f}" for pair in sorted(own, key=lambda pair: -pair.level))
        detail = f"× uniform over the product: {lifts}" if own else "too even: no patch"
        place_tile(sheet, *divmod(index, COLUMNS), shown, each.word.text, detail)
    return sheet


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


def outline_patch(tile: Image.Image, pair: AlignedPair, colour: str, width: int, inset: int = 0) -> None:
    """Draw the border of a pair's patch onto a tile, ``inset`` pixels inside the patch."""
    row, column = divmod(pair.patch, pair.level)
    edges = [round(TILE * k / pair.level) for k in range(pair.level + 1)]
    x1, y1, x2, y2 = edges[column], edges[row], edges[column + 1] - 1, edges[row + 1] - 1
    ImageDraw.Draw(tile).rectangle((x1 + inset, y1 + inset, x2 - inset, y2 - inset), outline=colour, width=width)
