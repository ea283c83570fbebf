"""Belts, scarves, sunglasses and watches."""

from __future__ import annotations

import numpy as np

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, SILVER, Pen
from kaleidobert.synthetic.shapes import (
    Points,
    band,
    crease,
    curve,
    ellipse,
    hoop,
    join,
    loop,
    mirror,
    rectangle,
    symmetric,
)


def belt_coil(pen: Pen, look: Look, back: bool) -> None:
    """A closed belt seen from slightly above, with its buckle in front unless ``back``."""
    here = pen.placed(1.0, 0.0, 0.1)
    metal = Fabric(SILVER if look.variant % 2 else GOLD).of("metal")
    rear = ellipse(0, -0.18, 1.28, 0.44, 180, 360)
    front = ellipse(0, -0.18, 1.30, 0.56, 0, 180)
    here.part(join(rear - (0, 0.15), (rear + (0, 0.15))[::-1]), look.fabric.plain(0.62), puff=0.08, line=0.5)
    here.part(join(front - (0, 0.17), (front + (0, 0.17))[::-1]), look.fabric, "body", puff=0.10, line=0.55)
    for shift in (-0.12, 0.12):
        here.stitch(ellipse(0, -0.18 + shift, 1.29, 0.55, 8, 172), 0.45)
    if back:
        return
    if look.get("detail") == "studs":
        for x, y in ellipse(0, -0.16, 1.27, 0.55, 20, 160)[::2]:
            here.part(ellipse(x, y, 0.05, 0.05), metal, "detail", puff=0.04, lift=0.02, line=0.5)
    else:
        for x, y in ellipse(0, -0.16, 1.29, 0.56, 96, 140)[::6]:
            here.print(ellipse(x, y, 0.028, 0.034), (0.10, 0.08, 0.07))
    tail = belt_tail()
    here.part(tail, look.fabric.plain(1.04), "body", puff=0.08, lift=0.03, line=0.5)
    frame = rectangle(-0.26, 0.10, 0.26, 0.66, 0.10)
    here.part(hoop(frame, 0.085), metal, "closure buckle", puff=0.05, lift=0.04, line=0.6)
    here.part(
        band(curve((-0.24, 0.38), (0.0, 0.37), (0.26, 0.38)), 0.06),
        metal,
        "closure buckle",
        puff=0.03,
        lift=0.02,
        line=0.6,
    )
    here.part(rectangle(0.40, 0.12, 0.54, 0.60, 0.03), look.fabric.plain(0.9), puff=0.05, lift=0.03, line=0.6)


def belt_tail() -> Points:
    """The belt's loose end on its front."""
    return join(curve((-0.22, 0.20), (0.3, 0.19), (0.72, 0.10), (0.86, 0.17), (0.80, 0.40), (0.3, 0.52), (-0.22, 0.54)))


def scarf(pen: Pen, look: Look, back: bool) -> None:
    """Wrapped once, two ends hanging, fringed or plain."""
    fabric = look.fabric
    here = pen.placed(0.98, 0.0, 0.05)
    fringe = look.get("detail") == "fringe"
    here.part(ellipse(0, -1.22, 0.66, 0.40), fabric.plain(0.55), puff=0.2)
    ends = (((-0.12, -0.9), (-0.30, 0.2), (-0.42, 1.38)), ((0.10, -0.9), (0.26, 0.1), (0.34, 1.05)))
    for index, (a, b, c) in enumerate(ends if not back else ends[:1]):
        spine = curve(a, b, c)
        x, y = c
        if fringe:
            for step in range(9):
                dx = (step / 8 - 0.5) * 0.58
                here.part(
                    band(curve((x + dx, y - 0.03), (x + dx * 1.05 + 0.01, y + 0.26)), 0.045),
                    fabric.plain(0.96),
                    "detail",
                    puff=0.02,
                    line=0.4,
                )
        folds = [
            crease((a[0] + dx * 0.5, a[1] + 0.1), (c[0] + dx, c[1] - 0.1), 0.03, 0.08) for dx in (-0.17, 0.02, 0.19)
        ]
        here.part(
            band(spine, 0.48, 0.62),
            fabric,
            "body",
            folds=folds,
            puff=0.14,
            lift=0.03,
            turn=(6.0, -7.0)[index],
        )
        if not fringe:
            here.stitch(curve((x - 0.28, y - 0.07), (x + 0.28, y - 0.05)), 0.3)
    wrap = join(
        curve((-0.78, -1.28), (-0.60, -1.56), (0.0, -1.30), (0.60, -1.56), (0.78, -1.28)),
        curve((0.78, -1.28), (0.62, -0.86), (0.18, -0.60), (-0.22, -0.62), (-0.64, -0.90), (-0.78, -1.28)),
    )
    wraps = [
        crease((-0.68, -1.28), (0.62, -1.22), 0.34, 0.10),
        crease((-0.6, -1.08), (0.56, -1.02), 0.30, 0.09),
        crease((-0.4, -0.9), (0.4, -0.86), 0.16, 0.08),
    ]
    here.part(wrap, fabric, "body", folds=wraps, puff=0.22, lift=0.05, turn=90.0 * (look.variant % 2))


