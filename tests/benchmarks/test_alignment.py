from __future__ import annotations

import numpy as np
import pytest


def test_a_patch_is_a_hit_if_it_overlaps_by_half_of_the_smaller_of_the_two() -> None:
    from alignment import shows

    small = np.array([0.05, 0.05, 0.15, 0.15])  # within the first of 5 x 5 patches
    assert np.flatnonzero(shows(small, 5)).tolist() == [0]
    split = np.array([0.1, 0.0, 0.28, 0.2])  # 0.1 of its 0.18 in the first patch, 0.08 in the second
    assert np.flatnonzero(shows(split, 5)).tolist() == [0]
    large = np.array([0.0, 0.0, 1.0, 0.55])  # the upper two rows and three quarters of the third
    assert np.flatnonzero(shows(large, 5)).tolist() == list(range(15))


def test_a_region_that_no_patch_shows_has_no_ratio_to_chance(capsys: pytest.CaptureFixture) -> None:
    """A small region over a corner of four patches: less than half of it is in each, and chance is 0."""
    from alignment import Outcome, area, rows, show, show_words, shows
    from explaining import summary

    corner = np.array([0.15, 0.15, 0.25, 0.25])
    assert not shows(corner, 5).any()
    missed = [Outcome("zip", 5, area(corner), 2.0, False, 0.0, 0.0)] * 3
    found = list(rows({"source": "teacher"}, 0.0, missed, np.array([area(corner)] * 3)))
    assert {(row["words"], row["chance"], row["ratio"]) for row in found} == {
        ("parts", 0.0, None),
        ("smallest parts", 0.0, None),
    }
    seen = [*missed, *[Outcome("zip", 5, area(corner), 2.0, True, 0.5, 0.5)] * 3]
    assert [row["ratio"] for row in rows({}, 0.0, seen, np.array([area(corner)] * 6))] == [2.0, 2.0]
    show(found)
    show_words(missed, 5)
    show([])
    printed = capsys.readouterr().out
    assert printed.count("–") == len(found) + 1 and "nan" not in printed and "no pair of a word" in printed
    assert summary("parts", [(False, 0.0)]) == "parts: 1 words, hit 0.0 %, chance 0.0 %, – times"
    assert summary("parts", [(True, 0.5), (False, 0.0)]).endswith("hit 50.0 %, chance 25.0 %, 2.0 times")
