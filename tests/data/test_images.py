"""Every way into the package gives the same upright RGB image."""

import io

import numpy as np
import pytest
from PIL import Image

from fixtures.source_files import broken_png
from kaleidobert.data.images import UnreadableImage, check_header, open_image, open_photo, upright
from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.errors import InputError
from kaleidobert.server.photos import decode_photo

QUADRANTS = np.uint8([[[250, 10, 10], [10, 250, 10], [10, 10, 250]], [[10, 10, 10], [90, 90, 90], [250, 250, 250]]])
ORIENTATION = 0x0112


def photo() -> Image.Image:
    """Six coloured squares, three columns by two rows."""
    return Image.fromarray(QUADRANTS.repeat(16, axis=0).repeat(16, axis=1))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colours(image: Image.Image) -> np.ndarray:
    """The colour in the middle of each square."""
    return np.asarray(image)[8::16, 8::16].astype(int)


CAMERA_TURNS = {  # EXIF orientation -> how the camera stored the scene
    1: lambda scene: scene,
    2: lambda scene: scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda scene: scene.rotate(180),
    6: lambda scene: scene.rotate(90, expand=True),
    8: lambda scene: scene.rotate(-90, expand=True),
}


@pytest.mark.parametrize(
    ("kind", "side", "size"),
    [("JPEG", 66, (100, 67)), ("JPEG", 68, (200, 134)), ("JPEG", 1000, (800, 534)), ("PNG", 33, (800, 534))],
)
def test_a_jpeg_is_decoded_at_the_fraction_that_leaves_the_side(kind, side, size):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = photo().resize((800, 534)).rotate(90, expand=True)
    assert open_image(encoded(turned, kind, exif=exif), side).size == size


@pytest.mark.parametrize("orientation", CAMERA_TURNS)
def test_the_exif_orientation_is_applied(orientation, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(CAMERA_TURNS[orientation](photo()), "JPEG", exif=exif, quality=95, subsampling=0)
    (tmp_path / "photo.jpg").write_bytes(data)
    (tmp_path / "shop.csv").write_text("id,title,image\n1,Bag,photo.jpg\n")
    (product,) = read_products(tmp_path / "shop.csv")
    ways_in = [
        open_image(data),
        open_image(tmp_path / "photo.jpg"),
        open_photo(str(tmp_path / "photo.jpg")),
        product.open(),
        Product("1", "Bag", images=(data,)).open(),
        decode_photo(data),
    ]
    for image in ways_in:
        assert image.mode == "RGB" and image.size == (48, 32)
        assert np.abs(colours(image) - QUADRANTS).max() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_composited_on_white(mode):
    image = Image.new("RGBA", (8, 8), (30, 30, 30, 255))
    image.paste((30, 30, 30, 0), (0, 0, 4, 8))
    image.paste((30, 30, 30, 51), (0, 4, 4, 8))  # a fifth opaque
    if mode == "P":
        image = image.quantize(8)
    opened = open_image(encoded(image if mode == "P" else image.convert(mode), "PNG"))
    assert opened.mode == "RGB"
    assert opened.getpixel((1, 1)) == (255, 255, 255)
    assert opened.getpixel((6, 6)) == (30, 30, 30)
    assert opened.getpixel((1, 6)) == pytest.approx((210, 210, 210), abs=2)


def test_a_transparent_colour_becomes_white():
    data = encoded(photo(), "PNG", transparency=(250, 10, 10))
    assert open_image(data).getpixel((8, 8)) == (255, 255, 255)
    assert open_image(data).getpixel((24, 8)) == (10, 250, 10)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1"])
def test_other_modes_become_rgb(mode):
    data = encoded(photo().convert(mode), "TIFF")
    assert np.array_equal(np.asarray(open_image(data)), np.asarray(photo().convert(mode).convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_of_grey_are_scaled(kind):
    grey = np.asarray(photo().convert("L"))
    data = encoded(Image.fromarray(grey.astype(np.uint16) * 257), kind)
    assert np.array_equal(np.asarray(open_image(data))[..., 0], grey)


@pytest.mark.parametrize("factor", [1, 257])
def test_mode_i_holds_8_or_16_bits(factor):
    grey = np.asarray(photo().convert("L"))
    assert np.array_equal(np.asarray(upright(Image.fromarray(grey.astype(np.int32) * factor)))[..., 0], grey)


def test_fractions_of_grey_are_scaled():
    grey = np.asarray(photo().convert("L"))
    assert np.array_equal(np.asarray(upright(Image.fromarray(grey.astype(np.float32) / 255)))[..., 0], grey)


def test_whatever_is_wrong_with_an_image_is_one_kind_of_error():
    data = encoded(photo(), "PNG")
    damaged = [broken_png(), data[: len(data) // 2], b"", b"GIF89a", encoded(photo(), "TIFF")[:-40]]
    for each in damaged:
        with pytest.raises(UnreadableImage):
            open_image(each)
    views, wrong = Product("1", "Bag", images=(data, broken_png())).open_all()
    assert [view for view, _ in views] == [0] and wrong.startswith("photo 1 cannot be read: ")


def test_heic_photos_with_the_extra():
    pytest.importorskip("pillow_heif")
    assert open_image(encoded(photo(), "HEIF", quality=90)).size == (48, 32)


def test_the_header_is_checked_without_decoding_the_pixels():
    data = encoded(photo(), "PNG")
    check_header(data[:60])
    with pytest.raises(OSError):
        open_image(data[:60])
    with pytest.raises(OSError):
        check_header(b"no image")


def test_a_path_from_a_user_is_refused_in_one_line(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    for name, reason in {"gone.jpg": "no such file", "notes.jpg": "not a readable image", ".": "no such file"}.items():
        with pytest.raises(InputError, match=reason) as error:
            open_photo(tmp_path / name)
        assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)
