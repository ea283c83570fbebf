"""Skirts and dresses."""

from __future__ import annotations

from kaleidobert.synthetic.bottoms import belt
from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.look import Look
from kaleidobert.synthetic.pen import Pen
from kaleidobert.synthetic.shapes import Points, band, crease, curve, hoop, join, rectangle, symmetric
from kaleidobert.synthetic.tops import bow
from kaleidobert.synthetic.torso import (
    NECK_TOP,
    Torso,
    arm,
    collar,
    collar_stand,
    inside,
    neck_edge,
    neckline,
    placket,
    sleeves,
)

HEM = {"mini": 1.0, "knee-length": 1.45, "midi": 1.95, "maxi": 2.6}  # distance below the waist in drawing units


def skirt_outline(waist: float, hip: float, hem: float, top: float, length: float) -> Points:
    """A skirt's outline; ``hip``: half width at a third of its length."""
    end = top + length
    seam = curve((waist, top), (hip, top + min(0.45, length * 0.4)), (hem, end))
    edge = curve((hem, end), (hem * 0.6, end + 0.09 * hem), (0, end + 0.12 * hem))
    return symmetric(join(curve((0, top + 0.03), (waist, top)), seam, edge))


def flare_folds(waist: float, hem: float, top: float, length: float, count: int, width: float = 0.10) -> list[Points]:
    """Folds that fan out from the waist to the hem."""
    places = [(index + 0.5) / count * 2 - 1 for index in range(count)]
    return [
        crease(
            (waist * x, top + length * (0.08 + 0.10 * (index % 3))),
            (hem * 0.97 * x, top + length),
            hem * x * 0.04,
            width,
        )
        for index, x in enumerate(places)
    ]


def skirt_shape(cut: str, length: float) -> tuple[float, float]:
    """Half widths at hip and hem for a cut."""
    if cut == "pencil":
        return 0.56, 0.48
    if cut == "a-line":
        return 0.60, 0.58 + 0.15 * length
    return 0.66, 0.72 + 0.19 * length  # pleated, flared


def skirt(pen: Pen, look: Look, back: bool) -> None:
    """Pencil, a-line, pleated or flared; short skirts are drawn larger."""
    length = HEM[look.get("length")]
    hip, hem = skirt_shape(look.get("cut"), length)
    zoom = min(3.1 / (length + 0.2), 1.36 / hem, 1.75)
    here = pen.placed(zoom, 0.0, 0.0)
    top = -length / 2
    folds = {
        "pencil": [
            crease((-0.4, top + 0.5), (0.1, top + 0.42), 0.06, 0.07),
            crease((0.45, top + 0.62), (0.0, top + 0.7), 0.05, 0.06),
        ],
        "a-line": flare_folds(0.42, hem, top, length, 5, 0.12),
    }.get(look.get("cut"), flare_folds(0.42, hem, top, length, 8, 0.12))
    here.part(skirt_outline(0.44, hip, hem, top, length), look.fabric, "body", folds=folds, puff=0.2)
    if look.get("cut") == "pleated":
        for index in range(1, 12):
            x = index / 6 - 1
            end = top + length + 0.12 * hem * (1 - abs(x) ** 2)
            here.stroke(curve((0.43 * x, top), (hip * 0.97 * x, top + length * 0.4), (hem * x, end)), 0.02, 0.34)
    else:
        end = top + length - 0.06
        here.stitch(curve((-hem * 0.98, end), (0, end + 0.12 * hem), (hem * 0.98, end)), 0.3)
    _waist(here, look.fabric, 0.45, top)
    if not back and look.get("closure"):
        for index in range(6):
            here.button(0, top + 0.16 + index * (length - 0.3) / 6, look.trim, 0.045)
        for x in (-0.08, 0.08):
            here.stitch(curve((x, top + 0.05), (x, top + length)), 0.3)
    if not back and look.get("pocket"):
        for turn in (1, -1):
            slit = curve((turn * 0.34, top + 0.08), (turn * (hip - 0.06), top + 0.36))
            here.stroke(slit, 0.03, 0.5, tag="pocket")
    if look.get("belt"):
        belt(here, look, back, 0.46, top + 0.01)


