"""The upper body that tops, dresses and outerwear share: inside, sleeves, front, neckline, collar, pockets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import Pen
from kaleidobert.synthetic.shapes import (
    Point,
    Points,
    band,
    crease,
    curve,
    ellipse,
    hoop,
    join,
    mirror,
    offset,
    part_of,
    rectangle,
    symmetric,
)

NECK_TOP = -1.30  # height at which the neckline meets the shoulder


@dataclass(frozen=True, slots=True)
class Torso:
    """Half widths and heights of an upper body, in drawing units."""

    neck: float = 0.33
    shoulder: float = 0.76
    chest: float = 0.72
    waist: float = 0.68
    hem: float = 0.72
    length: float = 1.12
    hem_curve: float = 0.05


def torso_of(look: Look, **changes: float) -> Torso:
    """A torso of the width of the look's fit."""
    wide = 0.10 * look.fit
    base = Torso(chest=0.68 + wide, waist=0.63 + wide * 1.4, hem=0.67 + wide * 1.3, shoulder=0.74 + wide * 0.5)
    return replace(base, **changes)


def neckline(torso: Torso, kind: str, back: bool = False) -> Points:
    """The neckline's right half, from the centre front up to the shoulder."""
    n, top = torso.neck, NECK_TOP
    if back:
        return curve((0, top + 0.09), (n * 0.6, top + 0.06), (n, top))
    if kind == "v-neck":
        return curve((0, top + 0.62), (n * 0.52, top + 0.33), (n, top))
    if kind == "scoop neck":
        return curve((0, top + 0.52), (n * 0.55, top + 0.45), (n * 0.92, top + 0.2), (n, top))
    if kind == "square neck":
        return join(curve((0, top + 0.42), (n * 0.94, top + 0.42)), curve((n * 0.94, top + 0.42), (n, top)))
    if kind == "boat neck":
        return curve((0, top + 0.21), (n * 0.8, top + 0.17), (n * 1.4, top + 0.06))
    return curve((0, top + 0.30), (n * 0.55, top + 0.25), (n * 0.9, top + 0.1), (n, top))


def side(torso: Torso) -> Points:
    """The right side seam from armpit to hem."""
    c, w, h, end = torso.chest, torso.waist, torso.hem, torso.length
    return curve((c, -0.46), (c - 0.01, -0.25), (w, end * 0.3), (h, end))


def body(torso: Torso, neck: Points) -> Points:
    """The front's closed outline."""
    s, c, end = torso.shoulder, torso.chest, torso.length
    x, y = neck[-1]
    shoulder = curve((float(x), float(y)), (s * 0.72, -1.21), (s, -1.08))
    armhole = curve((s, -1.08), (s - 0.07, -0.82), (s - 0.06, -0.62), (c, -0.46))
    hem = curve((torso.hem, end), (torso.hem * 0.55, end + torso.hem_curve), (0, end + torso.hem_curve * 1.25))
    return symmetric(join(neck, shoulder, armhole, side(torso), hem))


def body_folds(torso: Torso, loose: float) -> list[Points]:
    """Creases from the armpits and above the waist."""
    c, w, end = torso.chest, torso.waist, torso.length
    width = 0.05 + 0.04 * loose
    return [
        crease((c - 0.05, -0.40), (0.28, -0.12), 0.07, width),
        crease((-c + 0.05, -0.42), (-0.33, -0.05), -0.06, width),
        crease((w - 0.02, end * 0.42), (0.22, end * 0.62), 0.06, width * 0.9),
        crease((-w + 0.02, end * 0.36), (-0.2, end * 0.66), -0.07, width * 0.9),
        crease((0.36, end * 0.55), (0.42, end * 0.98), 0.03, width * 0.8),
        crease((-0.40, end * 0.62), (-0.36, end * 1.0), -0.02, width * 0.8),
    ]


def inside(pen: Pen, neck: Points, fabric: Fabric, depth: float = 0.62) -> None:
    """The inside of the back, visible in the neckline, with a label."""
    n, top = (float(value) for value in neck[-1])
    right = join(curve((0, top + 0.05), (n * 0.6, top + 0.03), (n, top - 0.005)), curve((n, top), (n, top + depth)))
    right = join(right, curve((n, top + depth), (0, top + depth + 0.05)))
    pen.part(symmetric(right), fabric.plain(0.72), puff=0.3, line=0.5)
    pen.stroke(curve((-n, top + 0.03), (0, top + 0.10), (n, top + 0.03)), 0.02, 0.3)
    pen.print(rectangle(-0.07, top + 0.09, 0.07, top + 0.16, 0.01), (0.96, 0.95, 0.93))


