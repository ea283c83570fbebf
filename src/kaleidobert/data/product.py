"""The one record every reader yields and everything above consumes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

ImageSource = bytes | Path  # an encoded image file's bytes, or where it lies


@dataclass(frozen=True, slots=True)
class Region:
    """Where the product shows what a word says (known for synthetic products only).

    ``word`` occurs literally in the product's text; ``box`` is (x1, y1, x2, y2) in [0, 1] of the whole image.
    """

    word: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Product:
    """One catalogue entry: texts, labels and one or more views (encoded images or paths).

    ``masks`` (foreground, one PNG a view) and ``regions`` (one tuple a view) hold ground truth where it exists.
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
        """Title and description as one text: what the model reads."""
        parts = (part.strip().rstrip(".") for part in (self.title, self.description))
        return ". ".join(part for part in parts if part)

    def open(self, view: int = 0) -> Image.Image:
        """Decode one view as RGB. Raises ``OSError`` where the image cannot be read."""
        return open_image(self.images[view])


def open_image(source: ImageSource) -> Image.Image:
    """Decode an image to RGB, upright; transparency is laid over white, as in a studio photo."""
    return upright(Image.open(io.BytesIO(source) if isinstance(source, bytes) else source))


def upright(image: Image.Image) -> Image.Image:
    """As RGB, turned as its camera noted, with what is transparent laid over white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
