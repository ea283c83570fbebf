"""Jeans, trousers, joggers, shorts and skirts."""

from __future__ import annotations

from dataclasses import dataclass

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, Pen
from kaleidobert.synthetic.shapes import (
    Points,
    band,
    crease,
    curve,
    ellipse,
    hoop,
    join,
    mirror,
    part_of,
    rectangle,
    symmetric,
)

WAIST = -1.62  # height of the upper edge


@dataclass(frozen=True, slots=True)
class Leg:
    """The right leg's outer seam, from the waist, and inner seam, from the crotch."""

    outer: Points
    inner: Points

    def cut(self, share: float) -> Leg:
        """The upper ``share`` of the leg."""
        return Leg(part_of(self.outer, 0, share), part_of(self.inner, 0, max(share * 1.42 - 0.42, 0.12)))

    def outline(self) -> Points:
        """The closed outline, with the centre line from the crotch to the waist."""
        (ox, oy), (ix, iy) = self.outer[-1], self.inner[-1]
        hem = curve((ox, oy), ((ox + ix) / 2, (oy + iy) / 2 + 0.03), (ix, iy))
        return join(self.outer, hem, self.inner[::-1], curve((-0.03, -0.62), (-0.03, WAIST)))


def leg_of(cut: str, fit: float) -> Leg:
    """A full-length leg: slim, straight or wide."""
    outer_hem, inner_hem = {"slim": (0.46, 0.19), "wide": (0.86, 0.16)}.get(cut, (0.60, 0.17))
    hip = 0.64 + 0.05 * fit
    knee = (hip + outer_hem) / 2 - (0.02 if cut == "slim" else 0.0)
    outer = curve((0.50, WAIST), (hip, -1.05), (knee, 0.35), (outer_hem, 1.78))
    inner = curve((0.0, -0.64), (0.09, -0.2), (0.14 if cut == "slim" else 0.11, 0.5), (inner_hem, 1.80))
    return Leg(outer, inner)


def legs(pen: Pen, leg: Leg, fabric: Fabric, *, creased: bool = False, cuff: Fabric | None = None) -> None:
    """Both legs with folds at hip and knee, and ironed creases if ``creased``."""
    outline = leg.outline()
    bottom = float(leg.outer[-1][1])
    x = float(leg.outer[-1][0] + leg.inner[-1][0]) / 2
    folds = [
        crease((0.02, -0.66), (0.44, -0.86), 0.05, 0.07),
        crease((0.06, -0.50), (0.42, -0.48), 0.04, 0.06),
    ]
    if bottom > 0.8:
        folds += [
            crease((0.14, 0.36), (0.50, 0.26), 0.05, 0.07),
            crease((0.16, 0.62), (0.46, 0.70), -0.04, 0.06),
            crease((x + 0.14, bottom - 0.14), (x - 0.1, bottom - 0.20), 0.04, 0.05),
        ]
    for flip in (False, True):
        turn = mirror if flip else _same
        pen.part(turn(outline), fabric, "body leg", folds=[turn(fold) for fold in folds], puff=0.22)
        if creased:
            pen.stroke(turn(curve((0.33, -1.2), (0.33, 0.2), (x, bottom - 0.03))), 0.016, 0.22)
        (ox, oy), (ix, iy) = leg.outer[-1], leg.inner[-1]
        hem = curve((ox - 0.01, oy - 0.07), ((ox + ix) / 2, (oy + iy) / 2 - 0.04), (ix + 0.005, iy - 0.07))
        if cuff is None:
            pen.stitch(turn(hem), 0.3)
        else:
            pen.part(
                turn(band(curve((ox, oy), ((ox + ix) / 2, oy + 0.03), (ix, iy)), 0.14)),
                cuff,
                "hem",
                puff=0.06,
                lift=0.02,
            )
    pen.stroke(curve((0.0, WAIST), (0.0, -0.63)), 0.018, 0.4)


def _same(points: Points) -> Points:
    return points


def waistband(pen: Pen, fabric: Fabric, half: float = 0.50, height: float = 0.15, top: float = WAIST) -> None:
    """The waistband; its ends are slightly lower than the middle of the back."""
    low = top + height
    right = join(
        curve((0, top + 0.02), (half * 0.6, top + 0.01), (half, top - 0.03)),
        curve((half + 0.025, low - 0.03), (half * 0.6, low + 0.01), (0, low + 0.02)),
    )
    back = symmetric(
        join(
            curve((0, top - 0.07), (half * 0.7, top - 0.06), (half, top - 0.03)),
            curve((half * 0.9, top + 0.05), (0, top + 0.09)),
        )
    )
    pen.part(back, fabric.plain(0.6), puff=0.1)
    pen.part(symmetric(right), fabric.plain(0.98), "waist", puff=0.07, lift=0.02, line=0.5)


