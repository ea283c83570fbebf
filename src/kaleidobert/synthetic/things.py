"""Objects other than garments, made of a few shaded pieces: bottles, boxes, rings, bands; products or clutter."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 144


def thing(rng: np.random.Generator) -> Image.Image:
    """A random object of one to four pieces, RGBA (SIDE, SIDE)."""
    layer = Image.new("RGBA", (SIDE, SIDE))
    colours = [tuple(int(value) for value in rng.integers(10, 250, 3)) for _ in range(2)]
    stretch = rng.uniform(0.35, 1.0, 2)
    if rng.random() < 0.25:
        _ring(layer, rng, colours)
    else:
        for _ in range(int(rng.integers(1, 5))):
            _piece(layer, rng, stretch, colours[int(rng.integers(2))])
    box = layer.getbbox() or (0, 0, SIDE, SIDE)
    return _lit(layer.filter(ImageFilter.GaussianBlur(0.6)), rng).crop(box)


def _piece(layer: Image.Image, rng: np.random.Generator, stretch: np.ndarray, colour: tuple[int, ...]) -> None:
    draw = ImageDraw.Draw(layer)
    half = SIDE * 0.42 * stretch * rng.uniform(0.5, 1, 2)
    x, y = SIDE / 2 + (rng.random(2) - 0.5) * SIDE * 0.3 * stretch
    box = (x - half[0], y - half[1], x + half[0], y + half[1])
    shape = int(rng.integers(3))
    if shape == 0:
        draw.ellipse(box, fill=colour)
    elif shape == 1:
        draw.rounded_rectangle(box, float(min(half) * rng.uniform(0.05, 0.9)), fill=colour)
    else:
        angles = np.sort(rng.uniform(0, 6.28, int(rng.integers(4, 9))))
        draw.polygon([(x + half[0] * np.cos(a), y + half[1] * np.sin(a)) for a in angles], fill=colour)


def _ring(layer: Image.Image, rng: np.random.Generator, colours: list[tuple[int, ...]]) -> None:
    """A bracelet or a necklace: a closed or open curve with beads."""
    draw = ImageDraw.Draw(layer)
    rx, ry = SIDE * rng.uniform(0.2, 0.45, 2)
    width, start, centre = int(rng.integers(3, 16)), rng.uniform(0, 6.28), SIDE / 2
    angles = start + np.linspace(0, 6.28 if rng.random() < 0.6 else rng.uniform(3.5, 5.5), 40)
    points = [(centre + rx * np.cos(angle), centre + ry * np.sin(angle)) for angle in angles]
    draw.line(points, fill=colours[0], width=width, joint="curve")
    for x, y in points[:: int(rng.integers(2, 40))]:
        radius = width * rng.uniform(0.5, 1.3)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[1])


def _lit(layer: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add rounded shading and a gradient, sometimes stripes and gloss."""
    pixels = np.asarray(layer, np.float32)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = rng.uniform(0, 6.28)
    across = np.cos(angle) * x + np.sin(angle) * y
    light = 1 + rng.uniform(0, 0.35) * across
    if rng.random() < 0.3:
        light = light * (1 - rng.uniform(0.1, 0.5) * (np.sin(across * rng.uniform(8, 50)) > 0))
    inner = np.asarray(layer.getchannel("A").filter(ImageFilter.GaussianBlur(6)), np.float32) / 255
    light = light * (0.55 + 0.45 * inner) + rng.uniform(0, 0.7) * np.exp(-((across - 0.2) ** 2) / 0.01) * (
        rng.random() < 0.4
    )
    lit = (pixels[..., :3] * light[..., None]).clip(0, 255)
    return Image.fromarray(np.concatenate([lit, pixels[..., 3:]], axis=2).astype(np.uint8))
