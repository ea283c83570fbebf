"""The picture of a photo's patches: its parts are what pre-training uses, and its size is known."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.vision.corruptions import grey_cells
from kaleidobert.vision.drawing import CAPTION, GAP, MARGIN, TILE, Locked, corrupted, draw_patches
from kaleidobert.vision.saliency.border_colour import border_colour


def product(fill="red"):
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).rectangle((10, 20, 49, 69), fill=fill)
    return Locked.of(image, border_colour)


@pytest.fixture
def portions():
    return torch.rand(2, 3, 60, 60, generator=torch.Generator().manual_seed(0))


def cell(pixels, grid, patch):
    row, column = divmod(patch, grid)
    side = pixels.shape[-1] // grid
    return pixels[:, row * side : (row + 1) * side, column * side : (column + 1) * side]


def apart(portions, level, touched):
    """The level's task done, and which patches differ from before."""
    result, detail = corrupted(*portions, level, touched, np.random.default_rng(0))
    differ = [
        patch
        for patch in range(level.patches)
        if not torch.equal(cell(result, level.grid, patch), cell(portions[0], level.grid, patch))
    ]
    return result, detail, differ


def test_rotation_turns_the_whole(portions):
    result, detail, _ = apart(portions, PUBLISHED[0], ())
    turns = int(detail.split("°")[0].split()[-1]) // 90
    assert turns in (1, 2, 3)
    assert torch.equal(result, torch.rot90(portions[0], turns, dims=(-2, -1)))


def test_jigsaw_puts_the_patches_in_the_order_it_names(portions):
    result, detail, differ = apart(portions, PUBLISHED[1], ())
    order = [int(number) - 1 for number in detail.split()[1:]]
    assert sorted(order) == [0, 1, 2, 3] and differ
    for place, patch in enumerate(order):
        assert torch.equal(cell(result, 2, place), cell(portions[0], 2, patch))


def test_camouflage_takes_the_donor_s_patch(portions):
    result, detail, differ = apart(portions, PUBLISHED[2], [4])
    assert differ == [4] and "patch 5 " in detail
    assert torch.equal(cell(result, 3, 4), cell(portions[1], 3, 4))


def test_grey_and_blank_touch_the_patches_they_name(portions):
    result, detail, differ = apart(portions, PUBLISHED[3], [1, 10])
    assert differ == [1, 10] and "patches 2, 11" in detail
    chosen = torch.isin(torch.arange(16), torch.tensor([1, 10]))[None]
    assert torch.allclose(result, grey_cells(portions[:1], 4, chosen)[0])
    result, _, differ = apart(portions, PUBLISHED[4], [0, 7, 24])
    assert differ == [0, 7, 24] and all((cell(result, 5, patch) == 0).all() for patch in differ)


def test_coverage_tells_product_from_background():
    shares = product().coverage(Level(5), keep_aspect=True).reshape(5, 5)
    assert shares[2, 2] == pytest.approx(1, abs=0.01)
    assert shares[:, 0].max() < 0.5 and shares[:, 4].max() < 0.5  # the box is wider than the product
    assert product().coverage(Level(1), keep_aspect=False)[0] == pytest.approx(2000 / 2376, abs=0.01)


def shape(columns, rows):
    return 2 * MARGIN + columns * (TILE + GAP) - GAP, 2 * MARGIN + rows * (TILE + CAPTION) - 12


def test_the_picture_has_a_column_a_level_and_a_row_for_tasks():
    draw = {"size": 64, "keep_aspect": True, "rng": np.random.default_rng(0)}
    assert draw_patches(product(), PUBLISHED, **draw).size == shape(6, 2)
    assert draw_patches(product(), [Level(6), Level(7)], **draw).size == shape(3, 1)


def test_the_seed_settles_the_picture_and_the_other_product_is_in_it():
    def draw(seed, other=None):
        rng = np.random.default_rng(seed)
        return np.asarray(draw_patches(product(), PUBLISHED, 60, True, rng, other))

    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    green = (draw(1, product("lime")) == (0, 255, 0)).all(axis=2)
    lower, third = MARGIN + TILE + CAPTION, MARGIN + 3 * (TILE + GAP)
    assert green[lower:, :TILE].any() and green[lower:, third : third + TILE].any()
    assert not green[:lower].any() and not (draw(1) == (0, 255, 0)).all(axis=2).any()
