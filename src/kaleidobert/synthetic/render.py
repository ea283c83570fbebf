"""Renders a look as encoded views with their masks and the boxes of its parts."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kaleidobert.synthetic.camera import Camera
from kaleidobert.synthetic.fabric import Array
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import COARSE, SUPERSAMPLING, Box, Pen
from kaleidobert.synthetic.scene import BUSY, shadow, studio

JPEG_QUALITY = 90
FRAME = (3.0, 4.0)  # minimum width and height of a view in drawing units
DETAILS = ("neck", "pocket", "closure", "logo", "detail", "cuff", "belt", "strap", "heel", "hem", "accent", "laces")


@dataclass(frozen=True, slots=True)
class View:
    """One view: image as JPEG bytes, mask as PNG bytes, and each part's box in [0, 1] of the image."""

    image: bytes
    mask: bytes
    boxes: dict[str, Box]


def render(look: Look, rng: np.random.Generator, size: tuple[int, int], views: int) -> list[View]:
    """Up to ``views`` views: the front, then the back or the other side, then a close-up.

    There is no close-up if none of the parts could be shown with both product and background.
    """
    folds = Image.fromarray(rng.standard_normal((15, 20)).astype(np.float32))
    busy = int(rng.integers(len(BUSY))) if rng.random() < 0.25 else -1
    front = _place(look, rng, size, mirrored=False)
    pen = _draw(look, rng, size, front, folds, back=False)
    shots = [pen]
    if views > 1:
        shots.append(_draw(look, rng, size, _place(look, rng, size, mirrored=True), folds, back=True))
    if views > 2:
        window = _close_up(pen, front, rng)
        if window is not None:
            shots.append(_draw(look, rng, size, window, folds, back=False))
    return [_finish(look, rng, size, shot, busy, close=index == 2) for index, shot in enumerate(shots)]


def cut_out(look: Look, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The front view without background: RGBA of ``size`` (width, height)."""
    folds = Image.fromarray(rng.standard_normal((15, 20)).astype(np.float32))
    pen = _draw(look, rng, size, _place(look, rng, size, mirrored=False), folds, back=False)
    colour, cover = pen.image()
    straight = np.concatenate([colour / np.maximum(cover, 1e-3), cover[None]])  # the canvas is premultiplied
    pixels = (np.clip(straight, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _place(look: Look, rng: np.random.Generator, size: tuple[int, int], mirrored: bool) -> Camera:
    """A camera on the whole product with slight random shift, rotation and scale."""
    scale = min(size[0] / FRAME[0], size[1] / FRAME[1]) * SUPERSAMPLING
    scale *= look.kind.zoom * rng.uniform(0.92, 0.98)
    angle = np.radians(rng.uniform(-1.5, 1.5))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    shift = (rng.uniform(-0.03, 0.03), look.kind.y + rng.uniform(-0.03, 0.03))
    centre = np.array(size) * SUPERSAMPLING / 2
    return Camera(turn @ flip * scale, centre + np.array(shift) * scale)


def _draw(
    look: Look, rng: np.random.Generator, size: tuple[int, int], camera: Camera, folds: Image.Image, back: bool
) -> Pen:
    width, height = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    matrix = np.linalg.inv(camera.matrix)
    start = -matrix @ camera.origin
    cells = np.array([[20 / 4.6, 0], [0, 15 / 6.4]])  # the folds' grid covers 4.6 by 6.4 drawing units
    to_cells, corner = cells @ matrix, cells @ start + (10.0, 7.5)
    affine = (*to_cells[0] * COARSE, corner[0], *to_cells[1] * COARSE, corner[1])
    coarse = (-(-width // COARSE), -(-height // COARSE))
    drape = folds.transform(coarse, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    grain = (rng.random((height, width), dtype=np.float32) - 0.5) * np.float32(3.4)
    pen = Pen(size, camera, drape, grain)
    if look.get("second_colour") and look.get("pattern") == "solid":
        pen.accent = look.trim.colour
    look.kind.draw(pen, look, back)
    return pen


def _close_up(pen: Pen, camera: Camera, rng: np.random.Generator) -> Camera | None:
    """A camera close to one of the named parts, with both product and background in view."""
    parts = [name for name in DETAILS if name in pen.boxes]
    for index in rng.permutation(len(parts)):
        x1, y1, x2, y2 = pen.boxes[parts[index]]
        centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        for zoom in (2.4, 2.0, 1.7, 1.45):
            half = np.array([pen.width, pen.height]) / zoom / 2
            left, top = np.maximum(centre - half, 0).astype(int)
            right, bottom = (centre + half).astype(int)
            seen = pen.cover[top:bottom:4, left:right:4].sum() * 16 * zoom**2 / (pen.width * pen.height)
            if 0.20 < seen < 0.84:
                middle = np.array([pen.width, pen.height]) / 2
                return Camera(camera.matrix * zoom, middle + (camera.origin - centre) * zoom)
    return None


def _finish(look: Look, rng: np.random.Generator, size: tuple[int, int], pen: Pen, busy: int, close: bool) -> View:
    """Compose the drawing over a background and encode it."""
    colour, cover = pen.image()
    stands = look.kind.stands and not close
    behind: Array = studio(rng, size, stands) if busy < 0 else BUSY[busy](rng, size)
    behind = behind * (1 - shadow(cover, stands))
    picture = colour + behind * (1 - cover)
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    mask = Image.fromarray((np.clip(cover, 0, 1) * 255 + 0.5).astype(np.uint8))
    return View(
        _encoded(Image.fromarray(np.ascontiguousarray(pixels)), "JPEG"), _encoded(mask, "PNG"), _boxes(pen, mask)
    )


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=JPEG_QUALITY)
    return buffer.getvalue()


def _boxes(pen: Pen, mask: Image.Image) -> dict[str, Box]:
    """Boxes of the parts of which at least a third is visible, or which fill a tenth of the picture."""
    boxes = {}
    full = float(pen.width * pen.height)
    for name, (x1, y1, x2, y2) in pen.boxes.items():
        a1, b1, a2, b2 = pen.extents[name]
        seen, whole = (x2 - x1) * (y2 - y1), (a2 - a1) * (b2 - b1)
        if seen > whole / 3 or seen > full / 10:
            boxes[name] = (x1 / pen.width, y1 / pen.height, x2 / pen.width, y2 / pen.height)
    around = mask.point(lambda value: 255 if value > 127 else 0).getbbox()
    if around is not None:
        width, height = mask.size
        boxes["whole"] = (around[0] / width, around[1] / height, around[2] / width, around[3] / height)
    return boxes
