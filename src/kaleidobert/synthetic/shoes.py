"""Heels, sandals and loafers, in pairs and from the side, toes to the left."""

from __future__ import annotations

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.footwear import DARK, pair
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, Pen
from kaleidobert.synthetic.shapes import band, crease, curve, ellipse, hoop, join, rectangle


def heel_shoe(pen: Pen, look: Look) -> None:
    """A pump with a stiletto, block or kitten heel; perhaps an ankle strap or a bow."""
    kitten = look.get("heel") == "kitten heel"
    rise = 0.42 if kitten else 0.0  # by which the heel is lower
    here = pen.placed(1.0, 0.0, -0.05)
    y = -0.36 + rise
    if look.get("heel") == "block heel":
        heel = join(
            curve((0.62, y + 0.16), (1.10, y)),
            curve((1.10, y), (1.12, 0.25), (1.08, 0.62)),
            curve((0.72, 0.62), (0.74, 0.3), (0.62, y + 0.16)),
        )
    else:
        heel = join(
            curve((0.66, y + 0.18), (1.10, y)),
            curve((1.10, y), (1.03, y + 0.36), (1.00, 0.62)),
            curve((0.93, 0.62), (0.92, y + 0.42), (0.86, y + 0.20), (0.66, y + 0.18)),
        )
    here.part(heel, look.trim, "heel", puff=0.08, line=0.5)
    far = curve((-0.62, 0.24), (-0.25, 0.10), (0.30, -0.12 + rise * 0.5), (0.78, y - 0.12), (1.03, y - 0.36))
    topline = curve((-0.62, 0.24), (-0.36, 0.30), (0.12, 0.14 + rise * 0.35), (0.70, y - 0.02), (1.03, y - 0.36))
    here.part(join(far, topline[::-1]), Fabric((0.84, 0.72, 0.58)).of("leather"), puff=0.06, line=0.5)
    upper = join(
        topline,
        curve((1.03, y - 0.36), (1.12, y - 0.12), (1.11, y + 0.04)),
        curve(
            (1.11, y + 0.04),
            (0.80, y + 0.14),
            (0.20, 0.36 + rise * 0.4),
            (-0.35, 0.57),
            (-0.7, 0.60),
            (-1.22, 0.58),
        ),
        curve((-1.22, 0.58), (-1.25, 0.47), (-1.0, 0.34), (-0.62, 0.24)),
    )
    here.part(
        upper,
        look.fabric,
        "body",
        puff=0.20,
        line=0.45,
        folds=[crease((-0.9, 0.50), (-0.3, 0.40), -0.03, 0.04)],
    )
    under = curve(
        (1.11, y + 0.06),
        (0.80, y + 0.17),
        (0.20, 0.39 + rise * 0.4),
        (-0.35, 0.60),
        (-0.7, 0.63),
        (-1.22, 0.61),
    )
    here.part(band(under, 0.06), DARK, "sole", puff=0.03)
    if look.get("strap"):
        here.part(band(ellipse(0.68, y - 0.62, 0.36, 0.10, 180, 360), 0.08), look.fabric.plain(0.6), puff=0.03)
        here.part(band(curve((1.06, y - 0.2), (1.05, y - 0.4), (1.03, y - 0.64)), 0.10), look.fabric.plain(), puff=0.04)
        here.part(
            band(ellipse(0.68, y - 0.60, 0.37, 0.12, -5, 185), 0.085), look.fabric.plain(), "strap", puff=0.03, line=0.5
        )
        ring = rectangle(0.58, y - 0.54, 0.70, y - 0.42)
        here.part(hoop(ring, 0.03), Fabric(GOLD).of("metal"), "strap", puff=0.03, line=0.6)
    if look.get("detail") == "bow":
        for side in (-1, 1):
            loop = curve(
                (-0.62, 0.28),
                (-0.62 + side * 0.16, 0.16),
                (-0.62 + side * 0.24, 0.28),
                (-0.62 + side * 0.15, 0.38),
                (-0.62, 0.28),
            )
            here.part(loop, look.trim, "detail", puff=0.06, lift=0.02, line=0.5)
        here.part(ellipse(-0.62, 0.28, 0.05, 0.055), look.trim, "detail", puff=0.05, lift=0.02, line=0.5)


