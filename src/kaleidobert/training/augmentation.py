"""Augmentation of a batch of locked portions; all random numbers come from the given generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard


def draw_sides(rng: np.random.Generator, batch: int) -> np.ndarray:
    """(B,) random signs: -1 for a photo that is mirrored, 1 for one that is not."""
    return rng.choice(np.asarray([-1, 1], dtype=np.float32), batch)


def augment(
    pixels: Tensor, rng: np.random.Generator, strength: float = 1.0, shard: BatchShard = WHOLE_BATCH
) -> tuple[Tensor, np.ndarray]:
    """Random shift, scale, rotation, flip, contrast and brightness: (B, 3, S, S) in [0, 1] -> the same shape.

    Also returns which photos are mirrored (B,) bool. ``strength`` 0 only flips, without resampling. The area around a
    photo is white, as in a studio shot. For one process's ``shard`` of a batch, pixels are its own rows (b, 3, S, S);
    random numbers are drawn for the whole batch, whose mirrored photos (B,) are returned.
    """
    whole = len(pixels) * shard.processes
    sides = draw_sides(rng, whole)
    flip = torch.from_numpy(sides)[shard.rows]
    if not strength:
        return torch.where(flip.view(-1, 1, 1, 1) < 0, pixels.flip(-1), pixels), sides < 0

    def draw(low: float, high: float) -> Tensor:
        return strength * torch.from_numpy(rng.uniform(low, high, whole).astype(np.float32))[shard.rows]

    scale, angle = 1 + draw(-0.15, 0.1), draw(-0.15, 0.15)
    transform = torch.zeros(len(pixels), 2, 3)
    transform[:, 0, 0], transform[:, 0, 1] = scale * angle.cos() * flip, -scale * angle.sin() * flip
    transform[:, 1, 0], transform[:, 1, 1] = scale * angle.sin(), scale * angle.cos()
    transform[:, 0, 2], transform[:, 1, 2] = draw(-0.1, 0.1), draw(-0.1, 0.1)
    grid = F.affine_grid(transform, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels - 1, grid, align_corners=False) + 1
    contrast, brightness = 1 + draw(-0.1, 0.1).view(-1, 1, 1, 1), draw(-0.03, 0.03).view(-1, 1, 1, 1)
    return (moved * contrast + brightness).clamp(0, 1), sides < 0
