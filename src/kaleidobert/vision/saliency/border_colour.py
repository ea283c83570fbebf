"""A weight-free foreground detector for studio shots: the colours along the photo's border model the background."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from kaleidobert.vision.saliency.base import ANALYSIS_SIDE

THRESHOLD = 0.08  # smallest colour distance from the background, per channel in [0, 1], that counts as foreground


def border_colour(image: Image.Image) -> np.ndarray:
    """Foreground mask (H, W) in {0, 1}: pixels that differ from the background model.

    The background is one quadratic surface per channel, so that the grey gradients of studio shots count as
    background. It is fitted to the border's pixels in three rounds, each of which drops the outliers of the one
    before: products that touch the photo's edge.
    """
    scale = min(1.0, ANALYSIS_SIDE / max(image.size))
    small = image.resize([max(2, round(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    pixels = np.asarray(small, dtype=np.float32) / 255  # (h, w, 3)
    terms, border = _surface_terms(*pixels.shape[:2])
    surface = _fit_background(pixels[border], terms[border])
    distance = np.abs(pixels - np.clip(terms @ surface, 0, 1)).max(axis=2)
    mask = Image.fromarray(_without_specks(distance > THRESHOLD).astype(np.uint8) * 255)
    return np.asarray(mask.resize(image.size, Image.Resampling.NEAREST), dtype=np.float32) / 255


@lru_cache(maxsize=16)
def _surface_terms(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The terms (h, w, 6) of a quadratic surface, and the border (h, w) bool: the outer two pixels on each side."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    border = np.ones((height, width), dtype=bool)
    border[2:-2, 2:-2] = False
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1), border


def _fit_background(colours: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Robust least-squares surface (6, 3) through the border's colours (n, 3), given its terms (n, 6)."""
    kept = np.abs(colours - np.median(colours, axis=0)).max(axis=1) < 0.25
    ridge = 1e-3 * np.eye(6, dtype=np.float32)  # a photo of a few pixels does not determine all six coefficients
    for _ in range(3):
        inliers = terms[kept]
        surface = np.linalg.solve(inliers.T @ inliers + ridge, inliers.T @ colours[kept])
        distance = np.abs(colours - terms @ surface).max(axis=1)
        kept = distance <= max(THRESHOLD / 2, float(np.quantile(distance, 0.6)))
    return surface


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The mask (h, w) bool without isolated pixels: JPEG ringing around the product.

    In a small photo a single pixel can exceed the 2 % of `locked_box` and widen the box.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return mask & (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] > 1)
