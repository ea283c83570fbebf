"""Surfaces: their range, what they are drawn from, and photos of real products on them."""

import numpy as np
import pytest
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.synthetic.composites import composites
from kaleidobert.synthetic.surfaces import DRAWN, Surfaces, folds, noise, part_of, read_surfaces, recoloured

SIZE = (60, 80)


@pytest.mark.parametrize("surface", sorted(set(DRAWN), key=lambda function: function.__name__))
def test_drawn_surfaces_have_the_photo_s_shape_and_are_not_even(surface):
    for seed in range(3):
        picture = surface(np.random.default_rng(seed), SIZE)
        assert picture.shape == (3, 80, 60) and picture.dtype == np.float32 and np.isfinite(picture).all()
        assert picture.std() > 0.003


def test_a_picture_depends_on_the_generator_alone_and_stays_in_range():
    surfaces = Surfaces()
    pictures = [surfaces.draw(np.random.default_rng(seed), SIZE) for seed in (0, 0, *range(1, 12))]
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])
    assert min(picture.min() for picture in pictures) >= 0 and max(picture.max() for picture in pictures) <= 1


def test_a_part_of_a_picture_has_no_empty_corner_at_any_angle():
    picture = Image.new("RGB", (90, 70), (200, 200, 200))
    for seed in range(40):
        part = part_of(picture, np.random.default_rng(seed), SIZE)
        assert part.shape == (3, 80, 60) and part.min() > 0.75


def test_noise_has_deviation_one_and_is_smoother_with_a_steeper_spectrum():
    rough, smooth = (noise(np.random.default_rng(1), (64, 64), slope) for slope in (0.3, 2.0))
    assert abs(rough.std() - 1) < 0.01 and abs(smooth.std() - 1) < 0.01
    assert np.abs(np.diff(smooth)).mean() < 0.4 * np.abs(np.diff(rough)).mean()
    light = folds(np.random.default_rng(1), SIZE)
    assert abs(light.mean() - 1) < 0.1 and light.std() > 0.02


def test_recolouring_keeps_the_pattern():
    stripes = np.tile(np.repeat([0.3, 0.6], 5), (3, 40, 3)).astype(np.float32)
    changed = recoloured(stripes, np.random.default_rng(0))
    assert np.corrcoef(stripes.ravel(), changed.ravel())[0, 1] > 0.8


def test_pictures_are_read_below_a_folder(tmp_path):
    with pytest.raises(InputError, match="no pictures in it"):
        read_surfaces(tmp_path)
    (tmp_path / "wood").mkdir()
    Image.new("RGB", (900, 600)).save(tmp_path / "wood" / "a.jpg")
    Image.new("RGB", (20, 20)).save(tmp_path / "tiny.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert [picture.size for picture in read_surfaces(tmp_path)] == [(512, 341)]


def test_photos_of_real_products_on_pictures():
    thing = Image.new("RGBA", (50, 40), (250, 0, 0, 255))
    surfaces = Surfaces([Image.new("RGB", (100, 100), (20, 40, 60))])
    photos = list(composites(24, 7, 1.0, 96, [(thing, "Bags")], surfaces))
    again = list(composites(24, 7, 1.0, 96, [(thing, "Bags")], surfaces))
    assert all(one[0].tobytes() == other[0].tobytes() for one, other in zip(photos, again, strict=True))

    def redness(image, mask):
        pixels, inside = np.asarray(image, np.float32), np.asarray(mask) > 200
        return (pixels[..., 0] - pixels[..., 1:].max(axis=-1))[inside].mean() if inside.any() else 0

    assert sum(redness(*photo) > 60 for photo in photos) > 0.5 * 24  # 70 % are real
