"""Sneakers and boots, in pairs and from the side, toes to the left."""

from __future__ import annotations

from collections.abc import Callable

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import GOLD, SILVER, Pen
from kaleidobert.synthetic.shapes import Points, band, crease, curve, ellipse, hoop, join, part_of, rectangle

RUBBER = Fabric((0.93, 0.92, 0.89)).of("rubber")
DARK = Fabric((0.16, 0.15, 0.15)).of("rubber")


def pair(shoe: Callable[[Pen, Look], None], zoom: float = 0.98) -> Callable[[Pen, Look, bool], None]:
    """Draw a pair, the far shoe a little higher and further back; with ``back`` a single shoe."""

    def draw(pen: Pen, look: Look, back: bool) -> None:
        if back:
            shoe(pen.placed(zoom * 1.06, 0.0, 0.25), look)
            return
        shoe(pen.placed(zoom * 0.94, 0.20, -0.34), look)
        shoe(pen.placed(zoom, -0.08, 0.42), look)

    return draw


def laces(pen: Pen, edge: Points, fabric: Fabric, count: int = 5) -> None:
    """Short laces across a lacing edge, with eyelets."""
    spots = part_of(edge, 0.06, 0.94, count)
    for x, y in spots:
        pen.print(ellipse(x + 0.085, y + 0.10, 0.022, 0.022), (0.45, 0.45, 0.46))
        lace = curve((x - 0.10, y - 0.035), (x, y + 0.005), (x + 0.085, y + 0.10))
        pen.part(band(lace, 0.055), fabric, "laces closure", puff=0.03, lift=0.015, line=0.5)


def sneaker_shoe(pen: Pen, look: Look) -> None:
    """A rubber sole, a stitched upper, laces, a side stripe; low or high."""
    high = 0.46 if look.get("height") == "high-top" else 0.0
    tongue = curve((-0.25, -0.36), (0.02, -0.74 - high), (0.20, -0.84 - high), (0.34, -0.66 - high), (0.3, -0.3))
    pen.part(tongue, look.fabric.plain(0.92), puff=0.07)
    pen.part(
        curve((0.16, -0.5), (0.26, -0.66 - high), (1.0, -0.66 - high), (1.02, -0.3), (0.4, -0.2)),
        look.fabric.plain(0.55),
        puff=0.1,
    )
    lacing = curve((-0.52, -0.16), (-0.16, -0.38), (0.16, -0.62 - high))
    top = curve(
        (0.16, -0.62 - high),
        (0.30, -0.55 - high),
        (0.62, -0.46 - high * 0.9),
        (0.88, -0.56 - high),
        (1.02, -0.72 - high),
    )
    heel = curve((1.02, -0.72 - high), (1.09, -0.3), (1.12, 0.38))
    sole = curve((1.12, 0.38), (0.2, 0.42), (-0.6, 0.44), (-1.24, 0.40))
    toe = curve((-1.24, 0.40), (-1.22, 0.16), (-0.98, 0.0), (-0.52, -0.16))
    folds = [
        crease((-0.72, 0.20), (-0.42, -0.02), 0.03, 0.05),
        crease((-0.60, 0.26), (-0.30, 0.04), 0.03, 0.05),
    ]
    pen.part(join(toe, lacing, top, heel, sole), look.fabric, "body", folds=folds, puff=0.22, line=0.45)
    cap = join(
        part_of(toe, 0, 0.62),
        curve((-0.90, -0.02), (-0.76, 0.18), (-0.74, 0.44)),
        curve((-0.74, 0.44), (-1.24, 0.40)),
    )
    pen.part(
        cap,
        RUBBER if look.get("material") == "canvas" else look.fabric,
        "toe",
        puff=0.14,
        lift=0.012,
        line=0.5,
    )
    pen.part(
        join(heel, curve((1.12, 0.38), (0.80, 0.40)), curve((0.80, 0.40), (0.86, 0.0), (0.90, -0.35))),
        look.trim,
        "heel",
        puff=0.1,
        lift=0.012,
        line=0.4,
    )
    eyestay = join(lacing, curve((0.30, -0.54 - high), (0.06, -0.24), (-0.38, 0.02), (-0.52, -0.16)))
    pen.part(eyestay, look.fabric.plain(0.97), puff=0.06, lift=0.012, line=0.5)
    pen.stitch(curve((0.34, -0.44 - high), (0.12, -0.14), (-0.38, 0.10)), 0.3)
    if look.get("detail") == "side stripes":
        for x in (0.08, 0.28, 0.48):
            pen.part(
                band(curve((x - 0.12, -0.14), (x + 0.04, 0.1), (x + 0.08, 0.38)), 0.09),
                look.trim,
                "detail",
                puff=0.03,
                line=0.4,
            )
    laces(
        pen,
        lacing,
        RUBBER if look.trim.colour[0] < 0.4 or look.get("detail") != "side stripes" else look.trim,
        6 if high else 5,
    )
    base = join(
        curve((-1.30, 0.44), (-1.0, 0.36), (-0.5, 0.40), (0.4, 0.35), (1.16, 0.30)),
        curve((1.16, 0.30), (1.20, 0.46), (1.13, 0.60)),
        curve((1.13, 0.60), (0.0, 0.63), (-1.0, 0.62), (-1.30, 0.44)),
    )
    pen.part(base, RUBBER, "sole", puff=0.08, lift=0.02, line=0.5)
    pen.stroke(curve((-1.24, 0.50), (-0.5, 0.51), (0.5, 0.48), (1.17, 0.42)), 0.02, 0.3)


