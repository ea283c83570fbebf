"""The weight-free detector on drawn studio shots, and the box around a mask."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.border_colour import (
    DETECTORS,
    border_colour,
    detector,
    locked_box,
    main_components,
    whole_image,
)


def studio(size=(120, 160), gradient=False, colour=(250, 250, 250)):
    """A plain backdrop, or one that falls off to grey towards its corners."""
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
def test_the_box_lies_around_the_product(backdrop, box):
    """In the middle, small and off the middle, touching both ends, touching one side."""
    image = with_product(studio(**backdrop), box, fill=(190, 60, 60))
    found_box, found = locked_box(border_colour(image), margin=0)
    assert found
    assert overlap(found_box, box) > 0.9


def test_a_pale_product_along_an_edge_is_no_background():
    """Its colour is near enough to the backdrop's to enter the first fit; later rounds drop it."""
    image = studio(gradient=True)
    ImageDraw.Draw(image).rectangle((30, 60, 89, 159), fill=(225, 190, 150))
    assert overlap(locked_box(border_colour(image), margin=0)[0], (30, 60, 90, 160)) > 0.95


@pytest.mark.parametrize("size", [(60, 80), (224, 224), (900, 1200)])
def test_every_size_gives_a_mask_of_its_own_size(size):
    width, height = size
    box = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    mask = border_colour(with_product(studio(size, gradient=True), box))
    assert mask.shape == (height, width)
    assert set(np.unique(mask)) == {0, 1}
    assert overlap(locked_box(mask, margin=0)[0], box) > 0.9
    assert mask[height // 2, width // 2] == 1 and mask[0, 0] == 0


def test_lone_pixels_do_not_widen_the_box_and_thin_chains_stay():
    image = with_product(studio((60, 80)), (20, 30, 40, 50))
    clean = locked_box(border_colour(image))
    for x, y in ((5, 40), (50, 10), (30, 70), (58, 66)):
        image.putpixel((x, y), (200, 205, 200))
    assert locked_box(border_colour(image)) == clean
    ImageDraw.Draw(image).line([(30, 30), (10, 10)], (120, 100, 40), 1)
    assert overlap(locked_box(border_colour(image), margin=0)[0], (10, 10, 40, 50)) > 0.9


@pytest.mark.parametrize("image", [studio(), studio(gradient=True), Image.new("RGB", (3, 2)), Image.new("RGB", (1, 1))])
def test_an_empty_picture_locks_the_whole_image(image):
    assert locked_box(border_colour(image)) == ((0, 0, image.width, image.height), False)


def test_no_saliency_takes_all():
    image = with_product(studio(), (30, 40, 90, 120))
    assert locked_box(whole_image(image)) == ((0, 0, 120, 160), True)


def test_the_margin_is_a_share_of_the_longer_side_and_ends_at_the_photo():
    mask = np.zeros((200, 100), dtype=np.float32)
    mask[50:150, 40:90] = 1
    assert locked_box(mask, margin=0) == ((40, 50, 90, 150), True)
    assert locked_box(mask, margin=0.05) == ((35, 45, 95, 155), True)
    assert locked_box(mask, margin=0.2) == ((20, 30, 100, 170), True)


def test_masks_below_the_least_share_do_not_count():
    mask = np.zeros((100, 100), dtype=np.float32)
    mask[40:46, 40:48] = 1  # 48 of 10,000 pixels
    assert locked_box(mask) == ((0, 0, 100, 100), False)
    assert locked_box(mask, margin=0, least=0.004) == ((40, 40, 48, 46), True)


def test_sparse_rows_and_columns_do_not_count():
    mask = np.zeros((300, 300), dtype=np.float32)
    mask[50:250, 60:240] = 1
    mask[50:53, 10:290] = 1  # 3 rows of at least 200: 1.5 %
    assert locked_box(mask, margin=0)[0] == (60, 50, 240, 250)


def test_detectors_do_not_touch_the_image():
    for found in DETECTORS.values():
        image = with_product(studio(), (30, 40, 90, 120))
        before = image.tobytes()
        found(image)
        assert image.tobytes() == before


def test_the_second_of_a_pair_stays_and_a_far_speck_goes():
    mask = np.zeros((300, 400), dtype=bool)
    mask[100:200, 40:140] = mask[110:190, 250:340] = True
    pair = mask.copy()
    mask[10:50, 10:50] = mask[280:290, 380:390] = True  # 16 % and 1 % of the larger shoe
    assert np.array_equal(main_components(mask), pair)


def test_pieces_a_thin_gap_apart_are_one_component():
    mask = np.zeros((80, 60), dtype=bool)
    mask[20:60, 10:50] = True
    mask[16:18, 28:34] = True  # a strap, two rows above its bag
    assert np.array_equal(main_components(mask), mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (129, 257), (1000, 3)])
def test_components_of_any_shape_of_mask(shape):
    assert not main_components(np.zeros(shape, dtype=bool)).any()
    assert main_components(np.ones(shape, dtype=bool)).all()


def test_detectors_go_by_name():
    assert all(detector(name) is found for name, found in DETECTORS.items())
    with pytest.raises(InputError, match="no saliency detector 'eyes'; use one of border-colour, network, none"):
        detector("eyes")
