"""T-shirts, tank tops, shirts, polos, blouses, sweaters and hoodies."""

from __future__ import annotations

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import Pen
from kaleidobert.synthetic.shapes import band, crease, curve, ellipse, join, mirror, rectangle, symmetric
from kaleidobert.synthetic.torso import (
    NECK_TOP,
    Torso,
    arm,
    body,
    body_folds,
    collar,
    collar_stand,
    inside,
    logo,
    neck_band,
    neck_edge,
    neckline,
    patch_pocket,
    placket,
    sleeves,
    torso_of,
)


def hem_stitch(pen: Pen, torso: Torso, up: float = 0.07) -> None:
    """The seam above the hem."""
    h, y = torso.hem * 0.985, torso.length - up
    c = torso.hem_curve
    pen.stitch(curve((-h, y), (-h * 0.55, y + c), (0, y + c * 1.25), (h * 0.55, y + c), (h, y)), 0.28)


def hem_rib(pen: Pen, torso: Torso, fabric: Fabric, height: float = 0.15) -> None:
    """A ribbed waistband below the body."""
    h, y, c = torso.hem, torso.length, torso.hem_curve
    top = curve((0, y + c * 1.25 - 0.03), (h * 0.55, y + c - 0.03), (h, y - 0.03))
    low = curve((h - 0.05, y + height), (h * 0.5, y + height + c), (0, y + height + c * 1.25))
    pen.part(symmetric(join(top, low)), fabric, "hem", puff=0.08, lift=0.02)


def t_shirt(pen: Pen, look: Look, back: bool) -> None:
    """Short or long sleeves, a ribbed neck, perhaps a pocket or a print."""
    torso = torso_of(look)
    neck = neckline(torso, look.get("neckline"), back)
    if not back:
        inside(pen, neck, look.fabric, 0.7)
    sleeves(pen, arm(torso, look.get("sleeve"), look.fit), look.fabric, share=0.06)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, look.fit))
    neck_band(pen, neck, look.trim.of("rib"), 0.07)
    hem_stitch(pen, torso)
    if not back and look.get("pocket"):
        patch_pocket(pen, 0.34, -0.58, look.fabric)
    if not back and look.get("logo"):
        logo(pen, look.variant, look.trim, -0.42)


def tank_top(pen: Pen, look: Look, back: bool) -> None:
    """A tank top with wide straps and bound edges."""
    torso = torso_of(look, neck=0.36, shoulder=0.60)
    neck = neckline(torso, look.get("neckline"), back)
    x, y = (float(value) for value in neck[-1])
    c, end = torso.chest, torso.length
    armhole = curve((x + 0.17, NECK_TOP + 0.03), (0.53, -0.95), (0.56, -0.66), (c - 0.02, -0.42))
    seam = curve((c - 0.02, -0.42), (torso.waist, end * 0.3), (torso.hem, end))
    hem = curve((torso.hem, end), (torso.hem * 0.5, end + 0.05), (0, end + 0.06))
    if not back:
        inside(pen, neck, look.fabric, 0.62)
    outline = symmetric(join(neck, curve((x, y), (x + 0.17, NECK_TOP + 0.03)), armhole, seam, hem))
    pen.part(outline, look.fabric, "body", folds=body_folds(torso, look.fit))
    neck_band(pen, neck, look.trim, 0.05)
    for edge in (armhole, mirror(armhole)):
        pen.part(band(edge, 0.055), look.trim, puff=0.04, line=0.5)
    hem_stitch(pen, torso)
    if not back and look.get("logo"):
        logo(pen, look.variant, look.trim, -0.25)


def shirt(pen: Pen, look: Look, back: bool) -> None:
    """A collar, a button band, cuffs and a curved hem."""
    torso = torso_of(look, neck=0.30, length=1.18, hem_curve=0.14)
    neck = neckline(torso, "crew neck", back)
    long = look.get("sleeve") == "long sleeve"
    if not back:
        collar_stand(pen, torso, look.fabric)
    sleeves(pen, arm(torso, look.get("sleeve"), look.fit), look.fabric, cuff=look.fabric if long else None)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, look.fit))
    hem_stitch(pen, torso, 0.05)
    if back:
        pen.stroke(curve((-0.70, -0.86), (0, -0.80), (0.70, -0.86)), 0.016, 0.35)
        pen.stroke(curve((0, -0.8), (0, 1.2)), 0.016, 0.16)
    else:
        placket(pen, look.fabric, look.trim, NECK_TOP + 0.29, torso.length + 0.15, 7)
        if look.get("pocket"):
            patch_pocket(pen, 0.36, -0.56, look.fabric)
    collar(pen, torso, look.fabric, back=back)