def belt_loops(pen: Pen, fabric: Fabric, places: tuple[float, ...]) -> None:
    """Loops along the waistband."""
    for x in places:
        pen.part(
            rectangle(x - 0.025, WAIST - 0.03, x + 0.025, WAIST + 0.19),
            fabric,
            puff=0.03,
            lift=0.015,
            line=0.5,
        )


def belt(pen: Pen, look: Look, back: bool, half: float = 0.53, y: float = WAIST + 0.085) -> None:
    """A leather belt through the loops, with its buckle in front."""
    strap = look.trim.plain().of("leather")
    strip = curve((-half, y - 0.04), (0, y + 0.015), (half, y - 0.04))
    pen.part(band(strip, 0.12), strap, "belt", puff=0.05, lift=0.025, line=0.6)
    if back:
        return
    pen.part(
        hoop(rectangle(-0.08, y - 0.075, 0.08, y + 0.095), 0.03),
        Fabric(GOLD).of("metal"),
        "belt",
        puff=0.03,
        lift=0.02,
        line=0.6,
    )


def jeans_front(pen: Pen, look: Look, thread: tuple[float, float, float]) -> None:
    """Scooped pockets, a fly and rivets."""
    pocket = curve((0.20, WAIST + 0.14), (0.28, WAIST + 0.33), (0.57, WAIST + 0.42))
    for turn in (_same, mirror):
        pen.stroke(turn(pocket), 0.03, 0.45, tag="pocket")
        pen.stitch(turn(pocket + (-0.02, 0.05)), 0.9, thread)
        rivet = turn(ellipse(0.22, WAIST + 0.19, 0.022, 0.022))
        pen.print(rivet, GOLD)
    fly = curve((0.13, WAIST + 0.15), (0.13, WAIST + 0.55), (0.0, WAIST + 0.80))
    pen.stitch(fly, 0.9, thread)
    pen.stroke(curve((0.0, WAIST + 0.15), (0.0, WAIST + 0.82)), 0.02, 0.45, tag="closure")
    pen.button(0, WAIST + 0.085, Fabric(GOLD).of("metal"), 0.05)
    if look.get("detail") == "ripped knees":
        for x, y in ((0.36, 0.18), (-0.38, 0.30)):
            for i in range(5):
                rip = crease((x - 0.13, y + i * 0.05), (x + 0.12, y + i * 0.05 + 0.01), 0.01, 0.045)
                pen.print(rip, (0.93, 0.92, 0.90), "detail")


def jeans_back(pen: Pen, fabric: Fabric, thread: tuple[float, float, float]) -> None:
    """A yoke, two patch pockets and a leather label."""
    for turn in (_same, mirror):
        pen.stroke(turn(curve((0.0, WAIST + 0.42), (0.56, WAIST + 0.27))), 0.02, 0.4)
        x, y = 0.31, WAIST + 0.46
        shape = join(
            curve((x - 0.17, y), (x + 0.17, y - 0.02)),
            curve((x + 0.18, y + 0.33), (x, y + 0.43)),
            curve((x - 0.16, y + 0.34), (x - 0.17, y)),
        )
        pen.part(turn(shape), fabric, "pocket", puff=0.06, lift=0.02, line=0.5)
        pen.stitch(turn(curve((x - 0.13, y + 0.16), (x, y + 0.24), (x + 0.14, y + 0.15))), 0.9, thread)
    pen.part(
        rectangle(0.16, WAIST + 0.02, 0.40, WAIST + 0.15, 0.02),
        Fabric((0.62, 0.40, 0.22)).of("leather"),
        puff=0.04,
    )


def jeans(pen: Pen, look: Look, back: bool) -> None:
    """Denim with contrast stitching."""
    fabric = look.fabric
    bright = sum(fabric.colour) / 3
    thread = (0.86, 0.62, 0.28) if 0.1 < bright < 0.8 else (0.6, 0.6, 0.6)
    leg = leg_of(look.get("cut"), look.fit)
    legs(pen, leg.cut(0.86) if look.get("length") == "cropped" else leg, fabric)
    for turn in (_same, mirror):  # faded thighs
        pen.stroke(turn(curve((0.34, -0.75), (0.38, -0.2), (0.36, 0.25))), 0.22, 0.05, (0.9, 0.93, 1.0))
        pen.stroke(turn(curve((0.34, -0.65), (0.38, -0.2), (0.36, 0.15))), 0.12, 0.06, (0.9, 0.93, 1.0))
    waistband(pen, fabric)
    belt_loops(pen, fabric, (-0.4, -0.2, 0.2, 0.4))
    if back:
        jeans_back(pen, fabric, thread)
    else:
        jeans_front(pen, look, thread)
    if look.get("belt"):
        belt(pen, look, back)


