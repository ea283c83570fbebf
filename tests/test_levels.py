"""The table of levels: 55 patches, their boxes and their places in the sequence."""

import numpy as np
import pytest

from kaleidobert.levels import PUBLISHED, Level, level_slices, patch_boxes, patch_count, patch_locations


def test_the_published_levels_make_55_patches():
    assert patch_count(PUBLISHED) == 55
    assert len(patch_boxes(PUBLISHED)) == len(patch_locations(PUBLISHED)) == 55
    assert [level.masked for level in PUBLISHED] == [0, 0, 1, 2, 3]


def test_slices_follow_each_other_in_the_table_s_order():
    assert level_slices(PUBLISHED) == [slice(0, 1), slice(1, 5), slice(5, 14), slice(14, 30), slice(30, 55)]
    assert level_slices([Level(6), Level(2)]) == [slice(0, 36), slice(36, 40)]


@pytest.mark.parametrize("grid", [1, 2, 3, 5, 6])
def test_the_boxes_of_a_level_cover_the_unit_square_once(grid):
    boxes = patch_boxes([Level(grid)])
    fine = 30  # divisible by every grid above
    centres = (np.arange(fine) + 0.5) / fine
    hits = np.zeros((fine, fine), dtype=int)
    for x1, y1, x2, y2 in boxes:
        hits += np.outer((y1 < centres) & (centres < y2), (x1 < centres) & (centres < x2))
    assert (hits == 1).all()


def test_patches_go_row_by_row():
    boxes = patch_boxes([Level(1), Level(2)])
    assert boxes.tolist() == [[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]


def test_locations_are_x1_x2_y1_y2_and_area():
    locations = patch_locations([Level(1), Level(2), Level(4)])
    assert locations[0].tolist() == [0, 1, 0, 1, 1]
    assert locations[2].tolist() == [0.5, 1, 0, 0.5, 0.25]  # right upper quarter
    assert locations[5 + 4].tolist() == [0, 0.25, 0.25, 0.5, 0.0625]  # first of the second row of four
