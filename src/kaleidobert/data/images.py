"""Decoding photos, for readers, index, search, server and image processor alike."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kaleidobert.errors import InputError

ImageSource = bytes | Path  # an encoded image file: its bytes, or its path


with contextlib.suppress(ImportError):  # the extra [heic]
    from pillow_heif import register_heif_opener

    register_heif_opener()


class UnreadableImage(OSError):
    """An image file that cannot be decoded; PIL raises a dozen kinds of errors for damaged ones."""


def open_image(source: ImageSource, side: int | None = None) -> Image.Image:
    """Decode an image file to upright RGB (see `upright`). Raises `UnreadableImage`.

    A JPEG is decoded at the smallest of 1/8, 1/4 and 1/2 of its size that leaves ``side`` pixels on each side, if any.
    """
    with _unreadable():
        image = _opened(source)
        if side is not None:
            image.draft(None, (side, side))
        return upright(image)


def open_photo(path: str | os.PathLike[str]) -> Image.Image:
    """`open_image` for a path that a user gave: ``InputError`` if there is no such file or it is not an image."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; give a photo, for example shoe.jpg")
    try:
        return open_image(Path(path))
    except UnreadableImage as error:
        raise InputError(f"{path}: not a readable image; give a JPEG, PNG or WebP file") from error


def check_header(source: ImageSource) -> None:
    """Raise `UnreadableImage` if the header is not an image's. The pixels are not decoded and may still be damaged."""
    with _unreadable():
        _opened(source).close()


@contextlib.contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:
        hint = "" if ".heic" in Image.registered_extensions() else " (HEIC needs pip install 'kaleidobert[heic]')"
        raise UnreadableImage(f"not an image that PIL can read{hint}") from error
    except Exception as error:
        raise UnreadableImage(str(error) or type(error).__name__) from error


def upright(image: Image.Image) -> Image.Image:
    """Convert to RGB, with the EXIF orientation applied and transparency composited on white, as in a studio photo.

    Grey images of 16 bits and of fractions are scaled to 8 bits.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = _scaled(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits, as 8 bits; PIL itself would clip them at 255.

    Mode "I" may also hold 8 bits already, and mode "F" fractions of 1.
    """
    grey = np.nan_to_num(np.asarray(image).astype(np.float64))
    if image.mode == "F" and grey.max() <= 1:
        grey *= 255
    elif image.mode not in ("I", "F") or grey.max() > 255:
        grey /= 257
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8))


def _opened(source: ImageSource) -> Image.Image:
    image = Image.open(_file(source))
    if image.format == "EPS":  # a program, which Pillow has Ghostscript run where that is installed
        raise OSError("EPS is not read: save it as JPEG or PNG")
    return image


def _file(source: ImageSource) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else source
