"""Drawn models: skin, hair and other clothes around a garment that is worn.

None of this is the product. Hair and forearms in front of the garment cover a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

SKIN: tuple[Colour, ...] = (
    (244, 214, 190),
    (232, 190, 160),
    (214, 164, 128),
    (178, 124, 90),
    (128, 84, 60),
    (84, 56, 44),
)
HAIR: tuple[Colour, ...] = ((28, 24, 24), (52, 36, 28), (96, 62, 38), (160, 112, 60), (206, 170, 110), (130, 48, 30))
WORN_ABOVE_LEGS = ("Tops", "Outerwear", "Dresses")


@dataclass(frozen=True)
class Worn:
    """A worn garment: RGBA layers of equal size, to be composed in this order."""

    behind: Image.Image
    garment: Image.Image
    before: Image.Image


def on_a_model(garment: Image.Image, category: str, rng: np.random.Generator) -> Worn:
    """A garment's cut-out (RGBA) worn by a drawn model with random skin and hair; the layers are larger than it."""
    x1, y1, x2, y2 = garment.getchannel("A").point(lambda value: 255 if value > 127 else 0).getbbox() or (0, 0, 1, 1)
    width, height = x2 - x1, y2 - y1
    left, top = int(0.25 * width) + 8, int(0.9 * max(width, height))
    size = (width + 2 * left, height + top + int(1.1 * height))
    layers = [Image.new("RGBA", size) for _ in range(3)]
    layers[1].paste(garment.crop((x1, y1, x2, y2)), (left, top))
    body = _Body(rng, layers[1].getchannel("A"), (left, top, left + width, top + height))
    behind, before = ImageDraw.Draw(layers[0]), ImageDraw.Draw(layers[2])
    if category in WORN_ABOVE_LEGS:
        body.legs(behind, covered=category != "Dresses")
        body.arms(behind)
        body.head(behind, before)
        if rng.random() < 0.25:
            body.forearm(before)
    else:
        body.upper_half(behind)
        body.feet(behind)
    soft = ImageFilter.GaussianBlur(0.6)
    return Worn(_shaded(layers[0], rng).filter(soft), layers[1], _shaded(layers[2], rng).filter(soft))


