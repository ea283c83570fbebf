"""What one synthetic product looks like: the truth its pictures and texts are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kaleidobert.synthetic.fabric import Fabric
from kaleidobert.synthetic.pen import Pen


@dataclass(frozen=True, slots=True)
class Look:
    """One product's attributes and the fabrics they come out in.

    ``trim`` is for bands, soles and fittings; ``fit`` in [0, 1] runs from slim to loose; ``variant`` (0 to
    999) decides small things that no text names.
    """

    kind: Kind
    attributes: Mapping[str, str]
    fabric: Fabric
    trim: Fabric
    fit: float
    variant: int

    def get(self, attribute: str) -> str:
        """The attribute's value, or "" where the product has none."""
        return self.attributes.get(attribute, "")


@dataclass(frozen=True, slots=True)
class Kind:
    """A product type: its labels, its names in texts, and what can be chosen for it.

    ``draw(pen, look, back)`` draws it from the front or the back. An option's choice "" means: without one;
    "logo:logo print" sets another attribute instead. ``colours`` empty means all. ``accent`` is what comes in
    the second colour of a product without a pattern, for ``accent_share`` of them; ``trims`` are the colours of
    fittings no text names (empty: its own colour). ``block`` is the range of
    heights where a colour block begins; ``zoom`` and ``y`` place the drawing in the frame;
    ``stands`` tells what is put on a floor from what hangs before a wall.
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