def boot_shoe(pen: Pen, look: Look) -> None:
    """An ankle or knee-high shaft on a heeled sole; laced, zipped or with elastic sides."""
    knee = look.get("height") == "knee-high"
    here = pen.placed(0.88, 0.0, 0.52) if knee else pen.placed(1.04, 0.0, 0.24)
    top = -2.05 if knee else -1.15
    flare = 0.14 if knee else 0.02
    here.part(ellipse(0.60, top + 0.02, 0.45 + flare, 0.09), look.fabric.plain(0.5), puff=0.1)
    front = curve(
        (0.15 - flare, top),
        (0.20 - flare * 0.6, (top - 0.4) / 2),
        (0.12, -0.45),
        (-0.20, -0.12),
        (-0.85, 0.10),
        (-1.18, 0.32),
        (-1.20, 0.52),
    )
    back = curve((1.12, 0.50), (1.10, 0.05), (0.99, -0.4), (1.06 + flare * 0.5, (top - 0.4) / 2), (1.05 + flare, top))
    folds = [
        crease((0.15, -0.35), (0.62, -0.25), -0.05, 0.09),
        crease((0.02, -0.20), (0.55, -0.08), -0.05, 0.07),
        crease((-0.62, 0.34), (-0.34, 0.05), 0.04, 0.05),
        crease((0.96, -0.45), (0.65, -0.35), 0.03, 0.06),
    ]
    rim = curve((1.05 + flare, top), (0.6, top + 0.10), (0.15 - flare, top))
    here.part(
        join(front, curve((-1.20, 0.52), (0.0, 0.54), (1.12, 0.50)), back, rim),
        look.fabric,
        "body shaft",
        folds=folds,
        puff=0.26,
        line=0.45,
    )
    here.stroke(curve((-0.45, 0.50), (-0.28, 0.20), (0.10, -0.02), (0.55, 0.05), (1.08, 0.1)), 0.016, 0.3)
    closure = look.get("closure")
    if closure == "laces":
        laces(here, curve((-0.30, -0.06), (0.02, -0.34), (0.10, -0.6), (0.16, top + 0.2)), look.trim, 7)
    elif closure == "zip":
        here.zip(curve((0.62, top + 0.18), (0.64, -0.5), (0.60, 0.2)), GOLD)
    elif closure == "elastic panel":
        gore = join(
            curve((0.42, top + 0.06), (0.84, top + 0.06)),
            curve((0.84, top + 0.06), (0.80, -0.52), (0.74, -0.36)),
            curve((0.52, -0.36), (0.46, -0.52), (0.42, top + 0.06)),
        )
        here.part(gore, look.trim.of("rib"), "closure", puff=0.06, line=0.5)
        here.part(
            band(curve((1.02, top - 0.10), (1.08, top + 0.02), (1.04, top + 0.16)), 0.08),
            look.trim,
            puff=0.03,
        )
    if look.get("detail") == "buckle":
        here.part(
            band(curve((0.10, -0.42), (0.5, -0.33), (1.0, -0.40)), 0.13),
            look.fabric.plain(0.8),
            "detail",
            puff=0.05,
            lift=0.03,
        )
        ring = rectangle(0.46, -0.45, 0.66, -0.24)
        here.part(hoop(ring, 0.035), Fabric(SILVER).of("metal"), "detail", puff=0.03, line=0.6)
    heel = 0.86
    sole = join(
        curve((-1.27, 0.50), (-0.5, 0.50), (0.3, 0.48), (1.15, 0.46)),
        curve((1.17, heel), (0.52, heel)),
        curve((0.50, 0.66), (0.20, 0.62), (-0.3, 0.66), (-1.1, 0.68), (-1.27, 0.50)),
    )
    here.part(
        sole,
        DARK if look.fabric.colour != DARK.colour else RUBBER,
        "sole heel",
        puff=0.07,
        lift=0.02,
        line=0.5,
    )


sneakers, boots = pair(sneaker_shoe), pair(boot_shoe, 0.95)
