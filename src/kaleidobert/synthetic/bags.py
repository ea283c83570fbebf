"""Handbags, totes, crossbody bags and backpacks."""

from __future__ import annotations

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, SILVER, Pen
from kaleidobert.synthetic.shapes import Points, band, crease, curve, ellipse, hoop, join, rectangle, symmetric
from kaleidobert.synthetic.torso import logo

BRASS = Fabric(GOLD).of("metal")
STEEL = Fabric(SILVER).of("metal")


def ring(pen: Pen, x: float, y: float, radius: float = 0.085, tag: str = "") -> None:
    """A metal ring."""
    pen.part(hoop(ellipse(x, y, radius, radius), 0.035), BRASS, tag, puff=0.02, lift=0.015, line=0.6)


def handle(pen: Pen, fabric: Fabric, half: float, y: float, height: float, shade: float = 1.0) -> None:
    """An arched carrying handle between (-half, y) and (half, y)."""
    arch = curve(
        (-half, y),
        (-half * 0.94, y - height * 0.6),
        (-half * 0.5, y - height * 0.96),
        (0, y - height),
        (half * 0.5, y - height * 0.96),
        (half * 0.94, y - height * 0.6),
        (half, y),
    )
    pen.part(band(arch, 0.115), fabric, "handle strap", puff=0.05, line=0.55, shade=shade)
    pen.stitch(arch, 0.3)


def quilting(pen: Pen, left: float, top: float, right: float, bottom: float) -> None:
    """Diagonal quilting seams within a rectangle."""
    height = bottom - top
    steps = 7
    for index in range(-steps, 2 * steps):
        x = left + (right - left) * index / steps
        for lean in (1, -1):
            a, b = (x, top), (x + lean * height * 0.8, bottom)
            ends = sorted((a, b))
            low, high = max(ends[0][0], left), min(ends[1][0], right)
            if high - low > 0.05:
                slope = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
                line = curve(
                    (low, ends[0][1] + slope * (low - ends[0][0])),
                    (high, ends[0][1] + slope * (high - ends[0][0])),
                )
                pen.stroke(line, 0.022, 0.26, tag="detail")


def clasp(pen: Pen, y: float, tag: str = "closure") -> None:
    """A turn lock."""
    pen.part(rectangle(-0.13, y - 0.09, 0.13, y + 0.09, 0.05), BRASS, tag, puff=0.05, lift=0.02, line=0.6)
    pen.part(
        rectangle(-0.03, y - 0.075, 0.03, y + 0.075, 0.02),
        BRASS.plain(0.85),
        tag,
        puff=0.03,
        lift=0.015,
        line=0.6,
    )


def handbag(pen: Pen, look: Look, back: bool) -> None:
    """A structured body, a flap with a clasp or a zip, one arched handle."""
    handle(pen, look.trim.of("leather"), 0.56, -0.34, 1.02)
    shape = join(
        curve((0, -0.40), (0.78, -0.40), (0.92, -0.32)),
        curve((0.92, -0.32), (1.06, 0.4), (1.14, 1.16)),
        curve((1.14, 1.16), (1.08, 1.30), (0, 1.32)),
    )
    pen.part(
        symmetric(shape),
        look.fabric,
        "body",
        puff=0.24,
        line=0.5,
        folds=[crease((0.9, -0.1), (0.98, 0.9), 0.05, 0.08), crease((-0.9, -0.1), (-0.98, 0.9), -0.05, 0.08)],
    )
    pen.stitch(curve((-1.06, 1.20), (0, 1.24), (1.06, 1.20)), 0.35)
    if look.get("detail") == "quilted":
        quilting(pen, -0.9, -0.3, 0.9, 1.2)
    for x in (-0.56, 0.56):
        pen.part(
            rectangle(x - 0.09, -0.38, x + 0.09, -0.06, 0.05),
            look.trim.of("leather"),
            puff=0.05,
            lift=0.02,
            line=0.5,
        )
        ring(pen, x, -0.36)
    if back:
        pen.stroke(curve((-0.7, 0.1), (0.7, 0.1)), 0.03, 0.45)
        return
    if look.get("closure") == "zip":
        pen.zip(curve((-0.78, -0.22), (0.0, -0.19), (0.78, -0.22)), GOLD)
        if look.get("pocket"):
            pen.part(rectangle(-0.66, 0.30, 0.66, 1.06, 0.12), look.fabric, "pocket", puff=0.1, lift=0.03, line=0.5)
            pen.stitch(curve((-0.6, 0.40), (0.6, 0.40)), 0.35)
        return
    flap = join(
        curve((0, -0.42), (0.78, -0.42), (0.93, -0.32)),
        curve((0.93, -0.32), (0.98, 0.06), (0.92, 0.26)),
        curve((0.92, 0.26), (0.55, 0.48), (0, 0.56)),
    )
    pen.part(symmetric(flap), look.fabric, "flap", puff=0.14, lift=0.05, line=0.5)
    pen.stitch(curve((-0.86, 0.22), (-0.52, 0.41), (0, 0.49), (0.52, 0.41), (0.86, 0.22)), 0.35)
    clasp(pen, 0.46)


