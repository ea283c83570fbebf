from __future__ import annotations

import numpy as np


def test_a_patch_is_a_hit_if_it_overlaps_by_half_of_the_smaller_of_the_two() -> None:
    from alignment import shows

    small = np.array([0.05, 0.05, 0.15, 0.15])  # within the first of 5 x 5 patches
    assert np.flatnonzero(shows(small, 5)).tolist() == [0]
    split = np.array([0.1, 0.0, 0.28, 0.2])  # 0.1 of its 0.18 in the first patch, 0.08 in the second
    assert np.flatnonzero(shows(split, 5)).tolist() == [0]
    large = np.array([0.0, 0.0, 1.0, 0.55])  # the upper two rows and three quarters of the third
    assert np.flatnonzero(shows(large, 5)).tolist() == list(range(15))