def _waist(pen: Pen, fabric: Fabric, half: float, top: float, height: float = 0.13) -> None:
    """A plain waistband with the inside of the back above it."""
    inner = symmetric(
        join(curve((0, top - height * 0.95), (half, top - height * 0.55)), curve((half, top), (0, top + 0.04)))
    )
    pen.part(inner, fabric.plain(0.62), puff=0.1)
    low = curve((half * 1.02, top + height * 0.45), (half * 0.5, top + height * 0.6), (0, top + height * 0.65))
    right = join(curve((0, top - height * 0.4), (half * 0.5, top - height * 0.45), (half, top - height * 0.6)), low)
    pen.part(symmetric(right), fabric.plain(0.97), "waist", puff=0.06, lift=0.015, line=0.5)


def bodice(torso: Torso, neck: Points, strap: bool, waist_at: float) -> Points:
    """The closed outline of a dress's upper part; with ``strap`` it starts below the shoulders."""
    c, s = torso.chest, torso.shoulder
    seam = curve((c, -0.46), (c - 0.04, -0.2), (torso.waist, waist_at))
    low = curve((torso.waist, waist_at), (0, waist_at + 0.04))
    if strap:
        cup = curve((0, -0.80), (0.20, -0.88), (0.42, -0.92), (0.52, -0.70), (c, -0.46))
        return symmetric(join(cup, seam, low))
    x, y = (float(value) for value in neck[-1])
    shoulder = curve((x, y), (s * 0.72, -1.21), (s, -1.08))
    armhole = curve((s, -1.08), (s - 0.09, -0.82), (s - 0.07, -0.62), (c, -0.46))
    return symmetric(join(neck, shoulder, armhole, seam, low))


def dress(pen: Pen, look: Look, back: bool) -> None:
    """A bodice and a skirt from mini to maxi, drawn to fill the height."""
    length = HEM[look.get("length")]
    waist_at = 0.18
    hip, hem = skirt_shape(look.get("cut"), length)
    hip = max(hip, 0.56)
    total = waist_at + length - NECK_TOP
    sleeve = look.get("sleeve")
    zoom = min(3.55 / (total + 0.15), 1.3 / hem, 1.36 if sleeve != "long sleeve" else 1.22)
    here = pen.placed(zoom, 0.0, -(NECK_TOP + waist_at + length) / 2 * zoom)
    straps = look.get("neckline") == "spaghetti straps"
    shirt = look.get("neckline") == "shirt collar"
    torso = Torso(neck=0.29, shoulder=0.62, chest=0.60, waist=0.46 + 0.05 * look.fit, hem=hem)
    neck = neckline(torso, "crew neck" if shirt else look.get("neckline"), back)
    if shirt and not back:
        collar_stand(here, torso, look.fabric)
    elif not straps and not back:
        inside(here, neck, look.fabric, 0.65)
    if not straps:
        cuff = look.fabric.plain(0.95) if sleeve == "long sleeve" else None
        sleeves(here, arm(torso, sleeve, look.fit * 0.6), look.fabric, cuff=cuff, share=0.07)
    _dress_body(here, look, bodice(torso, neck, straps, waist_at), (torso.waist, hip, hem, waist_at, length))
    if straps:
        for turn in (1, -1):
            strap = curve((turn * 0.42, -0.91), (turn * 0.40, -1.15), (turn * 0.30, -1.30))
            here.part(band(strap, 0.045), look.fabric.plain(), "neck strap", puff=0.03, line=0.5)
        here.stroke(
            curve((-0.42, -0.90), (-0.2, -0.86), (0, -0.79), (0.2, -0.86), (0.42, -0.90)),
            0.03,
            0.3,
            tag="neck",
        )
    elif not shirt:
        neck_edge(here, neck)
    _dress_details(here, look, back, torso, waist_at, length)


