"""The picture of a photo's patches: its parts are what pre-training uses, and its size is known."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.model.pretext_objectives import illustrate
from kaleidobert.vision.drawing import CAPTION, GAP, MARGIN, TILE, Locked, draw_patches
from kaleidobert.vision.saliency.border_colour import border_colour


def product(fill="red"):
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 20, 49, 69), fill=fill)
    return Locked.of(image, border_colour)


def test_coverage_tells_product_from_background():
    shares = product().coverage(Level(5), keep_aspect=True).reshape(5, 5)
    assert shares[2, 2] == pytest.approx(1, abs=0.01)
    assert shares[:, 0].max() < 0.5 and shares[:, 4].max() < 0.5  # the box is wider than the product
    assert product().coverage(Level(1), keep_aspect=False)[0] == pytest.approx(2000 / 2376, abs=0.01)


def shape(columns, rows):
    return 2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + rows * (TILE + CAPTION) - 12


def test_the_picture_has_a_column_a_level_and_a_row_for_tasks():
    draw = {"size": 64, "keep_aspect": True, "rng": np.random.default_rng(0), "illustrate": illustrate}
    assert draw_patches(product(), PUBLISHED, **draw).size == shape(6, 2)
    assert draw_patches(product(), [Level(6), Level(7)], **draw).size == shape(3, 1)


def test_the_seed_settles_the_picture_and_the_other_product_is_in_it():
    def draw(seed, other=None):
        rng = np.random.default_rng(seed)
        return np.asarray(draw_patches(product(), PUBLISHED, 60, True, rng, illustrate, other))

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    green = (draw(1, product("lime")) == (0, 255, 0)).all(axis=2)
    lower, third = MARGIN + TILE + CAPTION, MARGIN + 3 * (TILE + GAP)
    assert green[lower:, :TILE].any() and green[lower:, third : third + TILE].any()
    assert not green[:lower].any() and not (draw(1) == (0, 255, 0)).all(axis=2).any()
