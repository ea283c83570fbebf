"""Cutting the locked portion and its patches, and pooling levels from a feature map."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from kaleidobert.levels import PUBLISHED, Level, level_slices, patch_boxes
from kaleidobert.vision.locked_portion import cut_locked_portion
from kaleidobert.vision.patches import cut_patches, pool_patches


def random_pixels(side, channels=3):
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_crops_are_plain_regions_if_no_resizing_is_needed():
    pixels = random_pixels(12)
    for grid in (1, 2, 3, 4):
        size = 12 // grid
        crops = cut_patches(pixels, [Level(grid)], size)
        assert crops.shape == (2, grid * grid, 3, size, size)
        for patch, (x1, y1, _, _) in enumerate(patch_boxes([Level(grid)]) * 12):
            left, top = round(float(x1)), round(float(y1))
            region = pixels[:, :, top : top + size, left : left + size]
            assert torch.allclose(crops[:, patch], region), (grid, patch)


def test_all_levels_give_55_crops_in_order():
    pixels = random_pixels(20)
    crops = cut_patches(pixels, PUBLISHED, 5)
    assert crops.shape == (2, 55, 3, 5, 5)
    for level, where in zip(PUBLISHED, level_slices(PUBLISHED), strict=True):
        assert torch.equal(crops[:, where], cut_patches(pixels, [level], 5))


def test_downscaling_is_antialiased():
    """Fine stripes become their mean, not the value of the pixel in the middle."""
    stripes = torch.tensor([0.0, 1.0, 1.0, 0.0]).repeat(6).expand(1, 3, 24, 24)
    crops = cut_patches(stripes, [Level(2)], 3)
    assert torch.allclose(crops, torch.full_like(crops, 0.5), atol=0.15)


def test_pooling_gives_the_mean_of_each_patch_s_region():
    features = random_pixels(12, channels=7)
    pooled = pool_patches(features, PUBLISHED[:4])
    assert pooled.shape == (2, 30, 7)
    assert torch.allclose(pooled[:, 0], features.mean(dim=(2, 3)))
    assert torch.allclose(pooled[:, 2], features[:, :, :6, 6:].mean(dim=(2, 3)))  # right upper quarter
    assert torch.allclose(pooled[:, 5 + 3], features[:, :, 4:8, :4].mean(dim=(2, 3)))  # 3 x 3, row 2, column 1


def photo():
    """A red disc, 40 pixels wide, in a photo of 60 x 80."""
    image = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(image).ellipse((10, 20, 49, 59), fill="red")
    return image


def red_extent(portion):
    """Width and height of the red area, in pixels."""
    red = np.asarray(portion)[..., 1] < 128
    return int(red.any(axis=0).sum()), int(red.any(axis=1).sum())


def test_a_disc_stays_round_only_if_the_aspect_is_kept():
    box = (0, 15, 60, 65)  # 60 x 50
    kept = cut_locked_portion(photo(), box, 120, keep_aspect=True)
    stretched = cut_locked_portion(photo(), box, 120, keep_aspect=False)
    assert kept.size == stretched.size == (120, 120)
    assert red_extent(kept) == pytest.approx((80, 80), abs=1)
    assert red_extent(stretched) == pytest.approx((80, 96), abs=1)


def test_the_area_beyond_the_photo_is_white():
    tall = Image.new("RGB", (20, 80), "blue")
    portion = np.asarray(cut_locked_portion(tall, (0, 0, 20, 80), 80, keep_aspect=True))
    assert (portion[:, :29] == 255).all() and (portion[:, 51:] == 255).all()
    assert (portion[:, 31:49] == (0, 0, 255)).all()