def sunglasses(pen: Pen, look: Look, back: bool) -> None:
    """Two tinted lenses in a round, square or pilot frame."""
    frame = look.fabric
    for flip in (False, True):
        temple = band(curve((1.20, -0.28), (1.10, -0.48), (0.96, -0.66)), 0.08, 0.05)
        pen.part(mirror(temple) if flip else temple, frame.plain(0.75), "temples", puff=0.03)
    shape = look.get("shape")
    if shape == "round":
        lens = ellipse(0.66, 0.02, 0.50, 0.49)
    elif shape == "aviator":
        lens = loop((0.16, -0.26), (0.65, -0.38), (1.16, -0.28), (1.18, 0.10), (0.86, 0.54), (0.46, 0.50), (0.20, 0.12))
    else:
        lens = loop(
            (0.17, -0.32),
            (0.66, -0.40),
            (1.18, -0.36),
            (1.19, 0.06),
            (1.00, 0.40),
            (0.62, 0.46),
            (0.28, 0.34),
            (0.15, 0.04),
        )
    tint = look.trim.plain(0.55).of("metal")
    bridge = curve((-0.24, -0.12), (0, -0.21), (0.24, -0.12))
    pen.part(band(bridge, 0.10), frame, puff=0.04, line=0.5)
    if shape == "aviator":
        pen.part(band(curve((-0.24, -0.34), (0, -0.38), (0.24, -0.34)), 0.06), frame, puff=0.03, line=0.5)
    width = 0.055 if shape == "aviator" else 0.125
    for flip in (False, True):
        turned = mirror(lens) if flip else lens
        pen.part(turned, tint, "lenses", puff=0.5, line=0.3)
        x = -0.66 if flip else 0.66
        if not back:
            glint = curve((x - 0.26, 0.16), (x - 0.02, -0.26), (x + 0.08, -0.26), (x - 0.16, 0.24))
            pen.stroke(glint, 0.05, 0.22, (1.0, 1.0, 1.0))
        pen.part(hoop(turned, width), frame, "body frame", puff=0.04, lift=0.02, line=0.55)


def watch(pen: Pen, look: Look, back: bool) -> None:
    """A strap, a round or square case, a dial with hands and marks."""
    here = pen.placed(0.94, 0.0, 0.02)
    metal = Fabric(SILVER if look.variant % 2 else GOLD).of("metal")
    upper = join(
        curve((0, -1.86), (0.24, -1.84), (0.28, -1.70)),
        curve((0.28, -1.70), (0.34, -1.1), (0.44, -0.5)),
        curve((0.44, -0.5), (0, -0.45)),
    )
    lower = join(
        curve((0, 0.45), (0.44, 0.5)),
        curve((0.44, 0.5), (0.33, 1.2), (0.26, 1.70)),
        curve((0.26, 1.70), (0.14, 1.88), (0, 1.90)),
    )
    for piece in (upper, lower):
        here.part(symmetric(piece), look.fabric, "strap body", puff=0.10, line=0.55)
    for x in (-0.27, 0.27):
        here.stitch(curve((x * 0.8, -1.7), (x * 1.25, -0.6)), 0.45)
        here.stitch(curve((x * 1.25, 0.6), (x * 0.75, 1.62)), 0.45)
    for y in (1.15, 1.30, 1.45, 1.60):
        here.print(ellipse(0, y, 0.035, 0.03), (0.10, 0.09, 0.08))
    ring = rectangle(-0.29, -1.96, 0.29, -1.76, 0.05)
    here.part(hoop(ring, 0.06), metal, puff=0.03, lift=0.02, line=0.6)
    square = look.get("shape") == "square"
    here.part(rectangle(0.62, -0.09, 0.80, 0.09, 0.03), metal, puff=0.03, line=0.6)
    case = rectangle(-0.62, -0.64, 0.62, 0.64, 0.16) if square else ellipse(0, 0, 0.68, 0.68)
    here.part(case, metal, "case", puff=0.10, lift=0.04, line=0.6)
    dial = rectangle(-0.49, -0.51, 0.49, 0.51, 0.09) if square else ellipse(0, 0, 0.55, 0.55)
    if back:
        here.part(dial, metal.plain(0.85), puff=0.05)
        here.stitch(ellipse(0, 0, 0.40, 0.40), 0.4)
        return
    face = look.trim
    here.part(dial, face.of("satin"), "dial", puff=0.05, line=0.6)
    ink = (0.12, 0.12, 0.13) if sum(face.colour) > 1.4 else (0.95, 0.95, 0.93)
    for hour in range(12):
        angle = hour * np.pi / 6
        tip = np.array([np.sin(angle), -np.cos(angle)])
        inner = 0.36 if hour % 3 == 0 else 0.40
        here.print(band(np.array([tip * inner, tip * 0.46]), 0.05 if hour % 3 == 0 else 0.025), ink)
    for angle, length, width in ((-0.95, 0.26, 0.055), (0.95, 0.38, 0.04)):
        here.print(
            band(np.array([(0.0, 0.0), (np.sin(angle) * length, -np.cos(angle) * length)]), width),
            ink,
            "hands",
        )
    here.print(ellipse(0, 0, 0.045, 0.045), metal.colour)