def trousers(pen: Pen, look: Look, back: bool) -> None:
    """Pressed, with slanted pockets."""
    leg = leg_of(look.get("cut"), look.fit)
    legs(pen, leg.cut(0.86) if look.get("length") == "cropped" else leg, look.fabric, creased=True)
    waistband(pen, look.fabric)
    belt_loops(pen, look.fabric, (-0.38, 0.38))
    if back:
        for x in (-0.29, 0.29):
            pen.part(
                rectangle(x - 0.15, -1.16, x + 0.15, -1.11),
                look.fabric,
                "pocket",
                puff=0.03,
                lift=0.02,
                line=0.6,
            )
            pen.button(x, -1.07, look.trim, 0.03, "")
    else:
        for turn in (_same, mirror):
            pen.stroke(turn(curve((0.36, WAIST + 0.15), (0.55, WAIST + 0.56))), 0.028, 0.5, tag="pocket")
        pen.stroke(curve((0.1, WAIST + 0.16), (0.1, WAIST + 0.55), (0, WAIST + 0.76)), 0.014, 0.3)
        pen.button(0, WAIST + 0.085, look.trim, 0.035)
    if look.get("belt"):
        belt(pen, look, back)


def joggers(pen: Pen, look: Look, back: bool) -> None:
    """Soft, with a drawstring and ribbed ankles."""
    fabric, rib = look.fabric, look.trim.of("rib")
    legs(pen, leg_of("slim", look.fit + 0.8), fabric, cuff=rib)
    waistband(pen, rib, 0.49, 0.20)
    for turn in (_same, mirror):
        slit = curve((0.46, WAIST + 0.24), (0.60, WAIST + 0.62))
        if look.get("pocket"):
            pen.stroke(turn(slit), 0.035, 0.5, tag="pocket")
        if look.get("detail") == "side stripes":
            leg = leg_of("slim", look.fit + 0.8)
            pen.stroke(turn(leg.outer[6:] - (0.05, 0.0)), 0.075, 0.95, look.trim.colour, "detail")
    if back:
        return
    for x in (-0.06, 0.06):
        cord = curve((x * 0.5, WAIST + 0.13), (x, WAIST + 0.3), (x * 1.6, WAIST + 0.52))
        pen.part(band(cord, 0.04), look.trim.plain(1.1), "drawstring", puff=0.02, lift=0.02, line=0.6)


def shorts(pen: Pen, look: Look, back: bool) -> None:
    """Above the knee, in denim or cotton, drawn larger."""
    here = pen.placed(1.42, 0.0, 1.22)
    outer = curve((0.50, WAIST), (0.66, -1.05), (0.76 + 0.06 * look.fit, -0.05))
    inner = curve((0.0, -0.64), (0.07, -0.40), (0.10, -0.02))
    legs(here, Leg(outer, inner), look.fabric)
    waistband(here, look.fabric)
    if look.get("closure") == "drawstring":
        for x in (-0.05, 0.05):
            cord = curve((x * 0.5, WAIST + 0.1), (x, WAIST + 0.24), (x * 1.7, WAIST + 0.4))
            if not back:
                here.part(band(cord, 0.035), look.trim.plain(1.1), "closure", puff=0.02, lift=0.02, line=0.6)
    else:
        belt_loops(here, look.fabric, (-0.4, -0.2, 0.2, 0.4))
        if not back:
            here.stroke(curve((0.1, WAIST + 0.16), (0.1, WAIST + 0.5), (0, WAIST + 0.7)), 0.014, 0.35)
            here.button(0, WAIST + 0.085, look.trim, 0.04)
    if back:
        jeans_back(here, look.fabric, look.fabric.plain(0.7).colour)
    else:
        for turn in (_same, mirror):
            here.stroke(turn(curve((0.34, WAIST + 0.15), (0.56, WAIST + 0.50))), 0.026, 0.5, tag="pocket")
    if look.get("belt"):
        belt(here, look, back)
