"""The five patch corruptions as pure functions of tensors (SEED: AKPM sub-tasks 1 to 5).

Rotation and greying happen to pixels, after every resize (a resize that is not equivariant once let a network
cheat at rotation); permuting, swapping and blanking happen to patch features, which saves a pass through the
backbone, or to pixels, so that all levels and their neighbours' receptive fields show it.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from kaleidobert.levels import JIGSAW_ORDERS

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def rotate_cells(pixels: Tensor, grid: int, quarter_turns: Tensor) -> Tensor:
    """Turn each cell of an n x n grid in place by 90 degrees x ``quarter_turns`` (B,), anticlockwise.

    pixels (B, C, S, S) with S divisible by the grid; returns the same shape.
    """
    batch, channels, side, _ = pixels.shape
    cells = pixels.view(batch, channels, grid, side // grid, grid, side // grid)
    cells = cells.permute(0, 2, 4, 1, 3, 5)  # (B, row, column, C, h, w)
    turned = torch.empty_like(cells)
    for turns in range(4):
        chosen = quarter_turns == turns
        turned[chosen] = torch.rot90(cells[chosen], turns, dims=(-2, -1))
    return turned.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, side, side)


def grey_cells(pixels: Tensor, grid: int, cells: Tensor) -> Tensor:
    """Replace chosen cells by their luma, pixels (B, 3, S, S), cells (B, n*n) bool;
    returns the same shape. Pixels are RGB in [0, 1], not normalised.
    """
    luma = torch.einsum("bchw,c->bhw", pixels, pixels.new_tensor(LUMA)).unsqueeze(1).expand_as(pixels)
    return torch.where(_inside(pixels, grid, cells), luma, pixels)


def blank_cells(pixels: Tensor, grid: int, cells: Tensor, colour: Tensor) -> Tensor:
    """Replace chosen cells by one colour, pixels (B, 3, S, S), cells (B, n*n) bool, colour (1, 3, 1, 1)."""
    return torch.where(_inside(pixels, grid, cells), colour, pixels)


def camouflage_cells(pixels: Tensor, grid: int, cells: Tensor, others: Tensor) -> Tensor:
    """Replace chosen cells, (B, n*n) bool, by the same cells of other photos; pixels and others (B, 3, S, S)."""
    return torch.where(_inside(pixels, grid, cells), others, pixels)


def permute_cells(pixels: Tensor, grid: int, order: Tensor) -> Tensor:
    """Put cell ``order[b, i]`` in place i: pixels (B, C, S, S) with S divisible by the grid, order (B, n*n) int64."""
    batch, channels, side, _ = pixels.shape
    cells = pixels.view(batch, channels, grid, side // grid, grid, side // grid).permute(0, 2, 4, 1, 3, 5)
    shape = cells.shape  # (B, row, column, C, h, w)
    cells = permute_patches(cells.reshape(batch, grid * grid, -1), order).view(shape)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, side, side)


def _inside(pixels: Tensor, grid: int, cells: Tensor) -> Tensor:
    """(B, 1, S, S) bool: where the chosen cells lie."""
    side = pixels.shape[-1]
    position = torch.arange(side, device=pixels.device) * grid // side  # which row or column of cells
    return cells.view(-1, grid, grid)[:, position][:, :, position].unsqueeze(1)


def jigsaw_orders(patches: int) -> Tensor:
    """(24, patches) permutations; row k is class k. Four patches: all 4! in lexicographic order.

    Other sizes get a fixed table: the identity, and 23 drawn once with a fixed seed.
    """
    if patches == 4:
        return torch.tensor(list(itertools.permutations(range(4))))
    rng = np.random.default_rng(patches)
    drawn = [np.arange(patches), *(rng.permutation(patches) for _ in range(JIGSAW_ORDERS - 1))]
    return torch.from_numpy(np.stack(drawn))


def permute_patches(features: Tensor, order: Tensor) -> Tensor:
    """Put patch ``order[b, i]`` in place i: features (B, n, D), order (B, n) int64; returns (B, n, D)."""
    return features.gather(1, order.unsqueeze(-1).expand_as(features))


def camouflage_patches(features: Tensor, chosen: Tensor, others: Tensor) -> Tensor:
    """Swap chosen patches, (B, n) bool, for the same patches of other products; features and others (B, n, D)."""
    return torch.where(chosen.unsqueeze(-1), others, features)


def blank_patches(features: Tensor, chosen: Tensor) -> Tensor:
    """Replace chosen patches by a zero feature: features (B, n, D), chosen (B, n) bool."""
    return features.masked_fill(chosen.unsqueeze(-1), 0.0)
