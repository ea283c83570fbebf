"""Finding the product in its photo: a foreground mask and the box that locks the relevant portion (SEED: FIG. 4).

A detector is any callable from an RGB image to a foreground mask (H, W) in [0, 1]; `detector` finds one by name.
The weight-free ``border_colour`` suits studio shots: the photo's border says what the background looks like. The
``network`` (see `vision.saliency.network`) also knows a product from a busy background and from who wears it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from kaleidobert.errors import InputError

Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels, x2 and y2 exclusive
ForegroundDetector = Callable[[Image.Image], np.ndarray]

ANALYSIS_SIDE = 128  # masks are found at this resolution at most
MAIN_SHARE = 0.2  # of the largest component's area, from which another one is product, too: the second shoe
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


def network(image: Image.Image) -> np.ndarray:
    """Foreground mask (H, W) in [0, 1] by the network whose weights come with the package."""
    from kaleidobert.vision.saliency.network import SHIPPED

    return _from_weights(SHIPPED)(image)


DETECTORS: dict[str, ForegroundDetector] = {"border-colour": border_colour, "network": network, "none": whole_image}


def check_detector(name: str) -> None:
    """Raise ``InputError`` for what can be no detector; whether a checkpoint's name exists is seen on loading."""
    if name not in DETECTORS and "/" not in name and not Path(name).exists():
        raise InputError(
            f"no saliency detector {name!r}; use one of {', '.join(DETECTORS)}, weights written by "
            "`kaleidobert saliency`, or a segmentation checkpoint as a folder or owner/name"
        )


@lru_cache(maxsize=8)
def detector(name: str) -> ForegroundDetector:
    """The detector of this name, loaded once a process: one of `DETECTORS`, a file of weights that
    ``kaleidobert saliency`` wrote, or any `transformers` segmentation checkpoint by name or folder.

    Raises ``InputError`` where there is none. What it returns can be called from several threads.
    """
    check_detector(name)
    if name in DETECTORS:
        return DETECTORS[name]
    if Path(name).suffix == ".safetensors":
        return _from_weights(Path(name))
    from kaleidobert.vision.saliency.segmentation import SegmentationDetector

    return SegmentationDetector.load(name)


@lru_cache(maxsize=8)
def _from_weights(path: Path) -> ForegroundDetector:
    from kaleidobert.vision.saliency.network import NetworkDetector

    return NetworkDetector.load(path)


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


def main_components(salient: np.ndarray) -> np.ndarray:
    """The largest component of a mask (H, W) bool, and every other of at least `MAIN_SHARE` of its area.

    Pieces less than about 3 % of the photo apart are one component: the halves of a product that a bright seam or
    a thin strap parts. So a pair of shoes stays a pair, and a far speck goes. Masks of learned detectors are cleaned
    so; those of ``border_colour`` are not, as of a white product on white it finds but pieces, all of them product.
    """
    height, width = salient.shape
    cell = -(-max(height, width) // ANALYSIS_SIDE)
    padded = np.pad(salient, ((0, -height % cell), (0, -width % cell)))
    coarse = padded.reshape(padded.shape[0] // cell, cell, -1, cell).sum(axis=(1, 3))  # salient pixels a cell
    reach = max(1, round(0.015 * max(coarse.shape)))
    near = ndimage.maximum_filter(coarse > 0, 2 * reach + 1, mode="constant")
    labels, count = ndimage.label(near)
    if count < 2:
        return salient
    areas = ndimage.sum_labels(coarse, labels, np.arange(1, count + 1))
    kept = np.concatenate([[False], areas >= MAIN_SHARE * areas.max()])[labels]
    return salient & kept.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
