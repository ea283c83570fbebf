"""Foreground detectors, and the box around the product that their masks give (patent: FIG. 4).

A detector is any callable from an RGB image to a foreground mask (H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels, x2 and y2 exclusive
ForegroundDetector = Callable[[Image.Image], np.ndarray]

ANALYSIS_SIDE = 128  # pixels of the longer side at which masks are analysed
MIN_AREA_RATIO = 0.2  # smaller components, relative to the largest, are dropped; the second shoe of a pair is not


def whole_image(image: Image.Image) -> np.ndarray:
    """A mask of ones (H, W): no saliency detection, the whole photo is the product."""
    return np.ones((image.height, image.width), dtype=np.float32)


def detect(network: Callable[[np.ndarray], np.ndarray], side: int, image: Image.Image) -> np.ndarray:
    """Foreground mask (H, W) in [0, 1] of an RGB image, by a network: a photo (side, side, 3) uint8 -> (side, side)."""
    mask = network(resize_to_square(image, side))
    mask = mask * main_components(mask > 0.5)
    return np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.BILINEAR))


def resize_to_square(image: Image.Image, side: int) -> np.ndarray:
    """An RGB image as network input (side, side, 3) uint8; the aspect ratio is not preserved."""
    return np.array(image.resize((side, side), Image.Resampling.BILINEAR))


def locked_box(mask: np.ndarray, margin: float = 0.03, min_coverage: float = 0.005) -> tuple[Box, bool]:
    """The bounding box of a mask (H, W), and whether a product was found.

    ``margin`` is added on each side, as a fraction of the box's longer side. To ignore specks and soft shadows,
    rows (columns) with less than 2 % of the pixels of the mask's fullest row (column) do not count. If the mask
    covers less than ``min_coverage`` of the photo, the box is the whole image and the flag is False.
    """
    height, width = mask.shape
    salient = mask > 0.5
    if salient.mean() < min_coverage:
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


def main_components(salient: np.ndarray) -> np.ndarray:
    """Keep the largest component of a mask (H, W) bool and all others of at least `MIN_AREA_RATIO` of its area.

    Pieces closer than about 3 % of the photo count as one component, such as two halves of a product separated by
    a bright seam or a thin strap. A pair of shoes is kept, a distant speck is not. Only masks of learned detectors
    need this: ``border_colour`` often finds a white product on white in pieces, all of which belong to it.
    """
    height, width = salient.shape
    cell = -(-max(height, width) // ANALYSIS_SIDE)
    padded = np.pad(salient, ((0, -height % cell), (0, -width % cell)))
    coarse = padded.reshape(padded.shape[0] // cell, cell, -1, cell).sum(axis=(1, 3))  # salient pixels per cell
    reach = max(1, round(0.015 * max(coarse.shape)))
    near = ndimage.maximum_filter(coarse > 0, 2 * reach + 1, mode="constant")
    labels, count = ndimage.label(near)
    if count < 2:
        return salient
    areas = ndimage.sum_labels(coarse, labels, np.arange(1, count + 1))
    kept = np.concatenate([[False], areas >= MIN_AREA_RATIO * areas.max()])[labels]
    return salient & kept.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
