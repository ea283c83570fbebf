"""Jackets, blazers, puffers, coats and trench coats."""

from __future__ import annotations

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, Pen
from kaleidobert.synthetic.shapes import Points, band, crease, curve, hoop, join, mirror, rectangle, symmetric
from kaleidobert.synthetic.tops import hem_rib
from kaleidobert.synthetic.torso import (
    NECK_TOP,
    arm,
    body,
    body_folds,
    collar,
    collar_stand,
    inside,
    neckline,
    sleeves,
    torso_of,
    welt_pockets,
)


def both(points: Points) -> tuple[Points, Points]:
    """The right-hand piece and its mirror image."""
    return points, mirror(points)


def bomber(pen: Pen, look: Look, back: bool) -> None:
    """A zip, ribbed collar, cuffs and hem."""
    torso = torso_of(look, length=0.82, shoulder=0.79, chest=0.76, waist=0.76, hem=0.70, hem_curve=0.02)
    rib = look.trim.of("rib")
    neck = neckline(torso, "crew neck", back)
    if not back:
        inside(pen, neck, look.trim.plain(0.9), 0.6)
    sleeves(pen, arm(torso, "long sleeve", 0.2), look.fabric, cuff=rib, share=0.09)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, 1.0))
    hem_rib(pen, torso, rib, 0.18)
    whole = join(mirror(neck)[:-1], neck)
    pen.part(band(whole + (0, -0.02), 0.15), rib, "neck collar", puff=0.08, lift=0.02, line=0.5)
    if not back:
        pen.zip(curve((0, float(neck[0][1]) - 0.05), (0, 1.0)))
        if look.get("pocket"):
            welt_pockets(pen, look.fabric, 0.42, 0.42)


def denim_jacket(pen: Pen, look: Look, back: bool) -> None:
    """Metal buttons, chest flaps, contrast seams."""
    torso = torso_of(look, length=0.80, shoulder=0.77, chest=0.74, waist=0.70, hem=0.66, hem_curve=0.02)
    fabric = look.fabric
    thread = (0.86, 0.62, 0.28)
    neck = neckline(torso, "crew neck", back)
    if not back:
        collar_stand(pen, torso, fabric)
    sleeves(pen, arm(torso, "long sleeve", 0.2), fabric, cuff=fabric, share=0.09)
    pen.part(body(torso, neck), fabric, "body", folds=body_folds(torso, 0.6))
    hem_rib(pen, torso, fabric, 0.15)
    for turn in both(curve((0.09, -0.62), (0.68, -0.62))):
        pen.stroke(turn, 0.02, 0.35)
        pen.stitch(turn + (0, 0.035), 0.9, thread)
    for line in (curve((0.18, -0.62), (0.13, 0.80)), curve((0.56, -0.60), (0.36, 0.80))):
        for turn in both(line):
            pen.stroke(turn, 0.016, 0.3)
            pen.stitch(turn + (0.025, 0), 0.9, thread)
    if not back:
        metal = Fabric(GOLD).of("metal")
        pen.part(rectangle(-0.07, -1.0, 0.07, 0.95), fabric, "closure", puff=0.05, lift=0.015)
        for index in range(6):
            pen.button(0, -0.90 + 0.35 * index, metal, 0.045)
        if look.get("pocket"):
            for turn in both(
                join(
                    curve((0.19, -0.62), (0.55, -0.62)),
                    curve((0.55, -0.48), (0.37, -0.38)),
                    curve((0.19, -0.48), (0.19, -0.62)),
                )
            ):
                pen.part(turn, fabric, "pocket", puff=0.05, lift=0.03, line=0.5)
            for x in (-0.37, 0.37):
                pen.button(x, -0.45, metal, 0.035, "pocket")
    collar(pen, torso, fabric, (0.42, -0.84), back)


