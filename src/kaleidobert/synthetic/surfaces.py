"""Surfaces that products lie on: cut from photographs, from magnified catalogue photos, or drawn; with seams and folds.

Half of all pictures join two surfaces along a seam, an arc or a strip, and some of them fall in folds: a network that
sees only one even surface at a time takes the second one for the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.synthetic.backgrounds import varied
from kaleidobert.synthetic.fabric import Array
from kaleidobert.synthetic.scene import Size

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tga", ".bmp")
SMALLEST, LARGEST = 64, 512  # pixels of a picture's shorter side that is used, and of one kept in memory
KINDS = {"pictures": 0.5, "magnified": 0.1, "drawn": 0.4}  # shares, of those at hand


@dataclass
class Surfaces:
    """``pictures``: photographs of surfaces. ``photos``: catalogue photos, magnified parts of which serve as cloth."""

    pictures: Sequence[Image.Image] = ()
    photos: Sequence[Image.Image] = ()
    kinds: list[str] = field(init=False)
    shares: list[float] = field(init=False)

    def __post_init__(self) -> None:
        at_hand = {"pictures": bool(self.pictures), "magnified": bool(self.photos), "drawn": True}
        self.kinds = [kind for kind in KINDS if at_hand[kind]]
        total = sum(KINDS[kind] for kind in self.kinds)
        self.shares = [KINDS[kind] / total for kind in self.kinds]

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        """A background (3, h, w) in [0, 1] of one or more surfaces."""
        picture: np.ndarray = self._one(rng, size)
        joins = int(rng.choice((0, 1, 2, 3), p=(0.5, 0.3, 0.15, 0.05)))
        for _ in range(joins):
            share = _region(rng, size)
            other = self._one(rng, size) if rng.random() < 0.75 else picture * rng.uniform(0.5, 1.4)
            edge = _seam(share, rng) if rng.random() < 0.5 else 1
            picture = (picture * (1 - share) + other * share) * edge
        if rng.random() < 0.3:
            picture = picture * folds(rng, size)
        return np.clip(picture, 0, 1).astype(np.float32)

    def _one(self, rng: np.random.Generator, size: Size) -> Array:
        kind = str(rng.choice(self.kinds, p=self.shares))
        if kind == "pictures":
            surface = part_of(self.pictures[int(rng.integers(len(self.pictures)))], rng, size)
        elif kind == "magnified":
            surface = part_of(self.photos[int(rng.integers(len(self.photos)))], rng, size, (0.1, 0.35))
        else:
            surface = DRAWN[int(rng.integers(len(DRAWN)))](rng, size)
        return recoloured(surface, rng)


def read_surfaces(folder: Path, limit: int = 5000) -> list[Image.Image]:
    """The pictures below a folder, RGB, reduced to 512 pixels; at most ``limit``, in the order of their names.

    Those of less than 64 pixels are left out. Raises ``InputError`` if there is none.
    """
    found: list[Image.Image] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or len(found) == limit:
            continue
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, SyntaxError):
            continue
        if min(image.size) >= SMALLEST:
            image.thumbnail((LARGEST, LARGEST))
            found.append(image)
    if not found:
        raise InputError(f"{folder}: no pictures in it; give a folder with photographs of surfaces")
    return found


def part_of(
    picture: Image.Image, rng: np.random.Generator, size: Size, share: tuple[float, float] = (0.3, 1.0)
) -> Array:
    """A random part of a picture at any angle, (3, h, w); ``share``: of the picture's shorter side."""
    angle = rng.choice((0.0, 90.0, float(rng.uniform(0, 360))))
    widening = abs(np.cos(np.radians(angle))) + abs(np.sin(np.radians(angle)))  # of the square that holds a turned one
    side = min(rng.uniform(*share), 1 / widening) * min(picture.size)
    turned = side * widening
    x, y = (float(rng.uniform(0, max(extent - turned, 0))) for extent in picture.size)
    square = (int(np.ceil(max(size) * widening)),) * 2
    image = picture.resize(square, Image.Resampling.BILINEAR, (x, y, x + turned, y + turned))
    if angle:
        image = image.rotate(float(angle), Image.Resampling.BILINEAR)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    image = image.crop((left, top, left + size[0], top + size[1]))
    return np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)


def recoloured(surface: Array, rng: np.random.Generator) -> Array:
    """With another exposure, contrast and tint; sometimes grey or with exchanged channels."""
    if rng.random() < 0.15:
        surface = surface[rng.permutation(3)]
    grey = surface.mean(axis=0, keepdims=True)
    surface = grey + (surface - grey) * rng.uniform(0.2, 1.3)
    mean = float(surface.mean())
    contrast, target = rng.uniform(0.7, 1.3), np.clip(mean + rng.normal() * 0.15, 0.1, 0.95)
    tint = 1 + 0.08 * rng.standard_normal((3, 1, 1))
    return np.clip(((surface - mean) * contrast + target) * tint, 0, 1).astype(np.float32)


def noise(rng: np.random.Generator, size: Size, slope: float, stretch: float = 1.0) -> Array:
    """Noise (h, w) of mean 0 and deviation 1 with a 1/f^slope spectrum; in one direction ``stretch`` times longer."""
    v, u = np.fft.fftfreq(size[1])[:, None], np.fft.rfftfreq(size[0])[None]
    angle = rng.uniform(0, np.pi)
    along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    radius = np.hypot(along * stretch, across)
    radius[0, 0] = 1
    spectrum = np.maximum(radius, 1 / max(size)) ** -slope * np.exp(2j * np.pi * rng.random(radius.shape))
    spectrum[0, 0] = 0
    values = np.fft.irfft2(spectrum, size[::-1])
    return (values / (values.std() + 1e-6)).astype(np.float32)


