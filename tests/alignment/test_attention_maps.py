"""Hand-made maps and their most attended patches."""

import numpy as np
import pytest

from kaleidobert.alignment.attention_maps import most_attended_patch, patch_masses, restrict_to_product


def spot(side, row, column):
    attention = np.zeros((side, side), dtype=np.float32)
    attention[row, column] = 1
    return attention


@pytest.mark.parametrize(("grid", "patch"), [(3, 5), (4, 7), (5, 9)])
def test_a_spot_at_the_upper_right(grid, patch):
    best = most_attended_patch(spot(60, 21, 57), grid, least_lift=1)
    assert (best.patch, best.grid) == (patch, grid)
    assert best.mass == pytest.approx(1) and best.lift == pytest.approx(grid**2)


@pytest.mark.parametrize("shape", [(10, 10), (14, 14), (7, 7), (7, 9)])
@pytest.mark.parametrize("grid", [3, 4, 5])
def test_mass_is_kept_and_a_uniform_map_stays_uniform(shape, grid):
    attention = np.random.default_rng(0).random(shape)
    masses = patch_masses(attention / attention.sum(), grid)
    assert masses.shape == (grid, grid) and masses.sum() == pytest.approx(1)
    assert np.allclose(patch_masses(np.full(shape, 1 / np.prod(shape)), grid), 1 / grid**2)


def test_a_cell_across_a_border_is_divided_by_area():
    masses = patch_masses(spot(7, 0, 2), 3)  # columns 2/7 to 3/7; the border is at 1/3
    assert masses[0] == pytest.approx([1 / 3, 2 / 3, 0], abs=1e-6)


def test_a_uniform_map_has_no_patch():
    even = np.full((10, 10), 0.01)
    assert most_attended_patch(even, 5, least_lift=1.5) is None
    assert most_attended_patch(0.9 * even + 0.1 * spot(10, 5, 5), 5, least_lift=1.5).patch == 12
    assert most_attended_patch(0.9 * even + 0.1 * spot(10, 5, 5), 5, least_lift=4) is None


def test_many_maps_at_once():
    maps = np.stack([spot(10, 0, 0), spot(10, 9, 9)])
    assert patch_masses(maps, 5).reshape(2, -1).argmax(1).tolist() == [0, 24]


def test_attention_is_restricted_to_the_product():
    foreground = np.zeros((10, 10))
    foreground[:, :5] = 1
    foreground[:, 5] = 0.5
    maps = np.stack([0.5 * spot(10, 0, 9) + 0.25 * spot(10, 3, 1) + 0.25 * spot(10, 3, 5), np.full((10, 10), 0.01)])
    kept = restrict_to_product(maps, foreground)
    assert np.allclose(kept.sum((1, 2)), 1)
    assert kept[0, 3, 1] == pytest.approx(2 / 3, abs=1e-4) and kept[0, 3, 5] == pytest.approx(1 / 3, abs=1e-4)
    assert kept[0, 0, 9] < 1e-5 and kept[1, 4, 4] == pytest.approx(1 / 55, abs=1e-4)


def test_lift_is_relative_to_uniform_attention_on_the_product():
    foreground = np.zeros((10, 10))
    foreground[2:6, 4:8] = 1
    even = restrict_to_product(np.full((10, 10), 0.01), foreground)
    assert most_attended_patch(even, 5, least_lift=0, product_share=0.16).lift == pytest.approx(1, abs=1e-3)
    assert most_attended_patch(even, 5, least_lift=1.5, product_share=0.16) is None
