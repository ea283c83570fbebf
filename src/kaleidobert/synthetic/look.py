"""The ground truth of a synthetic product, from which its pictures and texts are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.pen import Pen


@dataclass(frozen=True, slots=True)
class Look:
    """A product's attributes and fabrics.

    ``trim``: fabric of bands, soles and fittings; ``fit``: from 0, slim, to 1, loose; ``variant`` (0 to 999): selects
    details that no text mentions.
    """

    kind: Kind
    attributes: Mapping[str, str]
    fabric: Fabric
    trim: Fabric
    fit: float
    variant: int

    def get(self, attribute: str) -> str:
        """The attribute's value, or "" if the product has none."""
        return self.attributes.get(attribute, "")


@dataclass(frozen=True, slots=True)
class Kind:
    """A product type: its labels, its names in texts, and the possible values of its attributes.

    ``draw(pen, look, back)`` draws it from the front or the back. In ``options`` the choice "" means without, and
    "logo:logo print" sets another attribute instead. Empty ``colours`` mean all. ``accent``: the part that has the
    second colour in products without a pattern, for ``accent_share`` of them. ``trims``: colours of fittings that no
    text mentions (empty: the product's colour). ``block``: range of heights at which a colour block begins. ``zoom``
    and ``y`` place the drawing in the frame. ``stands``: whether it stands on a floor or hangs in front of a wall.
    """

    subcategory: str
    category: str
    names: tuple[str, ...]
    draw: Callable[[Pen, Look, bool], None]
    options: Mapping[str, tuple[str, ...]]
    patterns: tuple[str, ...]
    materials: tuple[str, ...]
    colours: tuple[str, ...] = ()
    accent: str = ""
    accent_share: float = 0.35
    trims: tuple[str, ...] = ()
    block: tuple[float, float] = (-0.3, 0.25)
    zoom: float = 1.0
    y: float = 0.0
    plural: bool = False
    stands: bool = False
