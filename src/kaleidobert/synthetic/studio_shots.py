"""Products cut out of a catalogue's studio shots, whose background is known: one near-white colour.

A shot is left out where its mask would be uncertain: a product that touches the photo's edge (a worn garment is mostly
cut off there), one as white as its background, or a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from kaleidobert.data.readers import read_products, splits_of
from kaleidobert.errors import InputError
from kaleidobert.synthetic.fabric import Array
from kaleidobert.synthetic.surfaces import Surfaces, read_surfaces

BRIGHT = 0.9  # smallest value of each channel of a studio's background
BACKGROUND = 0.03  # distance from the background's colour up to which a pixel is background
FAINTEST = 0.1  # smallest such distance over which a soft edge extends
WEAK, MAX_WEAK = 0.1, 0.3  # an outline fainter than this, and the share of it that is accepted
MAX_TOUCHED = 0.01  # share of the photo's border that is not background
SMALLEST = 0.02  # share of the photo that a product covers at least
SKIN = (0.12, 0.6)  # shares of the colour of skin at which a product is a person; beyond, it is a brown shoe or bag
READ = 6000  # products that are cut out at most
MAGNIFIED = 600  # photos of which parts serve as surfaces


def studio_cut_outs(
    data: str | Path, splits: Sequence[str] = ("train",), categories: Sequence[str] = (), count: int = READ
) -> Iterator[tuple[Image.Image, str]]:
    """Up to ``count`` products as RGBA, cropped, with their category: the first views whose mask is certain.

    ``splits``: those of the source that are read, of the ones it has; the whole source if it has none.
    ``categories``: only these, of either rank; all if empty. Raises ``InputError`` if no photo is a studio shot.
    """
    found = 0
    present: list[str | None] = [split for split in splits if split in splits_of(data)]
    wanted = {name.casefold() for name in categories}
    for split in present or [None]:
        for product in read_products(data, split):
            if wanted and not wanted & {product.category.casefold(), product.subcategory.casefold()}:
                continue
            try:
                image = cut_out_of(product.open())
            except OSError:
                continue  # its header was fine, so `read_products` did not count it
            if image is not None:
                found += 1
                yield image, product.category
            if found == count:
                return
    if not found:
        raise InputError(
            f"{data}: no studio shots in it: photos of a whole product before one near-white colour"
            + (f", of {', '.join(categories)}" if categories else "")
        )


def sources(
    data: str | Path | None, surfaces: Path | None, seed: int = 0
) -> tuple[list[tuple[Image.Image, str]], Surfaces | None]:
    """What `composites` draws from beside its own garments and backgrounds.

    These are cut-outs from the train split of ``data``, and surfaces: the pictures in a folder, and parts of ``data``'s
    photos, magnified.
    """
    real = list(studio_cut_outs(data)) if data else []
    if not data and not surfaces:
        return real, None
    photos: list[Image.Image] = []
    if data:
        products = list(islice(read_products(data, "train" if "train" in splits_of(data) else None), 8 * MAGNIFIED))
        chosen = np.random.default_rng([seed, 3]).permutation(len(products))[:MAGNIFIED]
        photos = [products[index].open() for index in sorted(chosen)]
    return real, Surfaces(read_surfaces(surfaces) if surfaces else (), photos)


def cut_out_of(image: Image.Image) -> Image.Image | None:
    """The product of an RGB studio shot as RGBA, cropped to it, with soft edges; None where its mask is uncertain.

    Colours continue beyond the edge, so that no resampling mixes the background's white in.
    """
    alpha = product_mask(image)
    if alpha is None or not (solid := alpha > 0.9).any():
        return None
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    colours = np.asarray(image)[nearest[0], nearest[1]]  # of each pixel that is not solid, those of the nearest that is
    cut = Image.fromarray(np.dstack([colours, (alpha * 255 + 0.5).astype(np.uint8)]), "RGBA")
    return cut.crop(cut.getchannel("A").point(lambda value: 255 * (value > 127)).getbbox())


def product_mask(image: Image.Image) -> Array | None:
    """The mask (h, w) in [0, 1] of the product in an RGB studio shot, soft at its edge; None where it is uncertain."""
    pixels = np.asarray(image, np.float32) / np.float32(255)  # (h, w, 3)
    rows, columns = pixels[[0, 1, -2, -1]], pixels[:, [0, 1, -2, -1]]
    border = np.concatenate([rows.reshape(-1, 3), columns.reshape(-1, 3)])
    backdrop = np.median(border, axis=0)
    if backdrop.min() < BRIGHT or (np.abs(border - backdrop).max(axis=1) > BACKGROUND).mean() > MAX_TOUCHED:
        return None
    distance = np.abs(pixels - backdrop).max(axis=2)
    inside = _inside(distance)
    if inside.mean() < SMALLEST or not _clear(inside, distance):
        return None
    near_edge = inside & ndimage.binary_dilation(~inside, iterations=2)
    product = ndimage.maximum_filter(np.where(inside, distance, 0), 5)  # the distance of the product's own colour
    soft = np.clip((distance - BACKGROUND) / np.maximum(0.9 * product - BACKGROUND, FAINTEST), 0, 1)
    alpha = np.where(near_edge, soft, inside).astype(np.float32)
    return None if SKIN[0] < _skin(pixels)[inside].mean() < SKIN[1] else alpha


def _inside(distance: Array) -> np.ndarray:
    """The product (h, w) bool: what a flood from the border over the background's colour does not reach.

    Holes of exactly that colour, as in handles and frames, are background, unless the product itself is light.
    """
    pale = distance < BACKGROUND
    labels, _ = ndimage.label(pale)
    reached = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inside = ~np.isin(labels, reached[reached > 0])
    components, count = ndimage.label(inside, np.ones((3, 3)))
    areas = ndimage.sum_labels(inside, components, np.arange(1, count + 1))
    if not count:
        return inside
    inside &= np.concatenate([[False], areas >= 0.1 * areas.max()])[components]  # without specks
    if np.median(distance[inside]) > 0.3:
        holes = ndimage.binary_opening(inside & (distance < BACKGROUND / 2), np.ones((3, 3)))
        inside &= ~ndimage.binary_dilation(holes, iterations=1, mask=pale)
    return inside


def _clear(inside: np.ndarray, distance: Array) -> bool:
    """Whether little of the product's outline is as pale as the background."""
    outline = inside & ndimage.binary_dilation(~inside)
    contrast = ndimage.maximum_filter(np.where(inside, distance, 0), 5)[outline]
    return bool((contrast < WEAK).mean() < MAX_WEAK)


def _skin(pixels: Array) -> np.ndarray:
    """Pixels (h, w) bool of the colour of lit skin."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    warm = (red - green > 0.06) & (red - green < 0.32) & (green - blue > 0.02) & (green - blue < 0.3)
    return warm & (red > 0.55) & (red < 0.98)
