"""The weight-free detector on drawn studio shots."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kaleidobert.vision.saliency.base import locked_box
from kaleidobert.vision.saliency.border_colour import border_colour


def studio(size=(120, 160), gradient=False, colour=(250, 250, 250)):
    """A plain backdrop, or one with a gradient to grey towards its corners."""
    width, height = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 - 0.14 * (x * x + 0.8 * y * y) - 0.05 * y if gradient else np.ones((height, width))
    return Image.fromarray(np.uint8(light[..., None] * np.array(colour)))


def with_product(image, box, fill=(40, 60, 120)):
    x1, y1, x2, y2 = box
    ImageDraw.Draw(image).ellipse((x1, y1, x2 - 1, y2 - 1), fill=fill)
    return image


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return max(0, width) * max(0, height) / (sum(areas) - max(0, width) * max(0, height))


BACKDROPS = {
    "white": {"colour": (255, 255, 255)},
    "grey": {"colour": (150, 150, 155)},
    "dark": {"colour": (30, 30, 32)},
    "gradient": {"gradient": True},
}


@pytest.mark.parametrize("backdrop", BACKDROPS.values(), ids=BACKDROPS)
@pytest.mark.parametrize("box", [(30, 40, 90, 120), (10, 60, 50, 90), (40, 0, 80, 160), (0, 30, 60, 130)])
def test_the_box_encloses_the_product(backdrop, box):
    """Centred; small and off-centre; touching top and bottom; touching one side."""
    image = with_product(studio(**backdrop), box, fill=(190, 60, 60))
    found_box, found = locked_box(border_colour(image), margin=0)
    assert found
    assert overlap(found_box, box) > 0.9


def test_a_pale_product_along_an_edge_is_not_background():
    """Its colour is close enough to the backdrop to enter the first fit; later rounds drop it."""
    image = studio(gradient=True)
    ImageDraw.Draw(image).rectangle((30, 60, 89, 159), fill=(225, 190, 150))
    assert overlap(locked_box(border_colour(image), margin=0)[0], (30, 60, 90, 160)) > 0.95


@pytest.mark.parametrize("size", [(60, 80), (224, 224), (900, 1200)])
def test_the_mask_has_the_size_of_the_image(size):
    width, height = size
    box = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    mask = border_colour(with_product(studio(size, gradient=True), box))
    assert mask.shape == (height, width)
    assert set(np.unique(mask)) == {0, 1}
    assert overlap(locked_box(mask, margin=0)[0], box) > 0.9
    assert mask[height // 2, width // 2] == 1 and mask[0, 0] == 0


def test_isolated_pixels_do_not_widen_the_box_but_thin_lines_do():
    image = with_product(studio((60, 80)), (20, 30, 40, 50))
    clean = locked_box(border_colour(image))
    for x, y in ((5, 40), (50, 10), (30, 70), (58, 66)):
        image.putpixel((x, y), (200, 205, 200))
    assert locked_box(border_colour(image)) == clean
    ImageDraw.Draw(image).line([(30, 30), (10, 10)], (120, 100, 40), 1)
    assert overlap(locked_box(border_colour(image), margin=0)[0], (10, 10, 40, 50)) > 0.9


@pytest.mark.parametrize("image", [studio(), studio(gradient=True), Image.new("RGB", (3, 2)), Image.new("RGB", (1, 1))])
def test_an_empty_photo_locks_the_whole_image(image):
    assert locked_box(border_colour(image)) == ((0, 0, image.width, image.height), False)
