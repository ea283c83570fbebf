"""The record that every reader yields and every other module consumes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from kaleidobert.data.images import ImageSource, open_image
from kaleidobert.words import index_words

ID_LETTERS = r"^[^\x00-\x1f\x7f]*$"  # of which ids are made: a product's id is a part of its address


def fault_of_id(product_id: str) -> str:
    """Why no address can have this id in it, "" if one can."""
    if not re.fullmatch(ID_LETTERS, product_id):
        return "it has line breaks or control characters, which no address can have"
    return "it would be a folder in addresses of the product" if product_id in (".", "..") else ""


@dataclass(frozen=True, slots=True)
class Region:
    """Ground truth of synthetic products: the part of the image that a word describes.

    ``word`` occurs literally in the product's text; ``box`` is (x1, y1, x2, y2) in [0, 1] of the whole image.
    """

    word: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Product:
    """One catalogue entry: texts, labels and one or more views (encoded images or paths).

    ``masks`` (foreground, one PNG per view) and ``regions`` (one tuple per view) hold ground truth if there is any.
    """

    id: str
    title: str
    description: str = ""
    category: str = ""
    subcategory: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    images: tuple[ImageSource, ...] = ()
    masks: tuple[bytes, ...] = ()
    regions: tuple[tuple[Region, ...], ...] = ()

    @property
    def text(self) -> str:
        """Title and description joined: the model's input."""
        parts = (part.strip().rstrip(".") for part in (self.title, self.description))
        return ". ".join(part for part in parts if part)

    @property
    def words(self) -> list[str]:
        """The words of title, description, labels and attributes, by which full-text search finds the product."""
        labels = (self.category, self.subcategory, *self.attributes.values())
        return sorted(index_words(self.title, self.description, *labels))

    def open(self, view: int = 0, side: int | None = None) -> Image.Image:
        """Decode one view as upright RGB; ``side``: see `open_image`. Raises ``OSError`` if it cannot be read."""
        return open_image(self.images[view], side)

    def open_all(self, side: int | None = None) -> tuple[list[tuple[int, Image.Image]], str]:
        """The views that can be read, each with its number, and why the others cannot, "" if all can."""
        opened, wrong = [], []
        for view in range(len(self.images)):
            try:
                opened.append((view, self.open(view, side)))
            except OSError as error:
                wrong.append(f"photo {view} cannot be read: {error}")
        return opened, "; ".join(wrong)
