"""Draws shaded parts, seams and fittings onto a canvas and records their boxes."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kaleidobert.synthetic.camera import Camera
from kaleidobert.synthetic.fabric import MATERIALS, Array, Colour, Fabric
from kaleidobert.synthetic.shapes import Points, band, ellipse, part_of

SUPERSAMPLING = 2  # canvas pixels per image pixel and axis; edges are drawn at twice this
COARSE = 4  # canvas cells per cell of the grid on which light is computed, along each axis
Box = tuple[float, float, float, float]  # x1, y1, x2, y2
Cells = tuple[slice, slice, tuple[slice, slice]]  # rows and columns of the canvas; the same relative to a window

SILVER, GOLD = (0.74, 0.75, 0.78), (0.83, 0.68, 0.36)


class Pen:
    """A canvas of premultiplied colour (3, h, w) and coverage (h, w), and the boxes of the tags drawn on it.

    ``drape``: height of the cloth's folds, one float for COARSE x COARSE cells of the canvas. ``grain`` (h, w):
    speckle of unit variance. ``boxes``: each tag's visible extent in canvas pixels; ``extents``: its whole extent.
    """

    def __init__(self, size: tuple[int, int], camera: Camera, drape: Image.Image, grain: Array) -> None:
        self.width, self.height = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
        self.camera = camera
        self.colour = np.zeros((3, self.height, self.width), np.float32)
        self.cover = np.zeros((self.height, self.width), np.float32)
        self.drape = np.asarray(drape.resize((self.width, self.height), Image.Resampling.BILINEAR))
        self.slope = np.gradient(np.asarray(drape), axis=1) * (1.1 * camera.scale / 128)
        self.grain = grain
        self.accent: Colour | None = None  # parts of this colour are tagged "accent"
        self.boxes: dict[str, Box] = {}
        self.extents: dict[str, Box] = {}

    def placed(self, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> Pen:
        """A pen on the same canvas that draws at ``scale`` around (x, y)."""
        moved = copy.copy(self)
        moved.camera = self.camera.placed(scale, x, y)
        return moved

    def part(
        self,
        outline: Points,
        fabric: Fabric,
        tag: str = "",
        *,
        folds: Sequence[Points] = (),
        puff: float = 0.16,
        line: float = 0.38,
        lift: float = 0.0,
        turn: float = 0.0,
        shade: float = 1.0,
    ) -> None:
        """Draw a closed piece of a product.

        ``tag``: its names, separated by spaces; ``puff``: width of the rounded rim; ``line``: darkness of the contour;
        ``lift``: distance from the surface below, for its shadow; ``turn``: angle of its pattern in degrees;
        ``shade``: factor of its brightness.
        """
        points = self.camera.pixels(outline)
        reach = max(2.0, puff * self.camera.scale)
        window = self._window(points, int(reach) + 2)
        self._mark(tag, points)
        if fabric.colour == self.accent:
            self._mark("accent", points)
        if fabric.pattern == "colour-block" and "body" in tag and (outline[:, 1] > fabric.block).any():
            below = outline[outline[:, 1] > fabric.block]
            edge_of_block = np.array([[below[0, 0], fabric.block]])
            self._mark("accent", self.camera.pixels(np.vstack([below, edge_of_block])))
        if window is None:
            return
        x, y, width, height = window
        fine = Image.new("L", (width * 2, height * 2))
        ImageDraw.Draw(fine).polygon(((points - (x, y)) * 2).ravel().tolist(), fill=255)
        mask = fine.reduce(2)
        drawn = mask.getbbox()
        if drawn is None:
            return
        light = self._light(mask, (x, y), reach, folds, fabric)
        rows, columns, inside = self._overlap(window, drawn)
        contour = mask.filter(ImageFilter.BoxBlur(max(1.0, 0.016 * self.camera.scale)))
        cover = _unit(mask)[inside]
        edge = np.clip(1 - _unit(contour)[inside], 0, 0.5) * (2 * line)
        if lift > 0:
            self._cast(mask, window, lift * self.camera.scale)
        colour = self._surface(fabric, rows, columns, turn, light[inside] * shade, edge)
        self._blend(rows, columns, cover, colour)

    def stroke(
        self, points: Points, width: float = 0.014, dark: float = 0.32, colour: Colour | None = None, tag: str = ""
    ) -> None:
        """Draw a line along an open curve, which darkens the surface below or has its own ``colour``."""
        self._flat([band(points, width)], dark, colour, tag)

    def print(self, outline: Points, colour: Colour, tag: str = "") -> None:
        """A flat print on the surface."""
        self._flat([outline], 0.92, colour, tag)

    def stitch(self, points: Points, dark: float = 0.35, colour: Colour | None = None) -> None:
        """A dashed seam."""
        length = float(np.hypot(*np.diff(points, axis=0).T).sum())
        count = max(2, int(length / 0.055))
        fine = part_of(points, 0, 1, 3 * count + 1)
        dashes = [band(fine[start : start + 3], 0.016) for start in range(0, 3 * count, 3)]
        self._flat(dashes, dark, colour, "")

    def button(self, x: float, y: float, fabric: Fabric, radius: float = 0.042, tag: str = "closure") -> None:
        """A round button with two holes."""
        self.part(ellipse(x, y, radius, radius), fabric, tag, puff=radius, lift=0.02, line=0.6)
        holes = [ellipse(x + side * radius, y, radius * 0.18, radius * 0.18) for side in (-0.3, 0.3)]
        self._flat(holes, 0.7, None, "")

    def zip(self, points: Points, metal: Colour = SILVER, tag: str = "closure") -> None:
        """A zip with teeth and a puller at its first end."""
        self.stroke(points, 0.075, 0.35)
        self.stroke(points, 0.036, 1.0, metal, tag)
        self.stitch(points, 0.6)
        x, y = points[0]
        fabric = Fabric(metal, MATERIALS["metal"])
        self.part(ellipse(x, y + 0.07, 0.028, 0.075), fabric, tag, puff=0.03, lift=0.02, line=0.6)

    def image(self) -> tuple[Array, Array]:
        """Premultiplied colour (3, H, W) and cover (H, W) at the size of the image."""
        return _halved(self.colour), _halved(self.cover)

    # ---- implementation ----

    def _window(self, points: Points, margin: int) -> tuple[int, int, int, int] | None:
        """x, y, width and height of the canvas area around points; None if they are outside the canvas."""
        x1, y1 = (int(value) - 2 for value in points.min(axis=0))
        x2, y2 = (int(value) + 2 for value in points.max(axis=0))
        if x2 <= 0 or y2 <= 0 or x1 >= self.width or y1 >= self.height:
            return None
        x, y = (max(x1, 0) - margin) // COARSE * COARSE, (max(y1, 0) - margin) // COARSE * COARSE
        right, bottom = min(x2, self.width) + margin, min(y2, self.height) + margin
        return x, y, -(-(right - x) // COARSE) * COARSE, -(-(bottom - y) // COARSE) * COARSE

    def _overlap(self, window: tuple[int, int, int, int], drawn: tuple[int, int, int, int]) -> Cells:
        """Rows and columns of the box ``drawn``, given relative to a window: on the canvas, and within the window."""
        x, y = window[:2]
        rows = slice(max(y + drawn[1], 0), max(0, min(y + drawn[3], self.height)))
        columns = slice(max(x + drawn[0], 0), max(0, min(x + drawn[2], self.width)))
        return rows, columns, (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))

    def _light(
        self, mask: Image.Image, corner: tuple[int, int], reach: float, folds: Sequence[Points], fabric: Fabric
    ) -> Array:
        """Brightness (height, width) of a rounded piece lit from the upper left; 1 is neutral."""
        low = mask.reduce(COARSE)
        height = _unit(low.filter(ImageFilter.GaussianBlur(reach / COARSE * 0.6)))
        light = 0.84 + 0.17 * np.minimum(height * 1.25, 1)
        steep = reach / COARSE / 2
        light[:, 1:-1] += (0.34 * steep) * (height[:, 2:] - height[:, :-2])
        light[1:-1] += (0.42 * steep) * (height[2:] - height[:-2])
        rows = np.arange(corner[1] // COARSE, corner[1] // COARSE + low.height).clip(0, len(self.slope) - 1)
        columns = np.arange(corner[0] // COARSE, corner[0] // COARSE + low.width)
        columns = columns.clip(0, self.slope.shape[1] - 1)
        light += fabric.material.drape * self.slope[rows[:, None], columns]
        if folds:
            light += _creases(folds, self.camera, corner, low.size)
        light += fabric.material.gloss * 2.2 * np.clip(light - 0.98, 0, 1)
        image = Image.fromarray(light.astype(np.float32)).resize(mask.size, Image.Resampling.BILINEAR)
        return np.asarray(image)

    def _surface(self, fabric: Fabric, rows: slice, columns: slice, turn: float, light: Array, edge: Array) -> Array:
        """Colour (3, h, w) of the fabric's pattern and weave under this light."""
        material = fabric.material
        texture = 1 + material.grain * self.grain[rows, columns]
        if fabric.pattern != "solid" or material.weave is not None:
            u, v = self._coordinates(rows, columns, turn)
            colour = fabric.paint(u, v)
            if material.weave is not None:
                texture += 0.035 * material.weave(u, v)
        else:
            colour = np.array(fabric.colour, np.float32)[:, None, None]
        light = light * texture
        inked = 1 - edge
        highlight = np.maximum(light - 1, 0) * inked
        lit = colour * (np.minimum(light, 1) * inked + 0.5 * highlight)
        lit += 0.28 * highlight
        return lit

    def _coordinates(self, rows: slice, columns: slice, turn: float) -> tuple[Array, Array]:
        """Each cell's coordinates on the fabric in drawing units, distorted by the folds: two arrays (h, w)."""
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        angle = np.radians(turn)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        to_units = (rotation @ np.linalg.inv(self.camera.matrix)).astype(np.float32)
        x, y = x - np.float32(self.camera.origin[0]), y - np.float32(self.camera.origin[1])
        fall = self.drape[rows, columns] * np.float32(0.008)
        u, v = to_units[0, 0] * x + to_units[0, 1] * y, to_units[1, 0] * x + to_units[1, 1] * y
        return u + fall, v + fall

    def _cast(self, mask: Image.Image, window: tuple[int, int, int, int], distance: float) -> None:
        """Draw the soft shadow of a raised piece on the canvas."""
        soft = mask.filter(ImageFilter.BoxBlur(max(1.0, distance)))
        x, y, width, height = window
        shift = max(1, round(distance * 0.7))
        moved = (x + shift // 2, y + shift, width, height)
        rows, columns, inside = self._overlap(moved, (0, 0, width, height))
        self.colour[:, rows, columns] *= 1 - 0.42 * _unit(soft)[inside]

    def _flat(self, outlines: Sequence[Points], dark: float, colour: Colour | None, tag: str) -> None:
        """Draw pieces of uniform colour: a line, dashes, holes, a print."""
        pieces = [self.camera.pixels(outline) for outline in outlines]
        points = np.concatenate(pieces)
        window = self._window(points, 1)
        self._mark(tag, points)
        if colour is not None and colour == self.accent:
            self._mark("accent", points)
        if window is None:
            return
        x, y, width, height = window
        fine = Image.new("L", (width * 2, height * 2))
        draw = ImageDraw.Draw(fine)
        for piece in pieces:
            draw.polygon(((piece - (x, y)) * 2).ravel().tolist(), fill=255)
        rows, columns, inside = self._overlap(window, (0, 0, width, height))
        cover = _unit(fine.reduce(2))[inside] * np.float32(dark)
        if colour is None:
            self.colour[:, rows, columns] *= 1 - cover
        else:
            self._blend(rows, columns, cover, np.array(colour, np.float32)[:, None, None])

    def _blend(self, rows: slice, columns: slice, cover: Array, colour: Array) -> None:
        below, covered = self.colour[:, rows, columns], self.cover[rows, columns]
        below += (colour - below) * cover
        covered += (1 - covered) * cover

    def _mark(self, tag: str, points: Points) -> None:
        """Extend the boxes of every name in ``tag`` by these canvas points."""
        x1, y1 = (float(value) for value in points.min(axis=0))
        x2, y2 = (float(value) for value in points.max(axis=0))
        for name in tag.split():
            self.extents[name] = _union(self.extents.get(name), (x1, y1, x2, y2))
            seen = (max(x1, 0.0), max(y1, 0.0), min(x2, float(self.width)), min(y2, float(self.height)))
            if seen[0] < seen[2] and seen[1] < seen[3]:
                self.boxes[name] = _union(self.boxes.get(name), seen)


def _union(old: Box | None, new: Box) -> Box:
    if old is None:
        return new
    return min(old[0], new[0]), min(old[1], new[1]), max(old[2], new[2]), max(old[3], new[3])


def _halved(canvas: Array) -> Array:
    """The means of 2 x 2 cells (SUPERSAMPLING) over the last two axes."""
    rows = canvas[..., 0::2, :] + canvas[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) * np.float32(0.25)


def _unit(image: Image.Image) -> Array:
    """An 8-bit image as (h, w) in [0, 1]."""
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _creases(folds: Sequence[Points], camera: Camera, corner: tuple[int, int], size: tuple[int, int]) -> Array:
    """Light (h, w) added by folds: a shadow with a lit flank to its upper left."""
    relief = Image.new("L", (size[0] * 2, size[1] * 2), 128)  # supersampled for smooth edges
    draw = ImageDraw.Draw(relief)
    for fold in folds:
        points = (camera.pixels(fold) - corner) * (2 / COARSE)
        flank = points - 0.07 * camera.scale / COARSE
        draw.polygon(flank.ravel().tolist(), fill=148)
        draw.polygon(points.ravel().tolist(), fill=82)
    soft = relief.reduce(2).filter(ImageFilter.GaussianBlur(max(0.6, 0.022 * camera.scale / COARSE)))
    return (np.asarray(soft, np.float32) - np.float32(128)) / np.float32(150)
