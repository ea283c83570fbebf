"""Backgrounds of product photos: studio walls, cloth, stone, boards, rooms, clutter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kaleidobert.synthetic.fabric import Array
from kaleidobert.synthetic.scene import BUSY, Size, studio

Background = Callable[[np.random.Generator, Size], Array]


def white(rng: np.random.Generator, size: Size) -> Array:  # noqa: ARG001
    """Pure white, the most common background in shops: (3, h, w)."""
    return np.ones((3, size[1], size[0]), np.float32)


def wall(rng: np.random.Generator, size: Size) -> Array:
    """A near-white wall with soft lighting, with or without a floor."""
    return studio(rng, size, stands=bool(rng.random() < 0.4))


def plain(rng: np.random.Generator, size: Size) -> Array:
    """One colour of any brightness, with a slight gradient."""
    return _between(rng, size, 0.12)


def gradient(rng: np.random.Generator, size: Size) -> Array:
    """A gradient between two colours."""
    return _between(rng, size, 0.6)


def cloth(rng: np.random.Generator, size: Size) -> Array:
    """A woven, plain or checked cloth with soft folds."""
    x, y = _pixel_grid(size)
    period = rng.uniform(2.5, 14)
    weave = np.sin(x * (6.28 / period)) * np.sin(y * (6.28 / period)) * rng.uniform(0.02, 0.16)
    if rng.random() < 0.4:
        across, down = rng.uniform(8, 40, 2)
        weave = weave + rng.uniform(0.05, 0.25) * (
            (np.sin(x * 6.28 / across) > 0) + 0.0 + (np.sin(y * 6.28 / down) > 0)
        )
    folds = _clouds(rng, size, int(rng.integers(2, 6))) * rng.uniform(0.1, 0.5)
    return _tinted(_colour(rng), 1 + weave + folds)


def marble(rng: np.random.Generator, size: Size) -> Array:
    """Veined stone."""
    clouds = sum(_clouds(rng, size, 3 * 2**octave) / 2**octave for octave in range(3))
    veins = np.abs(np.sin(clouds * rng.uniform(4, 14)))
    share = np.clip(veins * rng.uniform(0.7, 1.5), 0, 1)
    return _mixed(_colour(rng), _colour(rng), share)


def speckle(rng: np.random.Generator, size: Size) -> Array:
    """Carpet, gravel, grass: noise of two colours at a random scale."""
    grain = _clouds(rng, size, int(rng.integers(12, 90))) + 0.6 * _clouds(rng, size, int(rng.integers(3, 12)))
    return _mixed(_colour(rng), _colour(rng), np.clip(0.5 + grain, 0, 1))


def tiles(rng: np.random.Generator, size: Size) -> Array:
    """Tiles or a chequered floor at a random angle."""
    x, y = _pixel_grid(size)
    angle, period = rng.uniform(0, 1.57), rng.uniform(10, 50)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    checks = (np.floor(u / period) + np.floor(v / period)) % 2
    joints = (np.abs((u / period) % 1 - 0.5) > 0.46) | (np.abs((v / period) % 1 - 0.5) > 0.46)
    share = checks * rng.choice((0.0, 0.3, 1.0)) * (1 - joints) + joints * rng.uniform(0.2, 1)
    return _mixed(_colour(rng), _colour(rng), share)


def clutter(rng: np.random.Generator, size: Size) -> Array:
    """Many overlapping flat pieces, in or out of focus."""
    width, height = size
    image = Image.new("RGB", size, _byte_colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(12, 60))):
        x, y, r = rng.random() * width, rng.random() * height, rng.uniform(0.02, 0.16) * width
        corners = [
            (x + r * np.cos(a), y + r * np.sin(a)) for a in np.sort(rng.uniform(0, 6.28, int(rng.integers(3, 7))))
        ]
        if rng.random() < 0.4:
            draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=_byte_colour(rng))
        else:
            draw.polygon(corners, fill=_byte_colour(rng))
    blurred = image.filter(ImageFilter.GaussianBlur(float(rng.choice((0.4, 1.0, 2.5)))))
    return np.asarray(blurred, np.float32).transpose(2, 0, 1) / np.float32(255)


STUDIO: tuple[Background, ...] = (white, white, white, wall, plain, gradient)
VARIED: tuple[Background, ...] = (*BUSY, cloth, cloth, marble, speckle, speckle, tiles, clutter, clutter)


def varied(rng: np.random.Generator, size: Size) -> Array:
    """A busy background (3, h, w), any of `VARIED` at any brightness, sometimes lit from one side."""
    picture = VARIED[int(rng.integers(len(VARIED)))](rng, size)
    picture = picture * rng.uniform(0.55, 1.15) + rng.uniform(0, 0.15)
    if rng.random() < 0.4:
        picture = picture * (1 + 0.7 * _slope(rng, size) * rng.random())
    return np.clip(picture, 0, 1).astype(np.float32)


def _pixel_grid(size: Size) -> tuple[Array, Array]:
    return np.arange(size[0], dtype=np.float32)[None], np.arange(size[1], dtype=np.float32)[:, None]


def _colour(rng: np.random.Generator) -> Array:
    """A random colour (3,), more often greyish than saturated."""
    grey = rng.uniform(0.08, 1)
    return np.clip(grey + (rng.random(3) - 0.5) * rng.uniform(0, 0.7), 0, 1).astype(np.float32)


def _byte_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(255 * value) for value in _colour(rng))
    return red, green, blue


def _slope(rng: np.random.Generator, size: Size) -> Array:
    """A ramp (h, w) in [-0.7, 0.7] in a random direction."""
    x, y = _pixel_grid(size)
    angle = rng.uniform(0, 6.28)
    return (np.cos(angle) * (x / size[0] - 0.5) + np.sin(angle) * (y / size[1] - 0.5)).astype(np.float32)


def _clouds(rng: np.random.Generator, size: Size, cells: int) -> Array:
    """Smooth noise (h, w) around 0 with about ``cells`` bumps along each axis."""
    coarse = Image.fromarray(rng.standard_normal((cells + 1, cells + 1)).astype(np.float32) * np.float32(0.35))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def _between(rng: np.random.Generator, size: Size, reach: float) -> Array:
    """A gradient from one colour towards another, by the share ``reach`` at most."""
    return _mixed(_colour(rng), _colour(rng), np.clip(0.5 + _slope(rng, size), 0, 1) * reach)


def _mixed(first: Array, second: Array, share: Array) -> Array:
    """(3, h, w): ``share`` (h, w) of the second colour."""
    return (first[:, None, None] * (1 - share) + second[:, None, None] * share).astype(np.float32)


def _tinted(colour: Array, light: Array) -> Array:
    return np.clip(colour[:, None, None] * light, 0, 1).astype(np.float32)