class _Body:
    """Draws the parts of a person around a garment's box (x1, y1, x2, y2) in its layer."""

    def __init__(self, rng: np.random.Generator, cover: Image.Image, box: tuple[int, int, int, int]) -> None:
        self.rng = rng
        self.cover = np.asarray(cover) > 127
        self.x1, self.y1, self.x2, self.y2 = box
        self.middle = (self.x1 + self.x2) / 2
        self.unit = min(self.x2 - self.x1, 0.9 * (self.y2 - self.y1))  # about the width of a garment with its arms
        self.skin = _varied(SKIN, rng)
        self.hair = _varied(HAIR, rng)

    def head(self, behind: ImageDraw.ImageDraw, before: ImageDraw.ImageDraw) -> None:
        rng, x = self.rng, self.middle + self.rng.normal() * 0.02 * self.unit
        wide = self.unit * rng.uniform(0.105, 0.14)
        tall = wide * rng.uniform(1.25, 1.45)
        neck_end = self.y1 + 0.14 * self.unit
        chin = self.y1 - self.unit * rng.uniform(0.03, 0.1)
        face = (x - wide, chin - 2 * tall, x + wide, chin)
        long_hair = rng.random() < 0.45
        if long_hair:
            fall = self.y1 + self.unit * rng.uniform(0.0, 0.35)
            behind.rounded_rectangle((x - 1.5 * wide, chin - 1.8 * tall, x + 1.5 * wide, fall), wide, self.hair)
        behind.ellipse((x - 1.15 * wide, chin - 2.25 * tall, x + 1.15 * wide, chin - 0.5 * tall), self.hair)
        behind.rectangle((x - 0.55 * wide, chin - tall, x + 0.55 * wide, neck_end), _darker(self.skin, 0.88))
        behind.ellipse(face, self.skin)
        behind.chord((x - 1.05 * wide, chin - 2.2 * tall, x + 1.05 * wide, chin - 0.7 * tall), 180, 360, self.hair)
        for side in (-0.42, 0.42):
            eye = (x + side * wide - 0.16 * wide, chin - 1.12 * tall, x + side * wide + 0.16 * wide, chin - tall)
            behind.ellipse(eye, _darker(self.hair, 0.6))
        behind.line((x - 0.3 * wide, chin - 0.42 * tall, x + 0.3 * wide, chin - 0.42 * tall), (170, 84, 80), 2)
        if long_hair and rng.random() < 0.5:
            for side in (-1, 1):
                lock = (
                    x + side * 1.2 * wide,
                    chin - tall,
                    x + side * 1.2 * wide,
                    self.y1 + self.unit * rng.uniform(0.1, 0.4),
                )
                before.line(lock, self.hair, max(2, int(0.5 * wide)))

    def arms(self, behind: ImageDraw.ImageDraw) -> None:
        """Arms from the shoulders through the sleeves, with hands."""
        shoulder_y = self.y1 + 0.16 * self.unit
        thick = self.unit * self.rng.uniform(0.075, 0.105)
        for side, edge in ((-1, self.x1), (1, self.x2)):
            column = int(edge if side < 0 else edge - 1)
            rows = np.flatnonzero(self.cover[:, column - 2 : column + 3].any(axis=1))
            tip = (float(edge) - side * thick * 0.7, float(rows.mean()) if len(rows) else self.y1 + 0.4 * self.unit)
            shoulder = (self.middle + side * 0.3 * self.unit, shoulder_y)
            reach = max(0.0, self.y1 + self.rng.uniform(0.85, 1.15) * self.unit - tip[1])
            hand = (tip[0] - side * self.rng.uniform(-0.05, 0.2) * reach, tip[1] + reach)
            behind.line([shoulder, tip, hand], self.skin, int(thick), joint="curve")
            _disc(behind, hand, 0.75 * thick, self.skin)

    def forearm(self, before: ImageDraw.ImageDraw) -> None:
        """A bare forearm across the garment."""
        side, thick = self.rng.choice((-1, 1)), self.unit * self.rng.uniform(0.07, 0.1)
        elbow = (self.middle + side * 0.4 * self.unit, self.y1 + self.unit * self.rng.uniform(0.5, 0.75))
        hand = (
            self.middle - side * self.unit * self.rng.uniform(-0.2, 0.15),
            elbow[1] + self.unit * self.rng.uniform(-0.15, 0.2),
        )
        before.line([elbow, hand], self.skin, int(thick))
        _disc(before, hand, 0.7 * thick, self.skin)

    def legs(self, behind: ImageDraw.ImageDraw, covered: bool) -> None:
        """Below the hem: trousers, a skirt, or bare legs."""
        colour = _cloth_colour(self.rng) if covered else self.skin
        hem = self.y2 - 0.12 * self.unit
        end = self.y2 + 1.05 * (self.y2 - self.y1)
        rows = np.flatnonzero(self.cover[int(self.y2) - 4])
        half = min(0.5 * (rows.max() - rows.min()) if len(rows) else 0.2 * self.unit, 0.36 * self.unit)
        half = max(half * 0.92, 0.12 * self.unit)
        if covered and self.rng.random() < 0.15:
            flare = half * self.rng.uniform(1, 1.5)
            corners = [
                (self.middle - half, hem),
                (self.middle + half, hem),
                (self.middle + flare, hem + self.unit * 0.8),
            ]
            behind.polygon([*corners, (self.middle - flare, hem + self.unit * 0.8)], colour)
            return
        foot = half * self.rng.uniform(0.5, 0.9)
        for side in (-1, 1):
            inner, width = self.middle + side * 0.02 * self.unit, foot * (0.95 if covered else 0.6)
            corners = [(inner, hem), (self.middle + side * half, hem), (inner + side * (width + 0.1 * foot), end)]
            behind.polygon([*corners, (inner + side * 0.1 * foot, end)], colour)
        if covered:
            behind.rectangle((self.middle - half, hem - 2, self.middle + half, hem + 0.25 * half), colour)
            behind.line((self.middle, hem, self.middle, end), _darker(colour, 0.75), 2)

    def upper_half(self, behind: ImageDraw.ImageDraw) -> None:
        """Above trousers or a skirt: a shirt, arms at its sides, and the visible part of the head."""
        colour, waist = _cloth_colour(self.rng), self.y1 + 0.06 * self.unit
        half = 0.5 * self.unit * self.rng.uniform(0.8, 1.0)
        shoulder = waist - 1.25 * self.unit
        shirt = [(self.middle - 1.15 * half, shoulder), (self.middle + 1.15 * half, shoulder)]
        behind.polygon([*shirt, (self.middle + half, waist + 4), (self.middle - half, waist + 4)], colour)
        for side in (-1, 1):
            top, wrist = (
                (self.middle + side * 1.2 * half, shoulder + 6),
                (self.middle + side * 1.5 * half, waist + 0.25 * self.unit),
            )
            elbow = ((top[0] + wrist[0]) / 2 + side * 6, (top[1] + wrist[1]) / 2)
            behind.line([elbow, wrist], self.skin, max(3, int(0.22 * half)))
            behind.line([top, elbow], colour, max(4, int(0.3 * half)))
            _disc(behind, wrist, 0.16 * half, self.skin)

    def feet(self, behind: ImageDraw.ImageDraw) -> None:
        """Below the garment: shins and shoes."""
        colour = _cloth_colour(self.rng)
        for side in (-1, 1):
            x = self.middle + side * self.unit * self.rng.uniform(0.16, 0.26)
            down = self.y2 + self.unit * self.rng.uniform(0.03, 0.5)
            thick = 0.09 * self.unit
            behind.line([(x, self.y2 - 0.3 * self.unit), (x, down)], self.skin, max(3, int(1.4 * thick)))
            behind.ellipse((x - thick - side * 2, down - thick, x + thick * 1.6, down + 0.8 * thick), colour)


