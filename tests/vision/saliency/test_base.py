"""The box around a mask, and the cleaning of masks."""

import numpy as np
import pytest
from PIL import Image

from kaleidobert.vision.saliency.base import locked_box, main_components, whole_image


def test_without_saliency_the_whole_image_is_locked():
    assert locked_box(whole_image(Image.new("RGB", (120, 160), "white"))) == ((0, 0, 120, 160), True)


def test_the_margin_is_a_fraction_of_the_longer_side_and_clipped_to_the_photo():
    mask = np.zeros((200, 100), dtype=np.float32)
    mask[50:150, 40:90] = 1
    assert locked_box(mask, margin=0) == ((40, 50, 90, 150), True)
    assert locked_box(mask, margin=0.05) == ((35, 45, 95, 155), True)
    assert locked_box(mask, margin=0.2) == ((20, 30, 100, 170), True)


def test_masks_below_the_minimum_coverage_lock_the_whole_image():
    mask = np.zeros((100, 100), dtype=np.float32)
    mask[40:46, 40:48] = 1  # 48 of 10,000 pixels
    assert locked_box(mask) == ((0, 0, 100, 100), False)
    assert locked_box(mask, margin=0, min_coverage=0.004) == ((40, 40, 48, 46), True)


def test_sparse_rows_and_columns_do_not_count():
    mask = np.zeros((300, 300), dtype=np.float32)
    mask[50:250, 60:240] = 1
    mask[50:53, 10:290] = 1  # 3 rows of at least 200: 1.5 %
    assert locked_box(mask, margin=0)[0] == (60, 50, 240, 250)


def test_the_second_shoe_of_a_pair_is_kept_and_a_distant_speck_dropped():
    mask = np.zeros((300, 400), dtype=bool)
    mask[100:200, 40:140] = mask[110:190, 250:340] = True
    pair = mask.copy()
    mask[10:50, 10:50] = mask[280:290, 380:390] = True  # 16 % and 1 % of the larger shoe
    assert np.array_equal(main_components(mask), pair)


def test_pieces_with_a_thin_gap_between_them_are_one_component():
    mask = np.zeros((80, 60), dtype=bool)
    mask[20:60, 10:50] = True
    mask[16:18, 28:34] = True  # a strap, two rows above its bag
    assert np.array_equal(main_components(mask), mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (129, 257), (1000, 3)])
def test_masks_of_any_shape(shape):
    assert not main_components(np.zeros(shape, dtype=bool)).any()
    assert main_components(np.ones(shape, dtype=bool)).all()
