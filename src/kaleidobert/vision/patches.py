"""The kaleidoscope patch generator: locked portion -> grids of patches (patent: FIG. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.levels import Level


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