def _disc(draw: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    draw.ellipse((centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), colour)


def _varied(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return _darker(colours[int(rng.integers(len(colours)))], rng.uniform(0.85, 1.05))


def _cloth_colour(rng: np.random.Generator) -> Colour:
    """Often denim, black, grey or white, otherwise any colour."""
    usual: tuple[Colour, ...] = (
        (58, 76, 112),
        (36, 44, 64),
        (24, 24, 26),
        (90, 90, 96),
        (226, 224, 220),
        (150, 134, 108),
    )
    if rng.random() < 0.7:
        return _varied(usual, rng)
    red, green, blue = (int(value) for value in rng.integers(20, 250, 3))
    return red, green, blue


def _darker(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue


def _shaded(layer: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The layer with soft light and shade, so that skin and cloth do not look flat."""
    coarse = Image.fromarray((128 + 26 * rng.standard_normal((9, 7))).clip(0, 255).astype(np.uint8))
    light = np.asarray(coarse.resize(layer.size, Image.Resampling.BICUBIC), np.float32)[..., None] / 128
    pixels = np.asarray(layer, np.float32)
    inner = np.asarray(layer.getchannel("A").filter(ImageFilter.GaussianBlur(5)), np.float32)[..., None] / 255
    lit = pixels[..., :3] * (0.4 + 0.6 * light) * (0.72 + 0.28 * inner)
    return Image.fromarray(np.concatenate([lit.clip(0, 255), pixels[..., 3:]], axis=2).astype(np.uint8))