def biker(pen: Pen, look: Look, back: bool) -> None:
    """Leather with a slanted zip and wide lapels."""
    torso = torso_of(look, length=0.78, waist=0.64, hem=0.64, hem_curve=0.03)
    neck = neckline(torso, "v-neck", back)
    fabric = look.fabric
    if not back:
        inside(pen, neck, fabric, 0.9)
    sleeves(pen, arm(torso, "long sleeve", 0.0), fabric, share=0.0)
    pen.part(body(torso, neck), fabric, "body", folds=body_folds(torso, 0.6), puff=0.2)
    for turn in both(curve((0.30, -1.2), (0.42, -0.4), (0.40, 0.75))):
        pen.stroke(turn, 0.016, 0.35)
    pen.part(band(curve((-0.64, 0.72), (0, 0.76), (0.64, 0.72)), 0.12), fabric, "hem", puff=0.05, lift=0.02)
    if back:
        pen.part(
            band(curve((-0.3, -1.27), (0, -1.22), (0.3, -1.27)), 0.14),
            fabric,
            "neck collar",
            puff=0.06,
            lift=0.03,
        )
        return
    pen.zip(curve((0.10, -0.55), (-0.02, 0.1), (-0.12, 0.76)))
    if look.get("pocket"):
        for turn in both(curve((0.24, 0.36), (0.52, 0.18))):
            pen.stroke(turn, 0.06, 0.4)
            pen.stroke(turn, 0.035, 1.0, (0.74, 0.75, 0.78), "pocket")
    lapel = join(
        curve((0.02, -0.62), (0.22, -1.05), (0.30, -1.36)),
        curve((0.30, -1.36), (0.42, -1.20)),
        curve((0.42, -1.20), (0.36, -1.04), (0.56, -0.98)),
        curve((0.56, -0.98), (0.35, -0.66), (0.02, -0.42)),
    )
    for turn in both(lapel):
        pen.part(turn, fabric, "neck collar lapel", puff=0.08, lift=0.04, line=0.6)
        pen.button(
            float(turn[-1][0] + (0.40 if turn is lapel else -0.40)),
            -0.92,
            Fabric((0.74, 0.75, 0.78)).of("metal"),
            0.03,
            "",
        )


def lapels(pen: Pen, fabric: Fabric, bottom: float, notch: float = -0.92) -> None:
    """Notched lapels and a collar down to the top button."""
    upper = join(
        curve((0.14, -0.98), (0.24, -1.22), (0.28, -1.38)),
        curve((0.28, -1.38), (0.40, -1.24), (0.46, notch - 0.06)),
        curve((0.46, notch - 0.06), (0.26, notch - 0.02)),
    )
    lower = join(
        curve((0.0, bottom), (0.12, -0.78), (0.20, -1.06)),
        curve((0.26, notch - 0.06), (0.52, notch + 0.06)),
        curve((0.52, notch + 0.06), (0.38, notch + 0.42), (0.0, bottom + 0.05)),
    )
    for piece in (lower, upper):
        for flip, turn in enumerate(both(piece)):
            pen.part(turn, fabric, "neck collar lapel", puff=0.08, lift=0.035, line=0.5, turn=(25, -25)[1 - flip])


def blazer(pen: Pen, look: Look, back: bool) -> None:
    """Tailored: lapels, one or two buttons, flap pockets."""
    torso = torso_of(look, length=1.10, waist=0.62, hem=0.72, hem_curve=0.10, shoulder=0.78)
    neck = neckline(torso, "crew neck", True) if back else curve((0, -0.12), (0.2, -0.7), (torso.neck, NECK_TOP))
    if not back:
        inside(pen, neck, look.trim.of("satin"), 1.2)
    sleeves(pen, arm(torso, "long sleeve", 0.1), look.fabric, share=0.0)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, 0.3))
    for turn in both(curve((0.40, -0.35), (0.36, 0.2), (0.38, 0.55))):
        pen.stroke(turn, 0.014, 0.22)
    if back:
        pen.stroke(curve((0, -1.2), (0, 1.2)), 0.018, 0.35)
        collar(pen, torso, look.fabric, back=True)
        return
    opening = curve((0.0, -0.10), (0.0, 0.6), (0.05, 0.95), (0.14, 1.25))
    pen.stroke(opening, 0.024, 0.5)
    lapels(pen, look.fabric, -0.06)
    count = 1 if look.get("closure") == "one-button" else 2
    for index in range(count):
        pen.button(-0.05, 0.06 + 0.34 * index, look.trim.plain(0.8), 0.05)
    if look.get("pocket"):
        for turn in both(rectangle(0.24, 0.46, 0.60, 0.58, 0.03)):
            pen.part(turn, look.fabric, "pocket", puff=0.04, lift=0.025, line=0.5)
    pen.part(band(curve((0.30, -0.52), (0.54, -0.56)), 0.06), look.fabric, puff=0.03, lift=0.015)