def _dress_body(pen: Pen, look: Look, upper: Points, skirt: tuple[float, float, float, float, float]) -> None:
    """The skirt, with the bodice over it."""
    waist, hip, hem, waist_at, length = skirt
    cut = look.get("cut")
    outline = skirt_outline(waist, hip, hem, waist_at - 0.02, length + 0.02)
    count = {"pencil": 0, "a-line": 5}.get(cut, 8)
    folds = (
        flare_folds(waist, hem, waist_at, length, count, 0.11)
        if count
        else [
            crease((-0.42, waist_at + 0.45), (0.05, waist_at + 0.38), 0.05, 0.07),
            crease((0.42, waist_at + 0.30), (0.02, waist_at + 0.22), 0.04, 0.06),
        ]
    )
    pen.part(outline, look.fabric, "body skirt", folds=folds, puff=0.22)
    if cut == "pleated":
        for index in range(1, 10):
            x = index / 5 - 1
            end = waist_at + length + 0.12 * hem * (1 - abs(x) ** 2)
            pen.stroke(curve((waist * x, waist_at), (hip * 0.95 * x, waist_at + 0.4), (hem * x, end)), 0.018, 0.30)
    tucks = [crease((x * 0.7, waist_at - 0.05), (x * 1.05, -0.42), 0.02, 0.07) for x in (-0.4, -0.22, 0.22, 0.4)]
    pen.part(upper, look.fabric, "body", folds=tucks, puff=0.2, line=0.3)
    pen.stroke(curve((-waist, waist_at), (0, waist_at + 0.035), (waist, waist_at)), 0.018, 0.3)


def _dress_details(pen: Pen, look: Look, back: bool, torso: Torso, waist_at: float, length: float) -> None:
    if look.get("neckline") == "shirt collar":
        if not back:
            placket(pen, look.fabric, look.trim, NECK_TOP + 0.29, waist_at + length * 0.98, 8)
        collar(pen, torso, look.fabric, (0.34, -0.84), back)
    elif back:
        pen.stroke(curve((0, NECK_TOP + 0.1), (0, waist_at + 0.4)), 0.018, 0.35)
    if look.get("belt"):
        strip = curve((-torso.waist - 0.015, waist_at), (0, waist_at + 0.035), (torso.waist + 0.015, waist_at))
        pen.part(band(strip, 0.12), look.trim.plain(), "belt", puff=0.05, lift=0.02, line=0.5)
        if not back and look.variant % 2:
            bow(pen.placed(0.8, 0.06, waist_at + 0.03), 0, 0, look.trim.plain())
        elif not back:
            buckle = rectangle(-0.07, waist_at - 0.05, 0.07, waist_at + 0.12)
            pen.part(
                hoop(buckle, 0.03),
                look.trim.of("metal").plain(1.3),
                "belt",
                puff=0.03,
                line=0.6,
            )
    if look.get("pocket") and not back:
        for turn in (1, -1):
            slit = curve((turn * 0.40, waist_at + 0.22), (turn * 0.50, waist_at + 0.52))
            pen.stroke(slit, 0.026, 0.5, tag="pocket")
    if look.get("detail") == "ruffled hem":
        _ruffle(pen, look.fabric, waist_at + length, torso.hem)


def _ruffle(pen: Pen, fabric: Fabric, y: float, half: float) -> None:
    """A frill along the hem."""
    xs = [index / 14 * 2 - 1 for index in range(15)]
    low = [(x * half * 1.06, y + 0.16 + 0.12 * half * (1 - x * x) + (0.035 if i % 2 else 0)) for i, x in enumerate(xs)]
    top = [(x * half, y - 0.02 + 0.12 * half * (1 - x * x)) for x in xs]
    folds = [crease(a, b, 0, 0.05) for a, b in zip(top[1::2], low[1::2], strict=True)]
    pen.part(join(curve(*top), curve(*low)[::-1]), fabric, "detail", folds=folds, puff=0.06, lift=0.02)