def folds(rng: np.random.Generator, size: Size) -> Array:
    """Light and shade (h, w) around 1 of cloth in folds: the slope of smooth ridges."""
    height = np.abs(noise(rng, size, rng.uniform(1.8, 2.6), rng.uniform(1, 6))) ** rng.uniform(0.7, 1.2)
    down, right = np.gradient(height)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.cos(angle) * right + np.sin(angle) * down
    return np.clip(1 + rng.uniform(0.05, 0.25) * light / (light.std() + 1e-6), 0.4, 1.6).astype(np.float32)


def _wood(rng: np.random.Generator, size: Size) -> Array:
    """Wood: grain along one direction, growth rings where it is warped."""
    grain = noise(rng, size, rng.uniform(0.9, 1.6), rng.uniform(8, 40))
    rings = np.sin(grain * rng.uniform(1, 9)) if rng.random() < 0.5 else grain
    dark = np.array((0.35, 0.2, 0.1)) + 0.1 * rng.random(3)
    light = dark + np.array((0.4, 0.33, 0.25)) * rng.uniform(0.4, 1.3)
    return _between(dark, light, 0.5 + rng.uniform(0.1, 0.3) * rings)


def _stone(rng: np.random.Generator, size: Size) -> Array:
    """Stone: noise at all scales, sometimes with veins or cracks."""
    rough = noise(rng, size, rng.uniform(0.5, 1.8), rng.uniform(1, 2))
    share = 0.5 + rng.uniform(0.08, 0.3) * rough
    if rng.random() < 0.4:
        veins = np.exp(-np.abs(noise(rng, size, rng.uniform(1.4, 2.2), rng.uniform(1, 3))) * rng.uniform(6, 30))
        share = share + rng.uniform(-0.8, 0.8) * veins
    grey = rng.uniform(0.1, 0.7)
    dark = grey + rng.uniform(-0.06, 0.06, 3)
    return _between(dark, dark + rng.uniform(0.1, 0.4) + rng.uniform(-0.1, 0.1, 3), share)


def _weave(rng: np.random.Generator, size: Size) -> Array:
    """Woven or knitted cloth in folds, its threads warped; perhaps checked or striped."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    bend = 3 * rng.random() * noise(rng, size, 2.2)
    angle, period = rng.uniform(0, np.pi), rng.uniform(2.2, 9)
    u = (np.cos(angle) * x + np.sin(angle) * y + bend) * 2 * np.pi
    v = (np.cos(angle) * y - np.sin(angle) * x + bend) * 2 * np.pi
    threads = np.sin(u / period) * np.sin(v / period * rng.choice((1.0, 1.0, 0.5, 0.0)) + 0.8)
    share = 0.5 + rng.uniform(0.05, 0.3) * threads + 0.08 * noise(rng, size, 0.6)
    if rng.random() < 0.4:
        wide, high = rng.uniform(12, 60, 2)
        share = share + rng.uniform(0.1, 0.4) * ((np.sin(u / wide) > rng.uniform(-0.5, 0.8)) + 0.0)
        share = share + rng.choice((0.0, 0.25)) * (np.sin(v / high) > 0)
    return _between(rng.random(3), rng.random(3), share) * folds(rng, size)


def _plain(rng: np.random.Generator, size: Size) -> Array:
    """One colour, lit unevenly."""
    light = 1 + rng.uniform(0.02, 0.25) * noise(rng, size, 2.5)
    return np.clip(rng.uniform(0.1, 1, 3)[:, None, None] * light, 0, 1).astype(np.float32)


DRAWN = (varied, varied, varied, _wood, _wood, _stone, _stone, _weave, _weave, _plain)


def _between(dark: np.ndarray, light: np.ndarray, share: np.ndarray) -> Array:
    share = np.clip(share, 0, 1)
    return (dark[:, None, None] * (1 - share) + light[:, None, None] * share).clip(0, 1).astype(np.float32)


def _region(rng: np.random.Generator, size: Size) -> Array:
    """The part (h, w) in [0, 1] of a photo that a second surface covers: a side, a strip, or beyond a curve."""
    x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    angle = rng.choice((0.0, np.pi / 2, rng.uniform(0, 2 * np.pi))) + rng.normal() * 0.05
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    bend = rng.choice((0.0, 0.0, 0.4)) * across**2 + rng.choice((0.0, 0.0, 0.06)) * noise(rng, size, 2.0)
    edge = along + bend - rng.uniform(-0.8, 0.8)
    if rng.random() < 0.3:
        edge = rng.uniform(0.03, 0.5) - np.abs(edge)
    sharpness = max(size) / rng.choice((1.5, 3.0, 12.0))
    return np.clip(0.5 + edge * sharpness, 0, 1).astype(np.float32)


def _seam(share: Array, rng: np.random.Generator) -> Array:
    """The dark or light line (h, w), a factor, along the edge of a region: a joint, a hem, a gap, a shadow."""
    slope = np.hypot(*np.gradient(share))
    line = np.clip(slope / (slope.max() + 1e-6), 0, 1)
    return (1 + rng.uniform(-0.8, 0.4) * line).astype(np.float32)