def tote(pen: Pen, look: Look, back: bool) -> None:
    """An open bag with two long handles; perhaps a print or a pocket."""
    strap = look.trim.plain()
    handle(pen, strap, 0.46, -0.42, 1.22, 0.72)
    opening = join(curve((-0.88, -0.5), (0, -0.60), (0.88, -0.5)), curve((0.88, -0.44), (0, -0.36), (-0.88, -0.44)))
    pen.part(opening, look.fabric.plain(0.6), puff=0.1)
    shape = join(
        curve((0, -0.40), (0.88, -0.48)),
        curve((0.88, -0.48), (0.98, 0.4), (1.04, 1.40)),
        curve((1.04, 1.40), (0.5, 1.46), (0, 1.46)),
    )
    folds = [
        crease((-0.5, -0.3), (-0.66, 0.9), 0.05, 0.09),
        crease((0.44, -0.3), (0.62, 0.7), -0.05, 0.08),
        crease((0.7, 1.3), (0.1, 0.95), 0.05, 0.08),
    ]
    pen.part(symmetric(shape), look.fabric, "body", puff=0.16, line=0.5, folds=folds)
    pen.stitch(curve((-0.90, -0.34), (0, -0.27), (0.90, -0.34)), 0.35)
    handle(pen, strap, 0.50, -0.24, 1.22)
    for x in (-0.50, 0.50):
        pen.part(rectangle(x - 0.075, -0.30, x + 0.075, 0.04), strap, "handle strap", puff=0.05, lift=0.015, line=0.5)
        pen.stroke(curve((x - 0.05, -0.12), (x + 0.05, 0.0)), 0.012, 0.35)
        pen.stroke(curve((x + 0.05, -0.12), (x - 0.05, 0.0)), 0.012, 0.35)
    if back:
        return
    if look.get("pocket"):
        pen.part(rectangle(-0.52, 0.34, 0.52, 1.12, 0.06), look.fabric, "pocket", puff=0.08, lift=0.03, line=0.5)
        pen.stitch(curve((-0.48, 0.43), (0.48, 0.43)), 0.35)
    if look.get("logo"):
        logo(pen.placed(1.7, 0.0, 0.50), look.variant, look.trim, 0.0)


def crossbody(pen: Pen, look: Look, back: bool) -> None:
    """Small and round-cornered on a long strap or chain."""
    loop = curve((-0.86, -0.12), (-0.80, -1.0), (-0.35, -1.72), (0.1, -1.80), (0.55, -1.5), (0.84, -0.8), (0.86, -0.12))
    if look.get("strap") == "chain strap":
        pen.stroke(loop, 0.05, 0.95, (0.62, 0.48, 0.22), "strap")
        pen.stitch(loop, 0.95, (0.95, 0.84, 0.52))
    else:
        pen.part(band(loop, 0.085), look.trim.of("leather"), "strap", puff=0.04, line=0.55)
    shape = join(
        curve((0, -0.28), (0.7, -0.28), (0.92, -0.10)),
        curve((0.92, -0.10), (1.0, 0.5), (0.94, 0.94)),
        curve((0.94, 0.94), (0.72, 1.16), (0, 1.18)),
    )
    pen.part(symmetric(shape), look.fabric, "body", puff=0.26, line=0.5)
    if look.get("detail") == "quilted":
        quilting(pen, -0.82, -0.18, 0.82, 1.06)
    for x in (-0.86, 0.86):
        ring(pen, x, -0.10)
    if back:
        pen.stroke(curve((-0.6, 0.2), (0.6, 0.2)), 0.03, 0.45)
        return
    if look.get("closure") == "zip":
        pen.zip(curve((-0.68, 0.0), (0, 0.03), (0.68, 0.0)), GOLD)
    else:
        flap = join(
            curve((0, -0.30), (0.7, -0.30), (0.93, -0.10)),
            curve((0.93, -0.10), (0.80, 0.34), (0.34, 0.62), (0, 0.66)),
        )
        pen.part(symmetric(flap), look.fabric, "flap", puff=0.16, lift=0.05, line=0.5)
        clasp(pen, 0.54)
    if look.get("detail") == "tassels":
        pen.part(
            curve((0.60, 0.02), (0.50, 0.44), (0.48, 0.74), (0.74, 0.74), (0.70, 0.44), (0.60, 0.02)),
            look.trim,
            "detail",
            puff=0.06,
            lift=0.04,
            line=0.6,
        )
        for x in (0.55, 0.61, 0.67):
            pen.stroke(curve((0.6, 0.3), (x, 0.74)), 0.014, 0.4)


