"""What strangers send: photos, bodies, tokens."""

import io
import struct
import zlib

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from PIL import Image
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.server import photos
from kaleidobert.server.auth import Tokens
from kaleidobert.server.limits import BodyLimit
from kaleidobert.server.photos import PhotoCache, decode_base64, decode_photo


def encoded(size: tuple[int, int] = (40, 20), kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else 0).save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 10) + b"IDAT"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_photos_of_the_usual_kinds_are_read(kind: str) -> None:
    image = decode_photo(encoded(kind=kind))
    assert (image.mode, image.size) == ("RGB", (40, 20))


def test_what_is_transparent_lies_on_white() -> None:
    assert decode_photo(encoded(mode="RGBA")).getpixel((5, 5)) == (255, 255, 255)


def test_a_phone_s_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    assert decode_photo(encoded(kind="JPEG", exif=exif)).size == (20, 40)


def test_large_photos_are_shrunk() -> None:
    assert decode_photo(encoded((3000, 1500), "JPEG")).size == (1024, 512)


@pytest.mark.parametrize(
    ("photo", "complaint"),
    [
        (b"", "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot be read"),
        (encoded(kind="TIFF"), "cannot be read"),  # not a kind that a shopper sends
        (encoded(kind="JPEG")[:-200], "cannot be read"),
        (encoded()[:-40], "cannot be read"),
        (png_header(100_000, 100_000), "more than 50 million"),
        (encoded((4, 400)), "at least 10 a side"),
    ],
)
def test_other_bytes_are_refused_in_one_line(photo: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as raised:
        decode_photo(photo, "the photo")
    assert "\n" not in str(raised.value)


def test_a_file_is_limited_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PHOTO_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        decode_photo(encoded())


def test_base64() -> None:
    assert decode_base64("data:image/png;base64,aGk=") == decode_base64("aGk=") == b"hi"
    with pytest.raises(InputError, match="not base64"):
        decode_base64("a photo!")


def test_the_shelf_forgets() -> None:
    shelf = PhotoCache(size=2)
    first, second, third = (shelf.add(Image.new("RGB", (600, 30))) for _ in range(3))
    assert Image.open(io.BytesIO(shelf.get(third).jpeg)).size == (600, 30)
    assert shelf.get(second).image().size == (600, 30)
    with pytest.raises(InputError, match="choose it again"):
        shelf.get(first)
    late = PhotoCache(seconds=-1)
    with pytest.raises(InputError, match="choose it again"):
        late.get(late.add(Image.new("RGB", (30, 30))))


def asking(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    return Request({"type": "http", "headers": headers})


def test_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    one, other = "a" * 32, "b" * 32
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"{one}\n")
    monkeypatch.setenv("KALEIDOBERT_TOKENS", other)
    tokens = Tokens.read(file)
    for right in (f"Bearer {one}", f"bearer {other}"):
        tokens.check(asking(right))
    for wrong in (None, "Bearer", f"Bearer {one}x", f"Basic {one}", "Bearer \xff"):
        with pytest.raises(HTTPException) as raised:
            tokens.check(asking(wrong))
        assert raised.value.status_code == 401 and raised.value.headers == {"WWW-Authenticate": "Bearer"}
    with pytest.raises(HTTPException) as raised:
        Tokens().check(asking(f"Bearer {one}"))
    assert raised.value.status_code == 403


def test_tokens_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("KALEIDOBERT_TOKENS", "short")
    with pytest.raises(InputError, match="fewer than 16"):
        Tokens.read()
    empty = tmp_path_factory.mktemp("tokens") / "tokens"
    with pytest.raises(InputError, match="cannot be read"):
        Tokens.read(empty)
    empty.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        Tokens.read(empty)


def test_bodies_are_limited_whether_they_declare_their_size_or_not() -> None:
    app, seen = FastAPI(), []

    @app.post("/small")
    @app.post("/large")
    async def take(request: Request) -> int:
        body = await request.body()
        seen.append(len(body))
        return len(body)

    app.add_middleware(BodyLimit, max_bytes=lambda path: 100 if path == "/small" else 1000)
    with TestClient(app) as client:
        assert client.post("/small", content=b"a" * 100).json() == 100
        assert client.post("/small", content=b"a" * 101).status_code == 413
        assert client.post("/small", content=(b"a" * 60 for _ in range(2))).status_code == 413
        assert client.post("/large", content=(b"a" * 60 for _ in range(2))).json() == 120
    assert seen == [100, 120]