def puffer(pen: Pen, look: Look, back: bool) -> None:
    """Quilted in horizontal baffles, with a high collar or a hood."""
    torso = torso_of(look, length=0.98, shoulder=0.82, chest=0.80, waist=0.80, hem=0.78, hem_curve=0.02)
    fabric = look.fabric
    if look.get("hood"):
        hood = curve((0, -1.82), (0.32, -1.76), (0.50, -1.48), (0.46, -1.2), (0.3, -1.0), (0, -0.95))
        pen.part(symmetric(hood), fabric, "hood", puff=0.25)
        if not back:
            mouth = curve((0, -1.60), (0.2, -1.55), (0.28, -1.38), (0.22, -1.18), (0, -1.0))
            pen.part(symmetric(mouth), fabric.plain(0.6), puff=0.2, line=0.6)
    shape = arm(torso, "long sleeve", 0.6)
    if shape is not None and look.get("sleeve") == "long sleeve":
        sleeves(pen, shape, fabric, cuff=fabric.plain(0.9), share=0.05)
        for y in (-0.75, -0.5, -0.22, 0.06, 0.34, 0.6):
            for turn in both(
                curve((0.86 + y * 0.08, y + 0.06), (1.0 + y * 0.12, y + 0.07), (1.14 + y * 0.10, y - 0.02))
            ):
                pen.stroke(turn, 0.05, 0.25)
    pen.part(body(torso, neckline(torso, "crew neck", back)), fabric, "body", puff=0.2)
    for index in range(7):
        y = -1.02 + index * 0.285
        half = 0.80 if y > -0.5 else 0.74
        row = join(
            curve((0, y), (half * 0.6, y), (half, y - 0.01)),
            curve((half + 0.02, y + 0.06), (half + 0.035, y + 0.15), (half + 0.01, y + 0.285)),
            curve((half, y + 0.29), (0, y + 0.30)),
        )
        tucks = [crease((x, y + 0.02), (x + 0.03, y + 0.13), 0.0, 0.05) for x in (-0.62, -0.41, -0.2, 0.18, 0.37, 0.6)]
        pen.part(symmetric(row), fabric, puff=0.17, line=0.3, folds=tucks)
    if not look.get("hood"):
        tall = join(curve((0, -1.46), (0.24, -1.46), (0.34, -1.42)), curve((0.38, -1.20), (0.2, -1.02), (0, -0.98)))
        pen.part(symmetric(tall), fabric, "neck collar", puff=0.12, lift=0.03)
    if not back:
        pen.zip(curve((0, -1.40 if not look.get("hood") else -1.02), (0, 0.96)))
        if look.get("pocket"):
            welt_pockets(pen, fabric, 0.46, 0.46, 0.13)


def coat(pen: Pen, look: Look, back: bool) -> None:
    """Knee-length wool: lapels, buttons or a belt, pockets; a trench has two rows of buttons."""
    here = pen.placed(0.84, 0.0, -0.42)
    torso = torso_of(look, length=2.35, waist=0.66, hem=0.86, hem_curve=0.07, shoulder=0.80, chest=0.74)
    trench = look.get("closure") == "double-breasted"
    neck = neckline(torso, "crew neck", True) if back else curve((0, -0.35), (0.2, -0.8), (torso.neck, NECK_TOP))
    if not back:
        inside(here, neck, look.trim.of("satin"), 1.0)
    sleeves(here, arm(torso, "long sleeve", 0.1), look.fabric, cuff=look.fabric if trench else None, share=0.08)
    folds = body_folds(torso, 0.3)[:2]
    folds += [crease((x * 0.8, 0.35), (x, 2.3), x * 0.05, 0.11) for x in (-0.62, -0.36, 0.38, 0.66)]
    here.part(body(torso, neck), look.fabric, "body", folds=folds, puff=0.2)
    if back:
        here.stroke(curve((0, 0.9), (0, 2.42)), 0.02, 0.5)
        collar(here, torso, look.fabric, back=True)
    else:
        edge = 0.30 if trench else 0.0
        here.stroke(curve((edge * 0.6, -0.34), (edge, 0.2), (edge, 2.4)), 0.026, 0.5)
        lapels(here, look.fabric, -0.30)
        for index in range(3):
            for x in (-0.24, 0.24) if trench else (-0.06,):
                here.button(x, -0.14 + 0.40 * index, look.trim.plain(0.7), 0.055)
        if look.get("pocket"):
            for turn in both(rectangle(0.30, 0.72, 0.66, 0.86, 0.03)):
                here.part(turn, look.fabric, "pocket", puff=0.04, lift=0.03, line=0.5)
    if look.get("belt"):
        y, half = 0.36, 0.69
        here.part(
            band(curve((-half, y), (0, y + 0.04), (half, y)), 0.15),
            look.fabric.plain(0.92),
            "belt",
            puff=0.06,
            lift=0.03,
        )
        if not back:
            here.part(
                band(curve((0.05, y + 0.06), (0.14, y + 0.5), (0.2, y + 0.72)), 0.13),
                look.fabric.plain(0.92),
                "belt",
                puff=0.05,
                lift=0.03,
            )
            ring = rectangle(-0.1, y - 0.07, 0.1, y + 0.15)
            here.part(hoop(ring, 0.04), look.trim.plain(0.7), "belt", puff=0.03, lift=0.02, line=0.5)