@dataclass(frozen=True, slots=True)
class Arm:
    """A right sleeve's upper and lower edge, from the shoulder outwards."""

    upper: Points
    lower: Points

    def outline(self) -> Points:
        """Closed, with a cuff slightly rounded."""
        (ux, uy), (lx, ly) = self.upper[-1], self.lower[-1]
        cuff = curve((ux, uy), ((ux + lx) / 2 + 0.012, (uy + ly) / 2 + 0.03), (lx, ly))
        return join(self.upper, cuff, self.lower[::-1])

    def end(self, share: float) -> Points:
        """The cuff: the last ``share`` of the sleeve."""
        return Arm(part_of(self.upper, 1 - share, 1), part_of(self.lower, 1 - share, 1)).outline()


def arm(torso: Torso, sleeve: str, loose: float = 0.0) -> Arm | None:
    """The right sleeve of a kind; None for "sleeveless"."""
    s, c = torso.shoulder, torso.chest
    if sleeve == "sleeveless":
        return None
    if sleeve in ("short sleeve", "cap sleeve"):
        upper = curve((s - 0.16, -1.17), (s + 0.005, -1.09), (s + 0.20, -0.93), (s + 0.46 + 0.06 * loose, -0.47))
        lower = curve((c - 0.20, -0.46), (c + 0.05, -0.36), (c + 0.20, -0.28 + 0.05 * loose))
        if sleeve == "cap sleeve":
            return Arm(part_of(upper, 0, 0.55), part_of(lower, 0, 0.45))
        return Arm(upper, lower)
    upper = curve((s - 0.16, -1.17), (s + 0.005, -1.085), (s + 0.14, -0.85), (s + 0.31, -0.15), (s + 0.42, 0.88))
    lower = curve((c - 0.18, -0.50), (c + 0.10, -0.05), (s + 0.17 - 0.08 * loose, 0.93))
    if sleeve == "three-quarter sleeve":
        return Arm(part_of(upper, 0, 0.74), part_of(lower, 0, 0.70))
    return Arm(upper, lower)


