"""Photos that strangers send: few bytes, few pixels, known formats, and none of them kept for long."""

from __future__ import annotations

import base64
import binascii
import io
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from kaleidobert.data.images import upright
from kaleidobert.errors import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")  # decoders that strangers' bytes may reach
PHOTO_BYTES = 10_000_000
PHOTO_PIXELS = 50_000_000  # what a phone takes; 150 MB of memory when decoded
TOO_MANY_PIXELS = f"has more than {PHOTO_PIXELS / 1e6:.0f} million pixels: shrink it"
LEAST_SIDE = 10
LARGEST_SIDE = 1024  # more than any model reads of a query


def decode_photo(encoded: bytes, name: str = "the photo") -> Image.Image:
    """A stranger's image file as upright RGB, at most ``LARGEST_SIDE`` pixels a side.

    Raises ``InputError`` for anything but a whole JPEG, PNG, WebP or GIF of reasonable size.
    """
    if len(encoded) > PHOTO_BYTES:
        raise InputError(f"{name} is larger than {PHOTO_BYTES / 1e6:.0f} MB: send a smaller one")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:  # reads the header only
            _check_size(image.size, name)
            image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))  # a large JPEG is decoded at a part of its size
            image.load()
            photo = upright(image)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} {TOO_MANY_PIXELS}") from error
    except Exception as error:  # decoders of broken files raise nearly anything
        raise InputError(f"{name} cannot be read: send a whole JPEG, PNG, WebP or GIF file") from error
    photo.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return photo


def as_jpeg(photo: bytes) -> bytes:
    """A catalogue's photo as browsers show it, at most ``LARGEST_SIDE`` pixels a side."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (LARGEST_SIDE, LARGEST_SIDE))
        large = upright(image)
    large.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return encoded(large)


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def decode_base64(text: str, name: str = "the photo") -> bytes:
    """The bytes of a photo in JSON; a data URL's head is passed over."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is not base64: encode the image file's bytes") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > PHOTO_PIXELS:
        raise InputError(f"{name} {TOO_MANY_PIXELS}")
    if min(size) < LEAST_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels: send at least {LEAST_SIDE} a side")


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A shopper's photo, packed: two hundred of them in pixels would fill a small machine."""

    jpeg: bytes
    since: float  # monotonic seconds

    def image(self) -> Image.Image:
        with Image.open(io.BytesIO(self.jpeg)) as image:
            return image.convert("RGB")


class PhotoCache:
    """Shoppers' photos between upload and search, in memory alone, under names that nobody can guess.

    The oldest go when there are more than ``most``, and each ``seconds`` after it came.
    """

    def __init__(self, most: int = 200, seconds: float = 3600.0) -> None:
        self._most, self._seconds = most, seconds
        self._photos: OrderedDict[str, KeptPhoto] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, image: Image.Image) -> str:
        """Returns the name to ask for it by."""
        name, now = secrets.token_urlsafe(12), time.monotonic()
        photo = KeptPhoto(encoded(image), now)
        with self._lock:
            self._photos[name] = photo
            for old in [each for each, kept in self._photos.items() if now - kept.since > self._seconds]:
                del self._photos[old]
            while len(self._photos) > self._most:
                self._photos.popitem(last=False)
        return name

    def get(self, name: str) -> KeptPhoto:
        """Raises ``InputError`` where it is gone."""
        with self._lock:
            photo = self._photos.get(name)
        if photo is None or time.monotonic() - photo.since > self._seconds:
            raise InputError("your photo is no longer here: choose it again")
        return photo
