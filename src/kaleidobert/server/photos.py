"""Uploaded photos: untrusted input with limits on bytes, pixels and formats, kept in memory for a short time only."""

from __future__ import annotations

import base64
import binascii
import io
import secrets
import threading
from dataclasses import dataclass

from cachetools import TTLCache
from PIL import Image

from kaleidobert.data.images import upright
from kaleidobert.errors import InputError
from kaleidobert.server.jpeg import MAX_SCANNED_PIXELS, MAX_SCANS, jpeg_scans

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")  # the only decoders that uploaded bytes may reach
PHOTO_BYTES = 10_000_000
PHOTO_PIXELS = 50_000_000  # a phone's photo
TOO_MANY_PIXELS = f"has more than {PHOTO_PIXELS / 1e6:.0f} million pixels: shrink it"
PHOTO_MEMORY = 250_000_000  # bytes, of a photo while it is decoded
MIN_SIDE = 10  # pixels
MAX_SIDE = 1024  # pixels; more than any model uses of a query photo
DIRECT_MODES = ("L", "LA", "RGB", "RGBA", "CMYK")  # that are shrunk as they are; others are converted at full size


def decode_photo(encoded: bytes, name: str = "the photo") -> Image.Image:
    """An uploaded file as an upright RGB image of at most ``MAX_SIDE`` pixels a side.

    Raises ``InputError`` for anything but a complete JPEG, PNG, WebP or GIF that takes reasonable memory and time.
    """
    if len(encoded) > PHOTO_BYTES:
        raise InputError(f"{name} is larger than {PHOTO_BYTES / 1e6:.0f} MB: send a smaller one")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:  # reads the header only
            _check_size(image.size, name)
            _check_cost(image, encoded, name)
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # decodes a large JPEG at a fraction of its size
            if _direct(image):
                image.thumbnail((MAX_SIDE, MAX_SIDE))  # before `upright`, which makes several copies
            photo = upright(image)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} {TOO_MANY_PIXELS}") from error
    except Exception as error:  # decoders raise almost any exception for a corrupt file
        raise InputError(f"{name} cannot be read: send a complete JPEG, PNG, WebP or GIF file") from error
    photo.thumbnail((MAX_SIDE, MAX_SIDE))
    return photo


def as_jpeg(photo: bytes) -> bytes:
    """A stored photo as a JPEG of at most ``MAX_SIDE`` pixels a side. Raises ``InputError`` as `decode_photo` does."""
    return encode_jpeg(decode_photo(photo))


def encode_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def decode_base64(text: str, name: str = "the photo") -> bytes:
    """The bytes of a photo in JSON; the prefix of a data URL is ignored. Raises ``InputError``."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is not base64: encode the image file's bytes") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > PHOTO_PIXELS:
        raise InputError(f"{name} {TOO_MANY_PIXELS}")
    if min(size) < MIN_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels: send at least {MIN_SIDE} a side")


def _check_cost(image: Image.Image, encoded: bytes, name: str) -> None:
    pixels = image.width * image.height
    scans = jpeg_scans(encoded) if image.format in ("JPEG", "MPO") else 1
    if scans > MAX_SCANS or (scans > 1 and scans * pixels > MAX_SCANNED_PIXELS):
        raise InputError(
            f"{name} is a JPEG of {scans} scans, which takes too long to decode: save it as not progressive"
        )
    memory = pixels * bytes_per_pixel(image, scans)
    if memory > PHOTO_MEMORY:
        limit = f"the limit is {PHOTO_MEMORY / 1e6:.0f} MB"
        raise InputError(f"{name} takes {memory / 1e6:.0f} MB of memory when decoded; {limit}: shrink it")


def bytes_per_pixel(image: Image.Image, scans: int = 1) -> int:
    """Memory that decoding takes at most: pixels, copies of them, and what the decoder keeps."""
    if image.format == "WEBP":
        return 24
    if not _direct(image):
        return 32 if image.mode.startswith("I") else 20  # 16 bits are scaled as floats
    return 12 if scans > 1 else 4  # a JPEG of several scans is kept whole, in 16 bits


def _direct(image: Image.Image) -> bool:
    return image.mode in DIRECT_MODES and "transparency" not in image.info


@dataclass(frozen=True, slots=True)
class CachedPhoto:
    """An uploaded photo as JPEG, which takes a small part of the memory of its pixels."""

    jpeg: bytes

    def image(self) -> Image.Image:
        with Image.open(io.BytesIO(self.jpeg)) as image:
            return image.convert("RGB")


class PhotoCache:
    """Uploaded photos between upload and search, in memory only, under unguessable names.

    Each is dropped after ``seconds``, or earlier, the least recently used first, when there are more than ``size``.
    """

    def __init__(self, size: int = 200, seconds: float = 3600.0) -> None:
        self._photos: TTLCache[str, CachedPhoto] = TTLCache(size, seconds)
        self._lock = threading.Lock()

    def add(self, image: Image.Image) -> str:
        """Cache the photo and return its name."""
        name, photo = secrets.token_urlsafe(12), CachedPhoto(encode_jpeg(image))
        with self._lock:
            self._photos[name] = photo
        return name

    def get(self, name: str) -> CachedPhoto:
        """Raises ``InputError`` when the photo has been dropped."""
        with self._lock:
            photo = self._photos.get(name)
        if photo is None:
            raise InputError("your photo is no longer available: choose it again")
        return photo
