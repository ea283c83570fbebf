"""Caps, beanies and sun hats."""

from __future__ import annotations

import numpy as np

from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import Pen
from kaleidobert.synthetic.shapes import band, crease, curve, ellipse, join, rectangle, symmetric
from kaleidobert.synthetic.tops import bow
from kaleidobert.synthetic.torso import logo


def cap(pen: Pen, look: Look, back: bool) -> None:
    """A baseball cap from three quarters: six panels, a button, a curved brim, perhaps an emblem."""
    here = pen.placed(1.12, 0.16, 0.1)
    dome = join(
        curve((-0.86, 0.34), (-0.88, -0.2), (-0.55, -0.68), (0.05, -0.86), (0.62, -0.66), (0.92, -0.12), (0.93, 0.34)),
        curve((0.93, 0.34), (0.5, 0.46), (-0.1, 0.50), (-0.86, 0.34)),
    )
    here.part(dome, look.fabric, "body crown", puff=0.36, line=0.5)
    for points in (
        ((0.05, -0.86), (-0.36, -0.45), (-0.42, 0.46)),
        ((0.05, -0.86), (0.40, -0.35), (0.46, 0.46)),
        ((0.05, -0.86), (0.72, -0.42), (0.86, 0.2)),
    ):
        here.stroke(curve(*points), 0.02, 0.35)
        here.stitch(curve(*points) + (0.03, 0.0), 0.2)
    for x, y in ((-0.16, -0.50), (0.30, -0.52), (0.62, -0.34)):
        here.part(ellipse(x, y, 0.035, 0.035), look.fabric.plain(0.5), puff=0.03)
    if back:
        gap = join(curve((0.50, 0.48), (0.52, 0.12), (0.70, 0.04), (0.90, 0.16)), curve((0.90, 0.36), (0.50, 0.48)))
        here.part(gap, look.fabric.plain(0.45), puff=0.05)
        here.part(
            band(curve((0.5, 0.42), (0.72, 0.39), (0.93, 0.30)), 0.10),
            look.fabric,
            "strap",
            puff=0.04,
            lift=0.02,
        )
    if look.get("logo") and not back:
        logo(here.placed(0.85, -0.02, -0.04), look.variant, look.trim, 0.0)
    under = curve((-0.84, 0.30), (-1.18, 0.52), (-1.42, 0.78), (-1.0, 0.78), (-0.3, 0.62), (0.3, 0.46))
    here.part(under, look.fabric.plain(0.55), puff=0.08)
    brim = join(
        curve((-0.86, 0.26), (-1.22, 0.44), (-1.44, 0.74)),
        curve((-1.44, 0.74), (-1.1, 0.60), (-0.55, 0.58), (-0.1, 0.62), (0.42, 0.49)),
        curve((0.42, 0.46), (-0.2, 0.40), (-0.86, 0.26)),
    )
    here.part(
        brim,
        look.trim,
        "brim",
        puff=0.10,
        lift=0.03,
        line=0.5,
    )
    for step in (0.06, 0.12):
        here.stitch(
            curve((-0.96 - step * 1.2, 0.34 + step), (-0.6, 0.46 + step * 0.6), (0.1, 0.50 + step * 0.3)),
            0.25,
        )
    here.part(ellipse(0.05, -0.87, 0.08, 0.045), look.fabric, puff=0.04, line=0.5)


def beanie(pen: Pen, look: Look, back: bool) -> None:
    """Knitted, with a ribbed turn-up and perhaps a pompom; from the back without its patch."""
    here = pen.placed(1.22, 0.0, 0.18)
    if look.get("detail") == "pompom":
        rough = [
            (0.36 * np.cos(a) * (1 + 0.06 * (i % 2)), -1.12 + 0.34 * np.sin(a) * (1 + 0.06 * (i % 2)))
            for i, a in enumerate(np.linspace(0, 2 * np.pi, 45))
        ]
        here.part(curve(*rough, steps=2), look.trim.of("wool"), "detail", puff=0.2, line=0.4)
    dome = curve((0, -0.98), (0.38, -0.92), (0.74, -0.52), (0.86, 0.10), (0.86, 0.5), (0, 0.6))
    ribs = [crease((x * 0.35, -0.86), (x, 0.2), x * 0.12, 0.07) for x in (-0.72, -0.45, -0.15, 0.15, 0.45, 0.72)]
    here.part(symmetric(dome), look.fabric, "body crown", puff=0.34, folds=ribs)
    cuff = join(
        curve((0, 0.18), (0.6, 0.15), (0.90, 0.06)),
        curve((0.90, 0.06), (0.95, 0.36), (0.90, 0.64)),
        curve((0.90, 0.64), (0.5, 0.75), (0, 0.78)),
    )
    here.part(symmetric(cuff), look.trim.of("rib"), "cuff", puff=0.14, lift=0.04, line=0.5)
    if look.get("logo") and not back:
        here.part(
            rectangle(-0.20, 0.30, 0.20, 0.62, 0.03),
            look.trim.of("leather"),
            "logo",
            puff=0.04,
            lift=0.02,
            line=0.6,
        )
        logo(here.placed(0.42, 0.0, 0.46), look.variant, look.fabric, 0.0)


def sun_hat(pen: Pen, look: Look, back: bool) -> None:
    """A wide brim, a rounded crown and a ribbon."""
    here = pen.placed(1.0, 0.0, 0.15)
    brim = curve(
        (-1.40, 0.36),
        (-1.05, 0.06),
        (0.0, -0.06),
        (1.05, 0.06),
        (1.40, 0.36),
        (1.10, 0.58),
        (0.4, 0.72),
        (-0.4, 0.72),
        (-1.10, 0.58),
        (-1.40, 0.36),
    )
    here.part(brim, look.fabric, "body brim", puff=0.22, line=0.5)
    for scale in (0.9, 0.8, 0.7):
        here.stroke(ellipse(0, 0.34, 1.38 * scale, 0.38 * scale, 10, 170), 0.014, 0.2)
    crown = curve((0, -0.90), (0.36, -0.88), (0.62, -0.66), (0.70, -0.1), (0.74, 0.26), (0.4, 0.38), (0, 0.41))
    here.part(symmetric(crown), look.fabric, "body crown", puff=0.34, lift=0.05, line=0.4)
    ribbon = join(
        curve((0, 0.05), (0.4, 0.03), (0.71, -0.06)),
        curve((0.71, -0.06), (0.75, 0.24)),
        curve((0.75, 0.24), (0.4, 0.37), (0, 0.40)),
    )
    here.part(symmetric(ribbon), look.trim.of("satin").plain(), "detail ribbon", puff=0.08, lift=0.015, line=0.5)
    if look.variant % 2 and not back:
        bow(here.placed(0.62, 0.42, 0.20), 0, 0, look.trim.of("satin").plain())
