"""The locked portion: the square around the product that a model sees (patent: FIG. 4)."""

from __future__ import annotations

from PIL import Image

from kaleidobert.vision.saliency.base import Box

WHITE = (255, 255, 255)


def photo_side(size: int) -> int:
    """The sides in pixels that a photo needs: a product of a third of it fills a locked portion of ``size`` pixels."""
    return 3 * size


def cut_locked_portion(
    image: Image.Image,
    box: Box,
    size: int,
    keep_aspect: bool,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """The locked portion as a square RGB image (size, size).

    With ``keep_aspect`` the box is widened to a square, white beyond the photo's edge, which preserves shapes.
    Otherwise the box itself is stretched, so that no patch lies outside it.
    """
    if keep_aspect:
        left, top, right, _ = locked_window(box, keep_aspect)
        side = right - left
        canvas = Image.new("RGB", (side, side), WHITE)
        canvas.paste(image, (-left, -top))
        image, box = canvas, (0, 0, side, side)
    return image.resize((size, size), resample, box=box)


def locked_window(box: Box, keep_aspect: bool) -> Box:
    """The area that the locked portion shows, in pixels of the photo. A widened box may extend beyond the photo."""
    if not keep_aspect:
        return box
    x1, y1, x2, y2 = box
    side = max(x2 - x1, y2 - y1)
    left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    return left, top, left + side, top + side
