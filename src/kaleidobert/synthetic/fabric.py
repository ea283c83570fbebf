"""Colours, patterns and the surface of materials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

COLOURS: dict[str, Colour] = {
    "black": (0.15, 0.15, 0.16),
    "white": (0.95, 0.95, 0.94),
    "grey": (0.57, 0.58, 0.60),
    "navy": (0.13, 0.18, 0.38),
    "blue": (0.22, 0.47, 0.82),
    "red": (0.80, 0.13, 0.16),
    "green": (0.20, 0.52, 0.32),
    "yellow": (0.97, 0.79, 0.20),
    "pink": (0.95, 0.58, 0.70),
    "purple": (0.47, 0.27, 0.62),
    "brown": (0.45, 0.28, 0.17),
    "beige": (0.86, 0.76, 0.61),
}

CONTRASTS: dict[str, tuple[str, ...]] = {  # second colours that clearly differ from the first
    "black": ("white", "red", "yellow", "pink", "beige"),
    "white": ("navy", "red", "black", "blue", "green", "pink"),
    "grey": ("white", "black", "navy", "red", "yellow"),
    "navy": ("white", "red", "yellow", "pink", "beige"),
    "blue": ("white", "navy", "yellow", "black"),
    "red": ("white", "navy", "black", "beige"),
    "green": ("white", "beige", "yellow", "navy"),
    "yellow": ("navy", "white", "black", "purple"),
    "pink": ("white", "red", "navy", "purple"),
    "purple": ("white", "yellow", "pink", "beige"),
    "brown": ("beige", "white", "blue"),
    "beige": ("brown", "navy", "red", "black"),
}


def _lines(position: Array, share: float) -> Array:
    """1 on lines of period 1 and width ``share``, 0 between them, with soft edges."""
    distance = np.abs(position - np.floor(position) - 0.5)
    return np.clip((share / 2 - distance) / 0.05 + 0.5, 0, 1)


def stripes(u: Array, v: Array) -> Array:
    """Horizontal stripes; swap the coordinates for vertical ones."""
    return _lines(v / 0.24 + 0 * u, 0.42)


def checks(u: Array, v: Array) -> Array:
    """Gingham: two perpendicular sets of half-transparent bands."""
    return 0.5 * _lines(u / 0.26, 0.5) + 0.5 * _lines(v / 0.26, 0.5)


def dots(u: Array, v: Array) -> Array:
    """Polka dots on a staggered grid."""
    row = v / 0.20
    column = u / 0.23 + 0.5 * (np.floor(row) % 2)
    dx, dy = column - np.floor(column) - 0.5, row - np.floor(row) - 0.5
    return np.clip((0.29 - np.sqrt(dx * dx + dy * dy)) / 0.07 + 0.5, 0, 1)


def _hash(i: Array, j: Array, salt: int) -> Array:
    """A number in [0, 1) for each cell, by integer arithmetic only, so that it is equal on every machine."""
    mixed = (i.astype(np.int64) * 73856093) ^ (j.astype(np.int64) * 19349663) ^ (salt * 83492791)
    return (((mixed * 2654435761) >> 13 & 0x3FF) / 1024).astype(np.float32)


def floral(u: Array, v: Array) -> Array:
    """Five-petalled flowers of varying size, each in its own cell, with small buds between them."""
    row = v / 0.34
    column = u / 0.34 + 0.5 * (np.floor(row) % 2)
    i, j = np.floor(column), np.floor(row)
    size = 0.30 + 0.16 * _hash(i, j, 1)
    room = 0.5 - size
    dx = column - i - 0.5 - (2 * _hash(i, j, 2) - 1) * room
    dy = row - j - 0.5 - (2 * _hash(i, j, 3) - 1) * room
    radius = np.sqrt(dx * dx + dy * dy)
    petals = np.abs(np.cos(2.5 * (np.arctan2(dy, dx) + 6.3 * _hash(i, j, 4))))
    flower = np.clip((size * (0.45 + 0.55 * petals) - radius) / 0.06 + 0.5, 0, 1)
    heart = np.clip((size * 0.26 - radius) / 0.05 + 0.5, 0, 1)
    bx, by = column - np.round(column), row - np.round(row)
    bud = np.clip((0.075 - np.sqrt(bx * bx + by * by)) / 0.05 + 0.5, 0, 1)
    return np.maximum(flower * (1 - heart * 0.75), bud * 0.6)


def colour_block(u: Array, v: Array) -> Array:
    """The second colour below v = 0."""
    return np.clip(v / 0.012 + 0.5 + 0 * u, 0, 1)


PATTERNS: dict[str, Callable[[Array, Array], Array] | None] = {
    "solid": None,
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "floral": floral,
    "colour-block": colour_block,
}


def _knit(u: Array, v: Array) -> Array:
    """Columns of v-shaped stitches."""
    column = np.abs((u / 0.085) % 1 - 0.5)
    return 0.5 * np.cos(2 * np.pi * (v / 0.055 + column)) + 0.9 * (column * 2 - 0.5)


def _rib(u: Array, v: Array) -> Array:
    return 1.6 * np.cos(u * (2 * np.pi / 0.05)) + 0 * v


def _twill(u: Array, v: Array) -> Array:
    diagonal = np.cos((u + 0.8 * v) * np.float32(2 * np.pi / 0.032))
    return np.float32(0.9) * diagonal + np.float32(0.5) * np.cos(u * 17) * np.cos(u * 41 + 2)


@dataclass(frozen=True, slots=True)
class Material:
    """A surface: strength of folds (``drape``), highlights (``gloss``) and speckle (``grain``), and its weave."""

    drape: float
    gloss: float
    grain: float
    weave: Callable[[Array, Array], Array] | None = None


MATERIALS: dict[str, Material] = {
    "cotton": Material(0.55, 0.10, 0.018),
    "linen": Material(0.65, 0.08, 0.040),
    "wool": Material(0.40, 0.06, 0.055),
    "knit": Material(0.35, 0.08, 0.020, _knit),
    "rib": Material(0.20, 0.06, 0.015, _rib),
    "denim": Material(0.45, 0.08, 0.035, _twill),
    "satin": Material(1.00, 0.55, 0.006),
    "chiffon": Material(0.95, 0.20, 0.010),
    "nylon": Material(0.55, 0.40, 0.008),
    "leather": Material(0.18, 0.50, 0.016),
    "suede": Material(0.20, 0.05, 0.050),
    "canvas": Material(0.22, 0.08, 0.040),
    "straw": Material(0.05, 0.10, 0.050, _knit),
    "rubber": Material(0.0, 0.18, 0.008),
    "metal": Material(0.0, 0.90, 0.004),
}


@dataclass(frozen=True, slots=True)
class Fabric:
    """A material in one or two colours with a pattern."""

    colour: Colour
    material: Material = MATERIALS["cotton"]
    second: Colour = (1.0, 1.0, 1.0)
    pattern: str = "solid"
    upright: bool = False  # whether stripes are vertical
    block: float = 0.0  # height at which a colour block changes colour

    def plain(self, shade: float = 1.0) -> Fabric:
        """This fabric without its pattern, lighter (> 1) or darker (< 1)."""
        r, g, b = (min(channel * shade, 1.0) for channel in self.colour)
        return replace(self, colour=(r, g, b), pattern="solid")

    def of(self, material: str) -> Fabric:
        """This fabric in another material."""
        return replace(self, material=MATERIALS[material])

    def paint(self, u: Array, v: Array) -> Array:
        """Colours at coordinates u, v (h, w) of the fabric: (3, h, w), or (3, 1, 1) if it has a single colour."""
        colour = np.array(self.colour, np.float32)[:, None, None]
        pattern = PATTERNS[self.pattern]
        if pattern is None:
            return colour
        if self.pattern == "colour-block":
            v = v - np.float32(self.block)
        elif self.upright:
            u, v = v, u
        weight = pattern(u, v).astype(np.float32)
        return colour + (np.array(self.second, np.float32)[:, None, None] - colour) * weight