def polo(pen: Pen, look: Look, back: bool) -> None:
    """A knitted collar and a short button band."""
    torso = torso_of(look, neck=0.30)
    neck = neckline(torso, "crew neck", back)
    if not back:
        collar_stand(pen, torso, look.trim)
    shape = arm(torso, look.get("sleeve"), look.fit)
    sleeves(pen, shape, look.fabric, cuff=look.trim.of("rib"), share=0.08)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, look.fit))
    hem_stitch(pen, torso)
    if not back:
        placket(pen, look.fabric.plain(), look.trim, NECK_TOP + 0.29, -0.42, 3)
        if look.get("logo"):
            logo(pen.placed(0.42, 0.37, -0.55), look.variant, look.trim, 0)
    collar(pen, torso, look.trim.of("rib"), (0.38, -0.84), back)


def blouse(pen: Pen, look: Look, back: bool) -> None:
    """Gathered and flowing, with a bow, a ruffle or a plain edge at the neck."""
    torso = torso_of(look, neck=0.31, waist=0.72 + 0.08 * look.fit, hem=0.86, chest=0.70, length=1.05)
    neck = neckline(torso, look.get("neckline"), back)
    if not back:
        inside(pen, neck, look.fabric, 0.7)
    full = 0.9 if look.get("sleeve") == "long sleeve" else 0.5
    shape = arm(torso, look.get("sleeve"), full)
    cuff = look.fabric.plain(0.94) if look.get("sleeve") != "sleeveless" else None
    sleeves(pen, shape, look.fabric, cuff=cuff, share=0.07)
    gathers = [
        crease((x * 0.3, -0.95), (x, 0.95 + 0.1 * (1 - abs(x))), x * 0.08, 0.08)
        for x in (-0.72, -0.52, -0.3, -0.1, 0.14, 0.36, 0.56, 0.74)
    ]
    pen.part(body(torso, neck), look.fabric, "body", folds=gathers)
    hem_stitch(pen, torso, 0.05)
    neck_edge(pen, neck)
    if back:
        pen.button(0, NECK_TOP + 0.16, look.trim, tag="")
    elif look.get("detail") == "bow":
        bow(pen, 0.0, float(neck[0][1]) + 0.02, look.fabric)
    elif look.get("detail") == "ruffles":
        for flip in (-1, 1):
            frill = [(flip * (0.13 + 0.05 * (i % 2)), -0.60 + i * 0.12) for i in range(12)]
            edge = join(curve((flip * 0.03, -0.60)), curve(*frill), curve((flip * 0.03, 0.72)))
            pen.part(edge, look.fabric.plain(1.03), "detail", puff=0.05, lift=0.035, line=0.5)
        for i in range(5):
            pen.button(0, -0.52 + 0.27 * i, look.trim, 0.03, tag="")


def bow(pen: Pen, x: float, y: float, fabric: Fabric) -> None:
    """A tied bow with two loops and two ends around (x, y)."""
    here = pen.placed(1.0, x, y)
    for flip in (-1, 1):
        end = join(
            curve((0, 0), (flip * 0.07, 0.28), (flip * 0.12, 0.62)),
            curve((flip * 0.28, 0.56), (flip * 0.16, 0.22), (flip * 0.03, -0.02)),
        )
        loop = curve(
            (0, 0),
            (flip * 0.18, -0.15),
            (flip * 0.38, -0.12),
            (flip * 0.40, 0.07),
            (flip * 0.20, 0.10),
            (0, 0),
        )
        here.part(end, fabric, "detail", puff=0.06, lift=0.03, line=0.5, turn=flip * 20)
        fold = crease((flip * 0.04, 0.0), (flip * 0.27, -0.03), 0.0, 0.06)
        here.part(loop, fabric, "detail", puff=0.08, lift=0.03, line=0.5, folds=[fold], turn=flip * 50)
    here.part(ellipse(0, 0, 0.065, 0.075), fabric, "detail", puff=0.06, lift=0.02, line=0.5)


