"""Finding the product in its photo: a foreground mask and the box that locks the relevant portion (SEED: FIG. 4).

A detector is any callable from an RGB image to a foreground mask (H, W) in [0, 1]. The weight-free
``border_colour`` suits studio shots: the photo's border says what the background looks like.
"""

from __future__ import annotations

from collections.abc import Callable

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
    height, width, _ = pixels.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).astype(np.float32)
    border = np.ones((height, width), dtype=bool)
    border[2:-2, 2:-2] = False

    colours, design = pixels[border], terms[border]
    kept = np.abs(colours - np.median(colours, axis=0)).max(axis=1) < 0.25
    for _ in range(3):
        surface = np.linalg.lstsq(design[kept], colours[kept], rcond=None)[0]
        distance = np.abs(colours - design @ surface).max(axis=1)
        kept = distance <= max(THRESHOLD / 2, float(np.quantile(distance, 0.6)))
    distance = np.abs(pixels - np.clip(terms @ surface, 0, 1)).max(axis=2)
    mask = Image.fromarray((distance > THRESHOLD).astype(np.uint8) * 255)
    return np.asarray(mask.resize(image.size, Image.Resampling.NEAREST), dtype=np.float32) / 255


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
