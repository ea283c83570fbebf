"""What the kaleidoscope patch generator makes of a photo, drawn as one picture (patent: FIG. 4, AKPM).

First row: the photo with its mask and locked box, then the locked portion under each grid. Second row: where
the camouflaged patch comes from, then each level after its pretext task, the touched patches outlined. The
tasks are given as a function, as they belong to the model (see `model.pretext_objectives.illustrate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from kaleidobert.levels import Level
from kaleidobert.vision.locked_portion import WHITE, cut_locked_portion
from kaleidobert.vision.patches import pool_patches
from kaleidobert.vision.saliency.base import Box, ForegroundDetector, locked_box

TILE, GAP, MARGIN, CAPTION = 280, 20, 28, 62  # pixels; two lines of text fit a caption
TITLE_SIZE, DETAIL_SIZE = 16, 13
PAGE, INK, FAINT, LINE, ACCENT = "#f4f3f0", "#1d1c1a", "#6b675f", "#3a3836", "#c8102e"
TINT, TINT_SHARE = (0, 122, 204), 0.45  # the mask over the photo

# Locked portions of a product and of another one, a level and its masked patches -> the first, corrupted; a caption.
Illustrate = Callable[[Tensor, Tensor, Level, Sequence[int], np.random.Generator], tuple[Tensor, str]]


@dataclass(frozen=True)
class Locked:
    """A photo with its foreground mask (H, W), the box that locks the product, and whether a product was found."""

    image: Image.Image
    mask: np.ndarray
    box: Box
    found: bool

    @classmethod
    def of(cls, image: Image.Image, detector: ForegroundDetector) -> Locked:
        mask = detector(image)
        return cls(image, mask, *locked_box(mask))

    def pixels(self, size: int, keep_aspect: bool) -> Tensor:
        """The locked portion (3, S, S) in [0, 1]."""
        return _tensor(cut_locked_portion(self.image, self.box, size, keep_aspect))

    def coverage(self, level: Level, keep_aspect: bool) -> np.ndarray:
        """(n*n,) the fraction of each patch that is foreground."""
        background = Image.fromarray(np.uint8(255 * (1 - self.mask))).convert(
            "RGB"
        )  # white, like the area outside the photo
        pixels = _tensor(cut_locked_portion(background, self.box, 16 * level.grid, keep_aspect))
        return 1 - pool_patches(pixels[:1].unsqueeze(0), [level]).flatten().numpy()


def draw_patches(
    product: Locked,
    levels: Sequence[Level],
    size: int,
    keep_aspect: bool,
    rng: np.random.Generator,
    illustrate: Illustrate,
    other: Locked | None = None,
) -> Image.Image:
    """The picture. ``illustrate`` applies a level's task; ``rng`` selects the patches and the task's variant.
    Camouflage takes its patch from ``other`` or, without one, from the mirrored portion. ``size``: the locked
    portion's side in pixels.
    """
    tasks = any(level.task for level in levels)
    width = 2 * MARGIN + (1 + len(levels)) * (TILE + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + (1 + tasks) * (TILE + CAPTION) - 12), PAGE)
    box = product.box
    locked = f"{box[2] - box[0]} × {box[3] - box[1]} of {product.image.width} × {product.image.height} pixels"
    place_tile(sheet, 0, 0, photo_tile(product), "mask and locked box", locked if product.found else "no product found")
    if tasks:
        donor = "another product" if other else "the mirrored portion"
        place_tile(
            sheet, 1, 0, as_tile(_donor(product, other, size, keep_aspect)), donor, "gives the camouflaged patch"
        )
    for column, level in enumerate(levels, start=1):
        side = -(-size // level.grid) * level.grid  # rounded up to a multiple of the grid
        pixels = product.pixels(side, keep_aspect)
        count = f"{level.patches} patches" if level.patches > 1 else "1 patch"
        place_tile(sheet, 0, column, _gridded(pixels, level.grid), f"{level.grid} × {level.grid}", count)
        if level.task:
            donor_pixels = _donor(product, other, side, keep_aspect)
            touched = _draw_touched(level, product.coverage(level, keep_aspect), rng)
            result, detail = illustrate(pixels, donor_pixels, level, touched, rng)
            title = f"{level.grid} × {level.grid} - {level.task}"
            place_tile(sheet, 1, column, _gridded(result, level.grid, touched), title, detail)
    return sheet


def _draw_touched(level: Level, coverage: np.ndarray, rng: np.random.Generator) -> list[int]:
    """As many patches as masking selects, preferably on the product: on background nothing would be visible."""
    background = coverage < coverage.max() / 2
    order = np.lexsort([rng.random(level.patches), background])
    return sorted(order[: level.masked].tolist())


def _donor(product: Locked, other: Locked | None, size: int, keep_aspect: bool) -> Tensor:
    return other.pixels(size, keep_aspect) if other else product.pixels(size, keep_aspect).flip(-1)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def as_tile(pixels: Tensor) -> Image.Image:
    """(3, S, S) in [0, 1] -> a tile."""
    values = (pixels * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(values).resize((TILE, TILE), Image.Resampling.BICUBIC)


def _gridded(pixels: Tensor, n: int, touched: Sequence[int] = ()) -> Image.Image:
    """(3, S, S) -> a tile with thin lines between its n x n patches, and outlines around the touched ones."""
    tile = as_tile(pixels)
    draw = ImageDraw.Draw(tile)
    edges = [round(TILE * k / n) for k in range(n + 1)]
    for edge in edges[1:-1]:
        draw.line([(edge, 0), (edge, TILE)], WHITE, 4)
        draw.line([(0, edge), (TILE, edge)], WHITE, 4)
    for edge in edges[1:-1]:
        draw.line([(edge, 0), (edge, TILE)], LINE, 2)
        draw.line([(0, edge), (TILE, edge)], LINE, 2)
    for row, column in (divmod(patch, n) for patch in touched):
        corners = (edges[column], edges[row], edges[column + 1] - 1, edges[row + 1] - 1)
        draw.rectangle(corners, outline=ACCENT, width=4)
    return tile


def photo_tile(product: Locked) -> Image.Image:
    """The photo in a tile, with the foreground tinted and the locked box outlined."""
    image, scale = product.image, TILE / max(product.image.size)
    tint = Image.blend(image, Image.new("RGB", image.size, TINT), TINT_SHARE)
    shown = Image.composite(tint, image, Image.fromarray(np.uint8(255 * product.mask))) if product.found else image
    shown = shown.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC)
    tile = Image.new("RGB", (TILE, TILE), WHITE)
    left, top = (TILE - shown.width) // 2, (TILE - shown.height) // 2
    tile.paste(shown, (left, top))
    x1, y1, x2, y2 = (round(edge * scale) for edge in product.box)
    ImageDraw.Draw(tile).rectangle((left + x1, top + y1, left + x2 - 1, top + y2 - 1), outline=ACCENT, width=3)
    return tile


def place_tile(sheet: Image.Image, row: int, column: int, tile: Image.Image, title: str, detail: str) -> None:
    x, y = MARGIN + column * (TILE + GAP), MARGIN + row * (TILE + CAPTION)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((x - 2, y - 2, x + TILE + 1, y + TILE + 1), outline=LINE, width=2)
    sheet.paste(tile, (x, y))
    draw.text((x + TILE / 2, y + TILE + 8), title, INK, font(TITLE_SIZE, bold=True), anchor="ma")
    draw.text((x + TILE / 2, y + TILE + 30), detail, FAINT, font(DETAIL_SIZE), anchor="ma")


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as packaged with matplotlib, so that it is available everywhere."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)
