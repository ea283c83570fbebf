"""Finding the product in its photo: a foreground mask and the box that locks the relevant portion (SEED: FIG. 4).

A detector is any callable from an RGB image to a foreground mask (H, W) in [0, 1]. The weight-free
``border_colour`` suits studio shots: the photo's border says what the background looks like.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels, x2 and y2 exclusive
ForegroundDetector = Callable[[Image.Image], np.ndarray]

ANALYSIS_SIDE = 128  # masks are found at this resolution at most
THRESHOLD = 0.08  # smallest colour distance, of a [0, 1] RGB cube, that counts as not background


def border_colour(image: Image.Image) -> np.ndarray:
    """Foreground mask (H, W) in {0, 1}: pixels that differ from the background that the border shows.

    The background is a quadratic surface a channel, fitted to the border's pixels with outliers (a product
    that touches the edge) dropped in three rounds, so grey gradients of studio shots count as background.
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
    """The terms (h, w, 6) of a quadratic surface, and which pixels (h, w) are the border: two at each side."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    border = np.ones((height, width), dtype=bool)
    border[2:-2, 2:-2] = False
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1), border


def _fit_background(colours: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Surface (6, 3) through the border's colours (n, 3) at terms (n, 6), without those that lie far off it."""
    kept = np.abs(colours - np.median(colours, axis=0)).max(axis=1) < 0.25
    ridge = 1e-3 * np.eye(6, dtype=np.float32)  # a photo of a few pixels does not determine all six
    for _ in range(3):
        inside = terms[kept]
        surface = np.linalg.solve(inside.T @ inside + ridge, inside.T @ colours[kept])
        distance = np.abs(colours - terms @ surface).max(axis=1)
        kept = distance <= max(THRESHOLD / 2, float(np.quantile(distance, 0.6)))
    return surface


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The mask (h, w) bool without pixels that have no neighbour in it: JPEG ringing around the product.

    Each could widen the box of a small photo, whose densest column is too short for the 2 % of `locked_box`.
    """
    padded = np.pad(mask, 1).view(np.uint8)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return mask & (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] > 1)


def whole_image(image: Image.Image) -> np.ndarray:
    """Mask of ones (H, W): no saliency, the whole photo is locked."""
    return np.ones((image.height, image.width), dtype=np.float32)


DETECTORS: dict[str, ForegroundDetector] = {"border-colour": border_colour, "none": whole_image}


def locked_box(mask: np.ndarray, margin: float = 0.03, least: float = 0.005) -> tuple[Box, bool]:
    """The box around a mask (H, W), with a margin (share of the box's longer side), and whether one was found.

    Rows and columns with less than 2 % of the mask's own densest row or column do not count (specks, soft
    shadows). A mask that covers less than ``least`` of the photo locks the whole image instead: (box, False).
    """
    height, width = mask.shape
    salient = mask > 0.5
    if salient.mean() < least:
        return (0, 0, width, height), False
    columns, rows = salient.sum(axis=0), salient.sum(axis=1)
    x = np.flatnonzero(columns > 0.02 * columns.max())
    y = np.flatnonzero(rows > 0.02 * rows.max())
    pad = round(margin * max(x[-1] - x[0] + 1, y[-1] - y[0] + 1))
    return (
        max(0, int(x[0]) - pad),
        max(0, int(y[0]) - pad),
        min(width, int(x[-1]) + 1 + pad),
        min(height, int(y[-1]) + 1 + pad),
    ), True