def backpack(pen: Pen, look: Look, back: bool) -> None:
    """A round-topped bag with zips, a front pocket, side pockets and shoulder straps."""
    pen.part(
        band(curve((-0.24, -1.36), (-0.2, -1.62), (0, -1.70), (0.2, -1.62), (0.24, -1.36)), 0.10),
        look.trim,
        "handle",
        puff=0.05,
        line=0.55,
    )
    for side in (-1, 1):
        if not back:
            pen.part(
                band(
                    curve((side * 0.5, -1.2), (side * 1.02, -0.7), (side * 1.08, 0.3), (side * 0.9, 1.0)),
                    0.15,
                ),
                look.trim.plain(0.85),
                "strap",
                puff=0.06,
            )
        pen.part(
            rectangle(side * 0.885 - 0.165, 0.45, side * 0.885 + 0.165, 1.36, 0.14), look.fabric.plain(0.85), puff=0.1
        )
    shape = join(
        curve((0, -1.48), (0.42, -1.44), (0.78, -1.14), (0.88, -0.6)),
        curve((0.88, -0.6), (0.95, 0.4), (0.92, 1.2)),
        curve((0.92, 1.2), (0.78, 1.44), (0, 1.46)),
    )
    pen.part(symmetric(shape), look.fabric, "body", puff=0.30, line=0.5)
    if back:
        _harness(pen, look)
        return
    arch: Points = curve(
        (-0.74, -0.30),
        (-0.70, -0.86),
        (-0.42, -1.22),
        (0, -1.30),
        (0.42, -1.22),
        (0.70, -0.86),
        (0.74, -0.30),
    )
    if look.get("closure") == "flap":
        flap = join(
            curve((0, -1.50), (0.44, -1.46), (0.80, -1.14), (0.90, -0.6)),
            curve((0.92, -0.2), (0.86, 0.0), (0, 0.06)),
        )
        pen.part(symmetric(flap), look.fabric, "closure flap", puff=0.2, lift=0.05, line=0.5)
        for x in (-0.42, 0.42):
            pen.part(
                rectangle(x - 0.075, -0.3, x + 0.075, 0.40),
                look.trim.of("leather"),
                "closure",
                puff=0.05,
                lift=0.03,
                line=0.5,
            )
            buckle = rectangle(x - 0.11, 0.14, x + 0.11, 0.32)
            pen.part(hoop(buckle, 0.035), STEEL, "closure", puff=0.03, lift=0.02, line=0.6)
    else:
        pen.zip(arch)
    if look.get("pocket"):
        pocket = join(
            curve((0, 0.30), (0.5, 0.30), (0.68, 0.44)),
            curve((0.68, 0.44), (0.74, 0.9), (0.68, 1.22)),
            curve((0.6, 1.30), (0, 1.31)),
        )
        pen.part(symmetric(pocket), look.fabric, "pocket", puff=0.16, lift=0.04, line=0.5)
        pen.stroke(curve((-0.54, 0.50), (0, 0.52), (0.54, 0.50)), 0.05, 0.4)
        pen.stroke(curve((-0.54, 0.50), (0, 0.52), (0.54, 0.50)), 0.026, 1.0, SILVER)
    if look.get("logo"):
        logo(pen.placed(0.9, 0.0, -0.42), look.variant, look.trim, 0.0)


def _harness(pen: Pen, look: Look) -> None:
    """Padded back and shoulder straps."""
    pen.part(rectangle(-0.62, -0.9, 0.62, 1.15, 0.2), look.fabric.plain(0.88), puff=0.14, line=0.4)
    pen.stroke(curve((0, -0.85), (0, 1.1)), 0.04, 0.3)
    for side in (-1, 1):
        strap = curve((side * 0.24, -1.22), (side * 0.42, -0.7), (side * 0.50, 0.1), (side * 0.62, 0.8))
        pen.part(band(strap, 0.24, 0.16), look.trim, "strap", puff=0.08, lift=0.05, line=0.5)
        pen.part(
            band(curve((side * 0.62, 0.8), (side * 0.74, 1.25)), 0.07),
            look.trim.plain(0.7),
            "strap",
            puff=0.03,
            line=0.5,
        )
        pen.stitch(strap, 0.3)
