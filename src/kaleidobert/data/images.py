"""Decoding photos, for readers, index, search, server and image processor alike."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from kaleidobert.errors import InputError

ImageSource = bytes | Path  # an encoded image file: its bytes, or its path


def open_image(source: ImageSource) -> Image.Image:
    """Decode an image file to upright RGB (see `upright`). Raises PIL's own errors, most of them ``OSError``."""
    return upright(Image.open(_file(source)))


def open_photo(path: str | os.PathLike[str]) -> Image.Image:
    """`open_image` for a path that a user gave: ``InputError`` if there is no such file or it is not an image."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; give a photo, for example shoe.jpg")
    try:
        return open_image(Path(path))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image; give a JPEG, PNG or WebP file") from error


def check_header(source: ImageSource) -> None:
    """Raise PIL's errors if the header is not an image's. The pixels are not decoded, so they may still be damaged."""
    Image.open(_file(source)).close()


def upright(image: Image.Image) -> Image.Image:
    """Convert to RGB, with the EXIF orientation applied and transparency composited on white, as in a studio photo.

    Grey images of 16 bits are scaled to 8.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _scaled(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits, as 8 bits; PIL itself would clip them at 255. Mode "I" may also hold 8 bits already."""
    grey = np.asarray(image).astype(np.float64)
    if image.mode != "I" or grey.max() > 255:
        grey /= 257
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))


def _file(source: ImageSource) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else source
