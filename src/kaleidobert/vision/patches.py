"""The kaleidoscope patch generator: photo -> locked portion -> grids of patches (patent: FIG. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.levels import Level
from kaleidobert.vision.saliency.base import Box

WHITE = (255, 255, 255)


def cut_locked_portion(
    image: Image.Image,
    box: Box,
    size: int,
    keep_aspect: bool,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """The locked portion as a square RGB image (size, size).

    With ``keep_aspect`` the box is widened to a square, white beyond the photo's edge, which preserves shapes.
    Otherwise the box itself is stretched, so that no patch lies outside it.
    """
    if keep_aspect:
        left, top, right, _ = locked_window(box, keep_aspect)
        side = right - left
        canvas = Image.new("RGB", (side, side), WHITE)
        canvas.paste(image, (-left, -top))
        image, box = canvas, (0, 0, side, side)
    return image.resize((size, size), resample, box=box)


def locked_window(box: Box, keep_aspect: bool) -> Box:
    """The area that the locked portion shows, in pixels of the photo. A widened box may extend beyond the photo."""
    if not keep_aspect:
        return box
    x1, y1, x2, y2 = box
    side = max(x2 - x1, y2 - y1)
    left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    return left, top, left + side, top + side


def cut_patches(pixels: Tensor, levels: Sequence[Level], size: int) -> Tensor:
    """Crops of all patches of all levels, (B, C, S, S) -> (B, P, C, size, size), in the order of ``levels``.

    For each level the portion is resized to (n * size, n * size) and cut along the grid.
    """
    return torch.cat([_grid(pixels, level.grid, size) for level in levels], dim=1)


def _grid(pixels: Tensor, n: int, size: int) -> Tensor:
    scaled = F.interpolate(pixels, (n * size, n * size), mode="bilinear", align_corners=False, antialias=True)
    batch, channels = pixels.shape[:2]
    cells = scaled.view(batch, channels, n, size, n, size)  # (B, C, row, h, column, w)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, n * n, channels, size, size)


def pool_patches(feature_map: Tensor, levels: Sequence[Level]) -> Tensor:
    """Average-pool a feature map to the patches of all levels, (B, D, h, w) -> (B, P, D), in that order."""
    pooled = [F.adaptive_avg_pool2d(feature_map, level.grid).flatten(2) for level in levels]  # (B, D, n*n)
    return torch.cat(pooled, dim=2).transpose(1, 2)
