"""Pretext tasks on a batch: corrupted photos, references, and leaks between levels."""

import math

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.levels import PUBLISHED, Level, level_slices
from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.model.losses import NO_LABEL, unigram_loss
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretext_objectives import (
    corrupt_photos,
    overlap_shares,
    pretext_heads,
    pretext_losses,
    pretext_references,
)
from kaleidobert.model.pretext_tasks import level_tasks
from kaleidobert.model.pretraining import active_levels
from kaleidobert.vision.corruptions import jigsaw_orders
from kaleidobert.vision.patches import pool_patches

GREY = torch.full((1, 3, 1, 1), 0.5)
TASKS = level_tasks(PUBLISHED)
NAMES = [each.loss for each in TASKS]


def photos(count: int = 48, side: int = 60) -> torch.Tensor:
    """Smooth random colour gradients."""
    numbers = torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    return F.interpolate(numbers, (side, side), mode="bilinear").clamp(0, 1)


def one_task(index: int, count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (count, 5) and masked patches (count, 55) of the published level ``index`` alone."""
    numbers = torch.Generator().manual_seed(seed)
    level, where, task = PUBLISHED[index], level_slices(PUBLISHED)[index], TASKS[index].task
    labels, masked = torch.full((count, 5), NO_LABEL), torch.zeros(count, 55, dtype=torch.bool)
    chosen = torch.rand(count, level.patches, generator=numbers).argsort(dim=1) < level.masked
    masked[:, where] = chosen
    if not task.patchwise:
        labels[:, index] = torch.randint(task.classes(level), (count,), generator=numbers)
    return labels, masked


def standardised(pixels: torch.Tensor) -> torch.Tensor:
    """Colours of cells as features, as from a backbone whose receptive field is one cell."""
    features = pool_patches(F.pixel_unshuffle(pixels, 2), PUBLISHED)
    return F.layer_norm(features, features.shape[-1:])


def references(corruption: str, index: int) -> dict[str, float]:
    pixels = photos()
    labels, masked = one_task(index, len(pixels))
    features = standardised(pixels)
    if corruption == "photos":
        seen = standardised(corrupt_photos(PUBLISHED, pixels, labels, masked, GREY, pixels.roll(1, 0)))
    else:  # only this level changes
        seen, where = features.clone(), level_slices(PUBLISHED)[index]
        if PUBLISHED[index].task == "jigsaw":
            order = jigsaw_orders(4)[labels[:, index]]
            seen[:, where] = features[:, where].gather(1, order.unsqueeze(-1).expand(-1, -1, features.shape[-1]))
        else:
            replaced = features.roll(1, 0) if PUBLISHED[index].task == "camouflage" else torch.zeros_like(features)
            seen = torch.where(masked.unsqueeze(-1), replaced, features)
    figures = pretext_references(PUBLISHED, seen, features, labels, masked, 1.0)
    return {name: value.item() for name, value in figures.items()}


@pytest.mark.parametrize("index, name", [(1, "JPS"), (2, "CP")])
def test_other_levels_give_published_classes_away_and_corrupted_photos_do_not(index, name):
    leaking, tight = references("levels", index), references("photos", index)
    chance = leaking[f"{name}_accuracy_chance"]
    assert chance == pytest.approx(1 / TASKS[index].task.classes(PUBLISHED[index]))
    assert leaking[f"{name}_accuracy_copy"] > 0.7
    assert tight[f"{name}_accuracy_copy"] < 3 * chance


def test_a_blank_patch_can_be_copied_from_a_coarser_level_unless_that_is_blank_too():
    leaking, tight = references("levels", 4), references("photos", 4)
    assert leaking["B2CM_chance"] == pytest.approx(tight["B2CM_chance"], rel=1e-5)
    assert leaking["B2CM_copy"] < 0.7 * tight["B2CM_copy"]


def test_chance_by_hand():
    pixels = photos()
    labels, masked = one_task(3, len(pixels))
    features = standardised(pixels)
    figures = pretext_references(PUBLISHED, features, features, labels, masked, 2.0)
    true = (features[masked] / 2).softmax(-1)
    mean = (features[masked].mean(0) / 2).softmax(-1)
    assert figures["G2CM_chance"].item() == pytest.approx((true * (true / mean).log()).sum(-1).mean().item(), rel=1e-4)
    assert figures["JPS_chance"].item() == pytest.approx(math.log(24))
    assert figures["RR_accuracy_chance"].item() == 0.25


def test_overlap_shares():
    shares = overlap_shares((Level(1), Level(2), Level(4)))
    assert torch.allclose(shares.sum(dim=1), torch.ones(21))
    first = shares[5]  # the 4 x 4's upper left: a sixteenth of the whole, a quarter of the 2 x 2's upper left
    assert first[0] == pytest.approx(1 / 5) and first[1] == pytest.approx(4 / 5) and not first[5:].any()
    assert shares[1, [5, 6, 9, 10]].tolist() == pytest.approx([4 / 17] * 4)  # all of each, and a quarter of the whole


@pytest.mark.parametrize("index", range(5), ids=NAMES)
def test_each_task_changes_the_right_pixels(index):
    """And no others."""
    pixels = photos()
    labels, masked = one_task(index, len(pixels))
    corrupted = corrupt_photos(PUBLISHED, pixels, labels, masked, GREY, pixels.roll(1, 0))
    assert corrupted.shape == pixels.shape
    cells = masked[:, level_slices(PUBLISHED)[index]]
    if index == 0:
        assert torch.equal(corrupted[3], torch.rot90(pixels[3], int(labels[3, 0]), (-2, -1)))
    elif index == 1:
        order = jigsaw_orders(4)[labels[:, 1]]
        quarters = [pixels[..., y : y + 30, x : x + 30] for y in (0, 30) for x in (0, 30)]
        assert torch.equal(corrupted[5, :, :30, 30:], quarters[int(order[5, 1])][5])
    else:
        grid = PUBLISHED[index].grid
        inside = F.interpolate(cells.view(-1, 1, grid, grid).float(), (60, 60)).bool().expand_as(pixels)
        assert torch.equal(corrupted[~inside], pixels[~inside])
        expected = {2: pixels.roll(1, 0), 4: GREY.expand_as(pixels)}.get(index)
        if expected is not None:
            assert torch.equal(corrupted[inside], expected[inside])
        else:  # grey: three equal channels
            assert (corrupted - corrupted.mean(1, keepdim=True)).abs()[inside].max() < 1e-6


def test_photos_without_a_task_are_unchanged():
    pixels = photos()
    nothing = torch.full((len(pixels), 5), NO_LABEL), torch.zeros(len(pixels), 55, dtype=torch.bool)
    assert torch.equal(corrupt_photos(PUBLISHED, pixels, *nothing, GREY, pixels.roll(1, 0)), pixels)


def test_a_model_trains_on_corrupted_photos(tiny_config, make_batch):
    """Only the tasks that occur in the batch have a loss and, outside training, references."""
    torch.manual_seed(0)
    model = KaleidoBertForPreTraining(tiny_config(), Objectives(corruption="photos")).eval()
    batch = make_batch(model.config, products=6)
    for row in range(6):
        for index, where in enumerate(level_slices(PUBLISHED)):
            if index != (1, 1, 4, 4, 2, 5)[row]:  # the last photo has no task
                batch["masked_patches"][row, where] = False
                batch["level_labels"][row, index] = NO_LABEL
    output = model(**batch)
    assert set(output.losses) == {"contrastive", "ITM", "AMLM", "LM", "JPS", "B2CM", "CP"}
    assert {"JPS_accuracy_copy", "B2CM_copy", "AMLM_chance", "ITM_accuracy_chance"} <= set(output.references)
    output.loss.backward()
    assert model.pretext_heads["1"].out.weight.grad.abs().sum() > 0 and model.pretext_heads["0"].out.weight.grad is None
    assert not model.train()(**batch).references


def test_losses_of_weight_zero_are_left_out(tiny_config):
    heads = pretext_heads(PUBLISHED, tiny_config().encoder_config, 16)
    labels, masked = one_task(4, 3)
    labels[:, 0] = 1
    batch = (torch.rand(3, 55, 32), torch.rand(3, 55, 16), labels, masked, 1.0)
    assert set(pretext_losses(heads, PUBLISHED, *batch)[0]) == {"RR", "B2CM"}
    levels = active_levels(PUBLISHED, Objectives({"RR": 0.0, "B2CM": 0.1}))
    losses, accuracies = pretext_losses(heads, levels, *batch)
    assert set(losses) == {"B2CM"} and not accuracies


def test_unigram_loss_by_hand():
    ids = torch.tensor([[1, 1, 2, 0], [1, 3, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    loss = unigram_loss(ids, mask, torch.tensor([1, 2]), vocabulary=4)
    assert loss.item() == pytest.approx(-(math.log(4 / 9) + math.log(2 / 9)) / 2)