def sweater(pen: Pen, look: Look, back: bool) -> None:
    """Knitted, with ribbed cuffs and hem; turtleneck, crew or v-neck; or a buttoned cardigan."""
    torso = torso_of(look, length=0.98, hem=0.70 + 0.08 * look.fit, hem_curve=0.03)
    kind = look.get("neckline")
    rib = look.trim.of("rib")
    turtle = kind == "turtleneck"
    neck = neckline(torso, kind, back or turtle)
    if not back and not turtle:
        inside(pen, neck, look.fabric, 0.72)
    sleeves(pen, arm(torso, look.get("sleeve"), 0.1), look.fabric, cuff=rib, share=0.10)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, 0.8))
    hem_rib(pen, torso, rib, 0.18)
    if turtle:
        n, top = torso.neck * 0.94, NECK_TOP
        tube = join(
            curve((0, top - 0.24), (n * 0.7, top - 0.25), (n, top - 0.22)),
            curve((n, top - 0.22), (n + 0.04, top + 0.06)),
            curve((n + 0.04, top + 0.06), (n * 0.6, top + 0.17), (0, top + 0.20)),
        )
        pen.part(symmetric(tube), rib, "neck", puff=0.16, lift=0.03, line=0.5)
        pen.stroke(curve((-n, top - 0.03), (0, top + 0.02), (n, top - 0.03)), 0.02, 0.35)
    else:
        neck_band(pen, neck, rib, 0.10)
    if look.get("closure") and not back:
        placket(pen, rib, look.trim.plain(0.6).of("rubber"), float(neck[0][1]), 1.18, 6)


def hoodie(pen: Pen, look: Look, back: bool) -> None:
    """A hood, drawstrings, a kangaroo pocket; perhaps a zip."""
    torso = torso_of(look, length=0.95, neck=0.36, shoulder=0.80, chest=0.76, waist=0.76, hem=0.74)
    low = NECK_TOP + 0.34
    neck = neckline(torso, "crew neck", back)
    hood = curve((0, -1.80), (0.30, -1.74), (0.47, -1.48), (0.44, -1.22), (0.30, -1.02), (0, low + 0.04))
    if not back:
        pen.part(symmetric(hood), look.fabric, "hood", puff=0.22, folds=[crease((0.40, -1.5), (0.34, -1.12), 0.02)])
        mouth = curve((0, -1.62), (0.2, -1.57), (0.29, -1.40), (0.23, -1.18), (0, low - 0.02))
        pen.part(symmetric(mouth), look.fabric.plain(0.62), puff=0.2, line=0.6)
        pen.stroke(curve((-0.26, -1.28), (0, -1.2), (0.26, -1.28)), 0.02, 0.3)
    rib = look.trim.of("rib")
    sleeves(pen, arm(torso, "long sleeve", 0.3), look.fabric, cuff=rib, share=0.09)
    pen.part(body(torso, neck), look.fabric, "body", folds=body_folds(torso, 1.0))
    hem_rib(pen, torso, rib, 0.18)
    if back:
        pen.part(
            symmetric(curve((0, -1.62), (0.28, -1.56), (0.42, -1.32), (0.36, -1.0), (0.16, -0.72), (0, -0.66))),
            look.fabric,
            "hood",
            puff=0.2,
            lift=0.05,
            folds=[crease((-0.2, -1.2), (0.2, -1.15), 0.1)],
        )
        return
    neck_band(pen, neck, look.fabric.plain(0.93), 0.05)
    pocket = join(
        curve((0, 0.32), (0.34, 0.32)), curve((0.34, 0.32), (0.44, 0.55), (0.50, 0.66)), curve((0.50, 0.96), (0, 0.99))
    )
    if look.get("pocket"):
        pen.part(symmetric(pocket), look.fabric, "pocket", puff=0.10, lift=0.03, line=0.5)
    if look.get("closure"):
        pen.zip(curve((0, low), (0, 1.16)))
    if look.get("logo"):
        logo(pen, look.variant, look.trim, -0.32)
    for x in (-0.13, 0.13):
        cord = curve((x, low - 0.04), (x * 1.25, low + 0.2), (x * 1.1, low + 0.46))
        pen.part(band(cord, 0.035), look.trim.plain(1.05), "drawstring", puff=0.02, lift=0.02, line=0.5)
        pen.print(rectangle(x * 1.1 - 0.02, low + 0.44, x * 1.1 + 0.02, low + 0.52), (0.7, 0.7, 0.72))
