"""From an attention map to the patches it points at (SEED: FIG. 5, attention map to image patch alignment 508).

Maps lie over the locked portion, as the captioner saw nothing else, so a map's cell and a grid's patch share
their coordinates: [0, 1] of the portion, whatever the map's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True, slots=True)
class Pointer:
    """A patch (row by row in its n x n ``grid``) and the share ``mass`` of the attention that lies in it.

    ``lift``: how many times what the patch would have were the attention even over the product.
    """

    grid: int
    patch: int
    mass: float
    lift: float


def point(attention: np.ndarray, grid: int, least_lift: float, product: float = 1.0) -> Pointer | None:
    """The patch with the most attention of a map (h, w) that sums to 1; None where the map is too even.

    ``least_lift``: the lift that the patch must have. ``product``: the share of the portion that is product.
    """
    masses = patch_masses(attention, grid)
    patch = int(masses.argmax())
    mass = float(masses.flat[patch])
    pointer = Pointer(grid, patch, mass, mass * grid**2 * product)
    return pointer if pointer.lift >= least_lift else None


def on_product(attention: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Maps (..., h, w) with what lies beside the product, foreground (h, w) in [0, 1], taken away; they sum to 1.

    A cell beside the product sees its outline, and so can say what it is, but it shows nothing of it.
    """
    kept = attention * (foreground + 1e-6)
    return kept / kept.sum(axis=(-2, -1), keepdims=True)


def patch_masses(attention: np.ndarray, grid: int) -> np.ndarray:
    """(..., h, w) -> (..., grid, grid): what lies in each patch, cells on a border shared by area; sums stay."""
    rows, columns = (_overlap(side, grid) for side in attention.shape[-2:])
    return rows @ attention @ columns.T


@lru_cache
def _overlap(cells: int, grid: int) -> np.ndarray:
    """(grid, cells): the share of each cell that lies in each patch along one side."""
    cell, patch = np.arange(cells) / cells, np.arange(grid)[:, None] / grid
    inside = np.minimum(cell + 1 / cells, patch + 1 / grid) - np.maximum(cell, patch)
    return np.clip(inside, 0, None) * cells