def sandal_shoe(pen: Pen, look: Look) -> None:
    """A contoured footbed with straps arching over it; flat or on a wedge."""
    h = 0.40 if look.get("heel") == "wedge heel" else 0.0
    cork = Fabric((0.80, 0.64, 0.44)).of("canvas")
    arches = ((-0.98, 0.14, 0.0, 0.30), (-0.62, 0.02, h * 0.2, 0.26), (-0.20, -0.10, h * 0.4, 0.22))
    for x, top, lower, width in arches:  # far sides
        far = curve((x + 0.26, top - lower), (x + 0.48, top + 0.06 - lower), (x + 0.56, 0.24 - lower))
        pen.part(band(far, width * 0.8), look.fabric.plain(0.6), puff=0.05)
    pen.part(
        band(curve((0.78, -0.30 - h), (1.06, -0.36 - h), (1.10, -0.1 - h)), 0.13), look.fabric.plain(0.6), puff=0.05
    )
    bed = join(
        curve((-1.22, 0.33), (-0.98, 0.20), (-0.2, 0.20 - h * 0.3), (0.5, 0.14 - h * 0.8), (1.0, 0.06 - h)),
        curve((1.0, 0.06 - h), (1.18, 0.16 - h), (1.14, 0.28 - h)),
        curve((1.14, 0.28 - h), (0.5, 0.32 - h * 0.8), (-0.3, 0.38 - h * 0.2), (-1.0, 0.44), (-1.22, 0.33)),
    )
    pen.part(bed, Fabric((0.88, 0.74, 0.56)).of("leather"), puff=0.08, line=0.5)
    side = join(
        curve((-1.25, 0.33), (-0.95, 0.42), (-0.3, 0.37 - h * 0.2), (0.5, 0.31 - h * 0.8), (1.18, 0.18 - h)),
        curve((1.18, 0.18 - h), (1.19, 0.38), (1.12, 0.57)),
        curve((1.12, 0.57), (0.0, 0.58), (-1.0, 0.58), (-1.25, 0.33)),
    )
    pen.part(side, cork, "sole heel", puff=0.08, line=0.5)
    pen.part(band(curve((-1.20, 0.53), (-0.9, 0.59), (0.0, 0.60), (1.15, 0.58)), 0.07), DARK, "sole", puff=0.03)
    for x, top, lower, width in arches:
        near = curve(
            (x - 0.02, 0.46 - lower), (x + 0.02, 0.24 - lower), (x + 0.14, top + 0.04 - lower), (x + 0.30, top - lower)
        )
        pen.part(band(near, width, width * 0.8), look.fabric, "body strap", puff=0.10, lift=0.03, line=0.5, turn=70)
    post = curve((1.04, 0.26 - h), (1.10, -0.06 - h), (1.07, -0.36 - h))
    pen.part(band(post, 0.20, 0.12), look.fabric, "body strap", puff=0.06, line=0.5)
    ankle = curve((1.10, -0.30 - h), (0.86, -0.20 - h), (0.58, -0.26 - h), (0.66, -0.36 - h), (0.82, -0.37 - h))
    pen.part(band(ankle, 0.12), look.fabric, "body strap", puff=0.05, lift=0.02, line=0.5)
    if look.get("detail") == "buckle":
        ring = rectangle(0.66, -0.34 - h, 0.84, -0.14 - h)
        pen.part(hoop(ring, 0.04), Fabric(GOLD).of("metal"), "detail", puff=0.03, lift=0.02, line=0.6)


def loafer_shoe(pen: Pen, look: Look) -> None:
    """A low slip-on with an apron seam; a saddle strap or tassels."""
    pen.part(
        curve((-0.30, -0.10), (0.2, -0.32), (0.95, -0.42), (0.98, -0.1), (0.2, 0.05)),
        look.fabric.plain(0.5),
        puff=0.1,
    )
    top = curve((-0.36, -0.16), (-0.05, -0.12), (0.25, 0.0), (0.62, -0.12), (1.02, -0.44))
    upper = join(
        curve((-1.26, 0.40), (-1.22, 0.16), (-0.95, -0.04), (-0.36, -0.24)),
        top,
        curve((1.02, -0.44), (1.10, 0.0), (1.10, 0.42)),
        curve((1.10, 0.42), (-1.26, 0.44)),
    )
    pen.part(
        upper,
        look.fabric,
        "body",
        puff=0.24,
        line=0.45,
        folds=[crease((-0.55, 0.22), (-0.2, 0.05), 0.03, 0.05)],
    )
    pen.stroke(curve((-0.30, 0.02), (-0.75, 0.05), (-1.06, 0.17), (-1.14, 0.24)), 0.03, 0.4)
    pen.stitch(curve((-0.28, 0.06), (-0.72, 0.09), (-1.0, 0.20)), 0.35)
    saddle = join(
        curve((-0.44, -0.24), (-0.20, -0.20)),
        curve((-0.20, -0.20), (0.02, 0.1), (0.10, 0.40)),
        curve((-0.16, 0.40), (-0.26, 0.1), (-0.44, -0.24)),
    )
    pen.part(saddle, look.fabric.plain(0.94), "strap", puff=0.08, lift=0.025, line=0.5)
    if look.get("detail") == "tassels":
        for x in (-0.46, -0.34):
            fringe = curve((x, -0.16), (x - 0.07, 0.02), (x - 0.08, 0.16), (x + 0.03, 0.17), (x + 0.02, -0.16))
            pen.part(fringe, look.fabric.plain(0.9), "detail", puff=0.04, lift=0.025, line=0.6)
    else:
        bar = curve((-0.36, -0.12), (-0.2, -0.02), (-0.02, 0.06))
        pen.part(band(bar, 0.06), Fabric(GOLD).of("metal"), "detail", puff=0.03, lift=0.02, line=0.6)
    sole = join(
        curve((-1.30, 0.42), (-0.5, 0.42), (1.13, 0.38)),
        curve((1.14, 0.60), (0.60, 0.60)),
        curve((0.58, 0.50), (0.0, 0.50), (-1.2, 0.53), (-1.30, 0.42)),
    )
    pen.part(sole, DARK, "sole heel", puff=0.05, line=0.5)


heels, sandals, loafers = pair(heel_shoe, 1.02), pair(sandal_shoe, 1.02), pair(loafer_shoe, 1.02)
