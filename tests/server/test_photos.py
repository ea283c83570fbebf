"""Uploaded photos, which are untrusted input."""

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.server import jpeg, photos
from kaleidobert.server.jpeg import jpeg_scans
from kaleidobert.server.photos import PhotoCache, decode_base64, decode_photo


def encoded(size: tuple[int, int] = (40, 20), kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else 0).save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares this size and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 10) + b"IDAT"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_common_formats_are_accepted(kind: str) -> None:
    image = decode_photo(encoded(kind=kind))
    assert (image.mode, image.size) == ("RGB", (40, 20))


def test_transparency_becomes_white() -> None:
    assert decode_photo(encoded(mode="RGBA")).getpixel((5, 5)) == (255, 255, 255)


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert decode_photo(encoded(kind="JPEG", exif=exif)).size == (20, 40)


def test_large_photos_are_shrunk() -> None:
    assert decode_photo(encoded((3000, 1500), "JPEG")).size == (1024, 512)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (b"", "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read"),
        (encoded(kind="TIFF"), "cannot be read"),  # not a permitted format
        (encoded(kind="JPEG")[:-200], "cannot be read"),
        (encoded()[:-40], "cannot be read"),
        (png_header(100_000, 100_000), "more than 50 million"),
        (encoded((4, 400)), "at least 10 a side"),
    ],
)
def test_other_files_are_refused_in_one_line(photo: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        decode_photo(photo, "the photo")
    assert "\n" not in str(raised.value)


def test_the_file_size_is_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PHOTO_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        decode_photo(encoded())


def progressive(scans: int, size: tuple[int, int] = (40, 20)) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    whole = encoded(size, "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (scans - jpeg_scans(whole)) + whole[-2:]


def test_jpeg_scans_are_counted_outside_of_segments_only() -> None:
    assert jpeg_scans(encoded(kind="JPEG", comment=b"\xff\xda" * 500)) == 1
    assert jpeg_scans(encoded(kind="JPEG") + b"\xff\xda" * 500) == 1  # after the end, as in a phone's moving photo
    assert jpeg_scans(progressive(30)) == 30
    assert jpeg_scans(b"\xff\xda\xff\xff") == 1


def test_jpegs_of_many_scans_are_refused_before_decoding() -> None:
    assert decode_photo(progressive(jpeg.MAX_SCANS)).size == (40, 20)
    with pytest.raises(InputError, match="a JPEG of 101 scans"):
        decode_photo(progressive(jpeg.MAX_SCANS + 1))
    with pytest.raises(InputError, match="a JPEG of 90 scans"):
        decode_photo(progressive(90, (2500, 2500)))


def test_the_costliest_jpeg_that_is_decoded_takes_moments() -> None:
    costliest = progressive(jpeg.MAX_SCANS, (2236, 2236))
    started = time.process_time()
    decode_photo(costliest)
    assert time.process_time() - started < 5


MEASURE = """
import io, resource, sys
from PIL import Image
from kaleidobert.server import jpeg, photos
from kaleidobert.server.jpeg import jpeg_scans
encoded = open(sys.argv[1], "rb").read()
photos.decode_photo(encoded[: len(encoded)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photos.decode_photo(open(sys.argv[2], "rb").read())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {"transparency": 0}),
        ("PNG", "I;16", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {}),
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    ],
)
def test_decoding_takes_no_more_memory_than_is_reckoned(kind: str, mode: str, options: dict, tmp_path: Path) -> None:
    side, files = 2000, (tmp_path / "small", tmp_path / "large")
    for file, size in zip(files, (40, side), strict=True):
        Image.new(mode, (size, size)).save(file, kind, **options)
    measured = subprocess.run([sys.executable, "-c", MEASURE, *map(str, files)], capture_output=True, text=True)
    with Image.open(files[1]) as image:
        reckoned = photos.bytes_per_pixel(image, jpeg_scans(files[1].read_bytes()) if kind == "JPEG" else 1)
    assert int(measured.stdout) <= reckoned * side**2 + 15_000_000, measured.stderr


def test_photos_that_take_much_memory_are_refused() -> None:
    small_file = encoded((4000, 4000), "WEBP", lossless=True, method=0)
    with pytest.raises(InputError, match="takes 384 MB of memory when decoded; the limit is 250 MB"):
        decode_photo(small_file)


def test_base64() -> None:
    assert decode_base64("data:image/png;base64,aGk=") == decode_base64("aGk=") == b"hi"
    with pytest.raises(InputError, match="not base64"):
        decode_base64("a photo!")


def test_the_cache_drops_old_photos() -> None:
    cache = PhotoCache(size=2)
    first, second, third = (cache.add(Image.new("RGB", (600, 30))) for _ in range(3))
    assert Image.open(io.BytesIO(cache.get(third).jpeg)).size == (600, 30)
    assert cache.get(second).image().size == (600, 30)
    with pytest.raises(InputError, match="choose it again"):
        cache.get(first)
    expired = PhotoCache(seconds=-1)
    with pytest.raises(InputError, match="choose it again"):
        expired.get(expired.add(Image.new("RGB", (30, 30))))
