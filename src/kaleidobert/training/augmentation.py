"""Augmentation of locked portions: random numbers are drawn for each photo, and applied to a batch on any device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# Limits at strength 1 of: scale, angle in radians, shift in halves of the side (x, y), contrast, brightness.
LOW = np.array([-0.15, -0.15, -0.1, -0.1, -0.1, -0.03])
HIGH = np.array([0.1, 0.15, 0.1, 0.1, 0.1, 0.03])


def draw_augmentation(rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """The random numbers (7,) of one photo, for `augment`; (1,) with a ``strength`` of 0, which only flips.

    The first is -1 if the photo is mirrored, else 1.
    """
    side = rng.choice((-1.0, 1.0))
    moves = strength * rng.uniform(LOW, HIGH) if strength else ()
    return np.array([side, *moves], dtype=np.float32)


def augment(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Shift, scale, turn, mirror and light photos (B, 3, S, S) in [0, 1] -> the same shape.

    drawn (B, 7) or (B, 1): `draw_augmentation`; with one number a photo is not resampled. The area around a photo is
    white, as in a studio shot.
    """
    side = drawn[:, 0]
    if drawn.shape[1] == 1:
        return torch.where(side.view(-1, 1, 1, 1) < 0, pixels.flip(-1), pixels)
    scale, angle, across, down, contrast, brightness = drawn[:, 1:].unbind(dim=1)
    cos, sin = (1 + scale) * angle.cos(), (1 + scale) * angle.sin()
    rows = [torch.stack([cos * side, -sin * side, across], dim=1), torch.stack([sin, cos, down], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels - 1, grid, align_corners=False) + 1
    lit = moved * (1 + contrast.view(-1, 1, 1, 1)) + brightness.view(-1, 1, 1, 1)
    return lit.clamp(0, 1)
