"""Curves and outlines in drawing units: x to the right in [-1.5, 1.5], y down in [-2, 2]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (n, 2)
Point = tuple[float, float]


def curve(*points: Point, steps: int = 8) -> Points:
    """A smooth curve (Catmull-Rom spline) through ``points``: (steps * (n - 1) + 1, 2)."""
    knots = np.asarray(points, dtype=np.float64)
    if len(knots) < 3:
        return knots
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (knot[:, None, :] for knot in (a, b, c, d))
    cubic = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return np.vstack([cubic.reshape(-1, 2) / 2, knots[-1:]])


def join(*runs: Points) -> Points:
    """Concatenated curves, with a corner where two of them meet."""
    return np.vstack(runs)


def mirror(points: Points) -> Points:
    """The mirrored half of an outline, in reverse order, so that the two halves join."""
    return points[::-1] * (-1.0, 1.0)


def symmetric(right: Points) -> Points:
    """A closed outline from its right half, which runs from the top centre to the bottom centre."""
    return join(right, mirror(right))


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> Points:
    """An ellipse's arc between two angles in degrees (0 is to the right, 90 is down)."""
    angles = np.radians(np.linspace(start, stop, 29))
    return np.column_stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)])


def rectangle(x1: float, y1: float, x2: float, y2: float, radius: float = 0.0) -> Points:
    """A rectangle with rounded corners."""
    if radius <= 0:
        return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64)
    r = min(radius, (x2 - x1) / 2, (y2 - y1) / 2)
    return join(
        ellipse(x2 - r, y1 + r, r, r, -90, 0),
        ellipse(x2 - r, y2 - r, r, r, 0, 90),
        ellipse(x1 + r, y2 - r, r, r, 90, 180),
        ellipse(x1 + r, y1 + r, r, r, 180, 270),
    )


def normals(points: Points) -> Points:
    """Unit normals along an open curve (to its right when walking along it with y down)."""
    tangent = np.empty_like(points)
    tangent[1:-1] = points[2:] - points[:-2]
    tangent[0], tangent[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.hypot(tangent[:, 0], tangent[:, 1])
    tangent /= np.maximum(length, 1e-9)[:, None]
    return np.column_stack([-tangent[:, 1], tangent[:, 0]])


def band(points: Points, width: float, end_width: float | None = None) -> Points:
    """A ribbon of ``width`` centred on a curve, tapering to ``end_width`` if given."""
    widths = np.linspace(width, width if end_width is None else end_width, len(points))[:, None]
    offset = normals(points) * widths / 2
    return join(points + offset, (points - offset)[::-1])


def loop(*points: Point, steps: int = 8) -> Points:
    """A smooth closed curve through ``points``; its last point is its first."""
    around = (*points[-2:], *points, *points[:3])
    smooth = curve(*around, steps=steps)
    return smooth[2 * steps : -2 * steps]


def hoop(points: Points, width: float) -> Points:
    """A closed ribbon of ``width`` centred on a closed curve: a ring, a frame."""
    ring = points[:-1] if np.allclose(points[0], points[-1]) else points
    tangent = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    length = np.hypot(tangent[:, 0], tangent[:, 1])
    side = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.maximum(length, 1e-9)[:, None] * width / 2
    outer, inner = ring + side, ring - side
    return join(outer, outer[:1], inner[:1], inner[::-1])


def offset(points: Points, distance: float) -> Points:
    """The curve moved sideways along its normals."""
    return points + normals(points) * distance


def part_of(points: Points, start: float, stop: float, count: int = 0) -> Points:
    """The stretch of a curve between two fractions of its length, as ``count`` evenly spaced points."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    position = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(start, stop, count or max(2, len(points))) * position[-1]
    return np.column_stack([np.interp(wanted, position, points[:, axis]) for axis in (0, 1)])


def crease(start: Point, stop: Point, bend: float = 0.0, width: float = 0.07) -> Points:
    """A leaf-shaped fold from ``start`` to ``stop``, its middle pushed sideways by ``bend``."""
    ends = np.array([start, stop], dtype=np.float64)
    along = ends[1] - ends[0]
    side = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
    middle = ends.mean(axis=0) + side * bend
    spine = curve(start, (float(middle[0]), float(middle[1])), stop, steps=5)
    swell = np.sin(np.linspace(0, np.pi, len(spine)))[:, None] * side * width / 2
    return join(spine + swell, (spine - swell)[::-1])
