"""Each corruption changes exactly what it should, and not its inputs."""

import pytest
import torch

from kaleidobert.levels import Level
from kaleidobert.vision.corruptions import (
    LUMA,
    grey_cells,
    jigsaw_orders,
    permute_cells,
    permute_patches,
    replace_cells,
    replace_patches,
    rotate_cells,
)
from kaleidobert.vision.patches import cut_patches


@pytest.fixture
def pixels():
    return torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def features():
    return torch.rand(3, 9, 5, generator=torch.Generator().manual_seed(1))


def selected(rows, count):
    mask = torch.zeros(len(rows), count, dtype=torch.bool)
    for row, patches in enumerate(rows):
        mask[row, patches] = True
    return mask


def test_rotating_the_whole_photo_is_rot90(pixels):
    rotated = rotate_cells(pixels, 1, torch.tensor([0, 1, 2, 3]))
    for turns in range(4):
        assert torch.equal(rotated[turns], torch.rot90(pixels[turns], turns, dims=(-2, -1)))


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_four_quarter_turns_are_the_identity(pixels, grid):
    rotated = pixels
    for number in range(1, 5):
        rotated = rotate_cells(rotated, grid, torch.ones(4, dtype=torch.long))
        assert torch.equal(rotated, pixels) == (number == 4)


@pytest.mark.parametrize("grid", [1, 2, 3])
def test_rotating_and_cutting_commute(pixels, grid):
    turns = torch.tensor([3, 0, 1, 2])
    cut = cut_patches(rotate_cells(pixels, grid, turns), [Level(grid)], 12 // grid)
    patches = cut_patches(pixels, [Level(grid)], 12 // grid)
    expected = torch.stack([torch.rot90(patches[i], int(turns[i]), dims=(-2, -1)) for i in range(4)])
    assert torch.allclose(cut, expected)


def test_rotating_and_resizing_commute(pixels):
    """Otherwise a network could detect the rotation from resampling artefacts."""
    turns = torch.ones(4, dtype=torch.long)
    small = cut_patches(rotate_cells(pixels, 1, turns), [Level(1)], 8)
    assert torch.allclose(small, torch.rot90(cut_patches(pixels, [Level(1)], 8), 1, dims=(-2, -1)), atol=1e-6)


def test_there_are_24_different_orders_and_the_first_is_the_identity():
    for patches in (4, 9, 16):
        orders = jigsaw_orders(patches)
        assert orders.shape == (24, patches)
        assert len({tuple(order) for order in orders.tolist()}) == 24
        assert torch.equal(orders.sort(dim=1).values, torch.arange(patches).expand(24, -1))
        assert torch.equal(orders[0], torch.arange(patches))
        assert torch.equal(orders, jigsaw_orders(patches))


def test_a_permutation_and_its_inverse_are_the_identity():
    features = torch.rand(24, 4, 5, generator=torch.Generator().manual_seed(2))
    orders = jigsaw_orders(4)
    permuted = permute_patches(features, orders)
    assert torch.equal(permuted[5, 2], features[5, orders[5, 2]])
    assert not torch.equal(permuted, features)
    assert torch.equal(permute_patches(permuted, orders.argsort(dim=1)), features)


def test_grey_cells_have_equal_channels_and_others_stay(pixels):
    cells = selected([[0], [4, 8], [], [2]], 9)
    grey = grey_cells(pixels, 3, cells)
    before, after = (cells_of(each).unflatten(2, (3, 4, 4)) for each in (pixels, grey))
    assert torch.equal(after[~cells], before[~cells])
    assert torch.equal(after[cells][:, 0], after[cells][:, 1]) and torch.equal(after[cells][:, 0], after[cells][:, 2])
    luma = (before[cells] * torch.tensor(LUMA).view(3, 1, 1)).sum(dim=1)
    assert torch.allclose(after[cells][:, 0], luma)


def test_replaced_patches_are_those_of_the_replacement_and_others_stay(features):
    mask = selected([[3], [0, 8], []], 9)
    replaced = replace_patches(features, mask, features[[2, 0, 1]])
    assert torch.equal(replaced[0, 3], features[2, 3])
    assert torch.equal(replaced[1, [0, 8]], features[0, [0, 8]])
    assert torch.equal(replaced[~mask], features[~mask])
    blank = replace_patches(features, mask, 0.0)
    assert (blank[mask] == 0).all()
    assert torch.equal(blank[~mask], features[~mask])


def test_cells_of_pixels_are_replaced_and_permuted_as_patches_of_features_are(pixels):
    mask, order = selected([[0], [4, 8], [], [2]], 9), jigsaw_orders(9)[[3, 0, 7, 23]]
    cells, colour = cells_of(pixels), torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    assert torch.equal(cells_of(permute_cells(pixels, 3, order)), permute_patches(cells, order))
    others = pixels.roll(1, 0)
    assert torch.equal(cells_of(replace_cells(pixels, 3, mask, others)), replace_patches(cells, mask, cells_of(others)))
    blank = cells_of(replace_cells(pixels, 3, mask, colour)).unflatten(2, (3, -1))
    assert (blank[mask] == colour.view(3, 1)).all() and torch.equal(blank[~mask].flatten(1), cells[~mask])


def cells_of(pixels):
    """(B, 3, 12, 12) -> (B, 9, 3 * 4 * 4)."""
    return pixels.unflatten(3, (3, 4)).unflatten(2, (3, 4)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def test_inputs_are_not_modified(pixels, features):
    cells, mask = torch.ones(4, 9, dtype=torch.bool), torch.ones(3, 9, dtype=torch.bool)
    old_pixels, old_features = pixels.clone(), features.clone()
    rotate_cells(pixels, 3, torch.tensor([1, 2, 3, 1]))
    grey_cells(pixels, 3, cells)
    permute_patches(features, torch.arange(8, -1, -1).expand(3, -1))
    permute_cells(pixels, 3, torch.arange(8, -1, -1).expand(4, -1))
    replace_patches(features, mask, features[[1, 2, 0]])
    replace_cells(pixels, 3, cells, 0.0)
    assert torch.equal(pixels, old_pixels) and torch.equal(features, old_features)
