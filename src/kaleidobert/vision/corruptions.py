"""The five published patch corruptions as pure functions of tensors (patent: AKPM, sub-tasks 1 to 5).

The functions on cells change pixels, after every resize: a resize that is not equivariant can let a network detect
a rotation from resampling artefacts. The functions on patches change patch features, which avoids another pass
through the backbone.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

ROTATIONS = 4  # 0, 90, 180, 270 degrees
JIGSAW_ORDERS = 24  # 4!; larger grids use a fixed table of the same length
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def rotate_cells(pixels: Tensor, grid: int, quarter_turns: Tensor) -> Tensor:
    """Rotate each cell of an n x n grid in place by 90 degrees x ``quarter_turns`` (B,), anticlockwise.

    pixels (B, C, S, S) with S divisible by the grid; returns the same shape.
    """
    batch, channels, side, _ = pixels.shape
    cells = pixels.view(batch, channels, grid, side // grid, grid, side // grid)
    cells = cells.permute(0, 2, 4, 1, 3, 5)  # (B, row, column, C, h, w)
    rotated = torch.empty_like(cells)
    for turns in range(ROTATIONS):
        rows = quarter_turns == turns
        rotated[rows] = torch.rot90(cells[rows], turns, dims=(-2, -1))
    return rotated.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, side, side)


def permute_cells(pixels: Tensor, grid: int, order: Tensor) -> Tensor:
    """Move cell ``order[b, i]`` to position i: pixels (B, C, S, S) with S divisible by the grid, order (B, n*n)."""
    batch, channels, side, _ = pixels.shape
    cells = pixels.view(batch, channels, grid, side // grid, grid, side // grid).permute(0, 2, 4, 1, 3, 5)
    shape = cells.shape  # (B, row, column, C, h, w)
    cells = permute_patches(cells.reshape(batch, grid * grid, -1), order).view(shape)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, side, side)


def replace_cells(pixels: Tensor, grid: int, cells: Tensor, replacement: Tensor | float) -> Tensor:
    """Replace the selected cells, (B, n*n) bool, by the same cells of ``replacement``.

    pixels (B, C, S, S); replacement: broadcastable to it, a single colour (1, C, 1, 1) or a number included.
    """
    position = torch.arange(pixels.shape[-1], device=pixels.device) * grid // pixels.shape[-1]  # row or column of cells
    inside = cells.view(-1, grid, grid)[:, position][:, :, position].unsqueeze(1)  # (B, 1, S, S)
    return torch.where(inside, replacement, pixels)


def grey_cells(pixels: Tensor, grid: int, cells: Tensor) -> Tensor:
    """Replace the selected cells, (B, n*n) bool, by their luma; pixels (B, 3, S, S), RGB in [0, 1], not normalised."""
    luma = torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor(LUMA)).unsqueeze(1).expand_as(pixels)
    return replace_cells(pixels, grid, cells, luma)


def jigsaw_orders(patches: int) -> Tensor:
    """(24, patches) permutations; row k is class k, and row 0 the identity.

    For four patches all 4! in lexicographic order; otherwise 23 random ones from a fixed seed.
    """
    if patches == 4:
        return torch.tensor(list(itertools.permutations(range(4))))
    rng = np.random.default_rng(patches)
    orders = [np.arange(patches), *(rng.permutation(patches) for _ in range(JIGSAW_ORDERS - 1))]
    return torch.from_numpy(np.stack(orders))


def permute_patches(features: Tensor, order: Tensor) -> Tensor:
    """Move patch ``order[b, i]`` to position i: features (B, n, D), order (B, n) int64; returns (B, n, D)."""
    return features.gather(1, order.unsqueeze(-1).expand_as(features))


def replace_patches(features: Tensor, selected: Tensor, replacement: Tensor | float) -> Tensor:
    """Replace the selected patches, (B, n) bool, by ``replacement``, broadcastable to the features (B, n, D)."""
    return torch.where(selected.unsqueeze(-1), replacement, features)