def sleeves(pen: Pen, shape: Arm | None, fabric: Fabric, *, cuff: Fabric | None = None, share: float = 0.09) -> None:
    """Both sleeves, with creases at the elbow and, if given, cuffs of another fabric."""
    if shape is None:
        return
    (ux, uy), (lx, ly) = shape.upper[len(shape.upper) // 2], shape.lower[len(shape.lower) // 2]
    long = float(shape.upper[-1][1]) > 0
    folds = []
    if long:
        folds = [
            crease((lx, ly - 0.05), (ux - 0.05, uy + 0.16), 0.05, 0.07),
            crease((lx + 0.02, ly + 0.1), (ux - 0.04, uy - 0.05), 0.04, 0.06),
            crease((ux - 0.02, uy + 0.3), (lx + 0.08, ly + 0.32), -0.03, 0.05),
            crease((lx - 0.09, ly - 0.3), (ux - 0.12, uy - 0.3), 0.04, 0.06),
        ]
    else:
        folds = [crease((lx - 0.05, ly - 0.06), (ux - 0.03, uy - 0.06), 0.05, 0.07)]
    turn = -12 if long else -38
    closed = shape.outline()
    for flip in (False, True):
        turned = -turn if flip else turn
        pen.part(_flip(closed, flip), fabric, "sleeve", folds=[_flip(fold, flip) for fold in folds], turn=turned)
        if cuff is not None:
            pen.part(_flip(shape.end(share), flip), cuff, "cuff", turn=turned, puff=0.08, lift=0.015)
        elif share:
            hem = Arm(part_of(shape.upper, 0, 0.94), part_of(shape.lower, 0, 0.92)).outline()
            edge = hem[len(shape.upper) : -len(shape.lower)]
            pen.stitch(_flip(edge, flip), 0.28)


def _flip(points: Points, flip: bool) -> Points:
    return mirror(points) if flip else points


def neck_band(pen: Pen, neck: Points, fabric: Fabric, width: float = 0.085) -> None:
    """A ribbed band along the neckline."""
    whole = join(mirror(neck)[:-1], neck)
    edge = offset(whole, width / 2)
    pen.part(band(edge, width), fabric, "neck", puff=0.06, line=0.55, lift=0.012)


def neck_edge(pen: Pen, neck: Points) -> None:
    """A stitched, faced neckline; marks the neck's region."""
    whole = join(mirror(neck)[:-1], neck)
    pen.stroke(whole, 0.03, 0.25, tag="neck")
    pen.stitch(offset(whole, 0.05), 0.28)


def collar(pen: Pen, torso: Torso, fabric: Fabric, point: Point = (0.36, -0.80), back: bool = False) -> None:
    """A shirt collar: stand and two points; from the back one strip."""
    n, top = torso.neck, NECK_TOP
    if back:
        strip = join(curve((0, top - 0.13), (n * 0.8, top - 0.10)), curve((n + 0.06, top + 0.06), (0, top + 0.16)))
        pen.part(symmetric(strip), fabric, "neck collar", puff=0.08, lift=0.03)
        return
    leaf = join(
        curve((0.015, top + 0.30), (n * 0.45, top + 0.14), (n * 0.86, top - 0.11)),
        curve((n * 0.86, top - 0.11), (n + 0.07, top - 0.03), (n + 0.10, top + 0.07)),
        curve((n + 0.10, top + 0.07), point),
        curve(point, (0.2, top + 0.40), (0.015, top + 0.30)),
    )
    for flip in (False, True):
        turned = 28.0 if flip else -28.0
        pen.part(_flip(leaf, flip), fabric, "neck collar", puff=0.07, lift=0.035, turn=turned, line=0.5)
        seam = curve((0.06, top + 0.335), (point[0] * 0.6, point[1] - 0.06), (point[0] - 0.015, point[1] - 0.045))
        pen.stitch(_flip(seam, flip), 0.22)


def collar_stand(pen: Pen, torso: Torso, fabric: Fabric) -> None:
    """The collar's inside at the back of the neck."""
    n, top = torso.neck * 0.86, NECK_TOP
    right = join(curve((0, top - 0.15), (n * 0.6, top - 0.145), (n, top - 0.10)), curve((n, top), (0, top + 0.16)))
    pen.part(symmetric(right), fabric.plain(0.82), "neck collar", puff=0.08, line=0.5)


def placket(pen: Pen, fabric: Fabric, button: Fabric, top: float, bottom: float, count: int = 6) -> None:
    """A button band down the front."""
    pen.part(rectangle(-0.065, top, 0.065, bottom), fabric, "closure", puff=0.05, lift=0.015, line=0.45)
    for x in (-0.045, 0.045):
        pen.stitch(curve((x, top + 0.03), (x, bottom - 0.02)), 0.2)
    for index in range(count):
        pen.button(0, top + 0.10 + index * (bottom - top - 0.2) / max(count - 1, 1), button)


def patch_pocket(pen: Pen, x: float, y: float, fabric: Fabric, width: float = 0.34, height: float = 0.38) -> None:
    """A stitched pocket whose upper edge is centred on (x, y)."""
    half = width / 2
    shape = join(
        curve((x - half, y), (x + half, y)),
        curve((x + half, y + height * 0.82), (x, y + height)),
        curve((x, y + height), (x - half, y + height * 0.82)),
    )
    pen.part(shape, fabric, "pocket", puff=0.06, lift=0.025, line=0.5)
    pen.stitch(curve((x - half + 0.02, y + 0.07), (x + half - 0.02, y + 0.07)), 0.3)


def welt_pockets(pen: Pen, fabric: Fabric, x: float, y: float, lean: float = 0.16) -> None:
    """Two slanted pocket openings."""
    slit = curve((x - 0.13, y + lean), (x + 0.13, y - lean))
    for flip in (False, True):
        pen.part(band(_flip(slit, flip), 0.07), fabric, "pocket", puff=0.03, lift=0.03, line=0.6)


def logo(pen: Pen, variant: int, fabric: Fabric, y: float = -0.55) -> None:
    """A print on the chest: a star, rings, a mountain, a wave or a flash."""
    colour = fabric.colour
    match variant % 5:
        case 0:
            spikes = ellipse(0, y, 1, 1, -90, 270)[::2][:-1] - (0, y)
            star = [(dx * r, y + dy * r) for (dx, dy), r in zip(spikes, (0.26, 0.20) * 7, strict=True)]
            pen.print(np.array(star), colour, "logo")
            pen.print(ellipse(0, y, 0.10, 0.10), darker(colour), "logo")
        case 1:
            for shift in (-0.14, 0.14):
                pen.print(hoop(ellipse(shift, y, 0.17, 0.17), 0.055), colour, "logo")
        case 2:
            pen.print(curve((-0.30, y + 0.18), (-0.08, y - 0.2), (0.10, y + 0.18)), colour, "logo")
            pen.print(curve((-0.04, y + 0.18), (0.13, y - 0.08), (0.30, y + 0.18)), darker(colour), "logo")
        case 3:
            for step in range(3):
                wave = curve(
                    (-0.28, y + step * 0.11),
                    (-0.14, y - 0.07 + step * 0.11),
                    (0, y + step * 0.11),
                    (0.14, y + 0.07 + step * 0.11),
                    (0.28, y + step * 0.11),
                )
                pen.print(band(wave, 0.05), colour, "logo")
        case _:
            flash = [(0.07, -0.26), (-0.17, 0.05), (-0.01, 0.05), (-0.07, 0.28), (0.18, -0.06), (0.02, -0.06)]
            pen.print(np.array(flash) + (0.0, y), colour, "logo")


def darker(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """A darker shade."""
    r, g, b = colour
    return r * 0.72, g * 0.72, b * 0.72
