"""The patches that an attention map attends to most (patent: FIG. 5, attention map to image patch alignment 508).

Maps cover the locked portion, which is all that the captioner sees. Cells of a map and patches of a grid therefore
share coordinates, [0, 1] of the portion, at any resolution of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True, slots=True)
class AttendedPatch:
    """A patch (row-major index in its n x n ``grid``) and the share ``mass`` of the attention inside it.

    ``lift``: ``mass`` divided by what the patch would have if attention were uniform over the product.
    """

    grid: int
    patch: int
    mass: float
    lift: float


def most_attended_patch(
    attention: np.ndarray, grid: int, least_lift: float, product_share: float = 1.0
) -> AttendedPatch | None:
    """The patch with the most attention in a map (h, w) that sums to 1; None if its lift is below ``least_lift``.

    ``product_share``: the share of the locked portion that the product covers.
    """
    masses = patch_masses(attention, grid)
    patch = int(masses.argmax())
    mass = float(masses.flat[patch])
    lift = mass * grid**2 * product_share
    return AttendedPatch(grid, patch, mass, lift) if lift >= least_lift else None


def restrict_to_product(attention: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Maps (..., h, w) weighted by the product's mask, foreground (h, w) in [0, 1], and normalised to sum to 1.

    A cell beside the product sees its outline and can predict its name, but shows no part of it.
    """
    kept = attention * (foreground + 1e-6)
    return kept / kept.sum(axis=(-2, -1), keepdims=True)


def patch_masses(attention: np.ndarray, grid: int) -> np.ndarray:
    """(..., h, w) -> (..., grid, grid): each patch's attention; cells across a border are divided by area."""
    rows, columns = (_overlap(side, grid) for side in attention.shape[-2:])
    return rows @ attention @ columns.T


@lru_cache
def _overlap(cells: int, grid: int) -> np.ndarray:
    """(grid, cells): the share of each cell that lies in each patch, along one side."""
    cell, patch = np.arange(cells) / cells, np.arange(grid)[:, None] / grid
    inside = np.minimum(cell + 1 / cells, patch + 1 / grid) - np.maximum(cell, patch)
    return np.clip(inside, 0, None) * cells
