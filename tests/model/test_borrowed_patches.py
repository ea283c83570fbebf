"""Tasks that show patches of another product: who lends them, what they show, and what is predicted."""

import math

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.levels import PUBLISHED, Level, level_slices
from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.objectives import LENDERS, Objectives
from kaleidobert.model.pretext_base import LevelTargets
from kaleidobert.model.pretext_objectives import corrupt_photos, encoded
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS
from kaleidobert.model.pretraining import JointBatch

CAMOUFLAGE = PRETEXT_TASKS["camouflage"]
SWAPS = [{"grid": 2, "task": "swap", "masked": 1}, {"grid": 3, "task": "camouflage", "masked": 2}]
SWAPS += [{"grid": 5, "task": "swap", "masked": 3}]


def model_with(tiny_config, lender="random", corruption="levels", **config) -> KaleidoBertForPreTraining:
    torch.manual_seed(0)
    return KaleidoBertForPreTraining(tiny_config(**config), Objectives(corruption=corruption, lender=lender)).eval()


@pytest.mark.parametrize("lender", LENDERS)
@pytest.mark.parametrize("count", [2, 7])
def test_a_product_never_lends_to_itself(tiny_config, lender, count):
    model = model_with(tiny_config, lender)
    images = F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    kinds = torch.arange(count) % 3
    for draw in (0.0, 0.3, 0.999, 1 - 2**-24):
        found = model._lenders(images, kinds, torch.full((count,), draw), WHOLE_BATCH)
        assert ((found != torch.arange(count)) & (found >= 0) & (found < count)).all()


def test_lenders_are_any_of_the_same_subcategory_or_nearest(tiny_config):
    images = F.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0.0]]), dim=1).repeat(400, 1)
    kinds = torch.tensor([0, 1, 0, 1, 2])
    draws = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    found = {}
    for lender in LENDERS:
        model = model_with(tiny_config, lender)
        model.logit_scale.data.fill_(math.log(50))
        drawn = [model._lenders(images[:5], kinds, draws[i : i + 5], WHOLE_BATCH) for i in range(0, 2000, 5)]
        found[lender] = torch.stack(drawn)
    assert all(set(found["random"][:, row].tolist()) == {0, 1, 2, 3, 4} - {row} for row in range(5))
    assert (found["same-subcategory"][:, :4] == torch.tensor([2, 3, 0, 1])).all()
    assert set(found["same-subcategory"][:, 4].tolist()) == {0, 1, 2, 3}  # it is alone in its own
    assert (found["nearest"][:, :4] == torch.tensor([1, 0, 3, 2])).float().mean() > 0.99


@pytest.mark.parametrize("lender", LENDERS)
def test_processes_draw_the_lenders_of_the_whole_batch(tiny_config, lender):
    model, draws = model_with(tiny_config, lender), torch.rand(8, generator=torch.Generator().manual_seed(0))
    images = F.normalize(torch.randn(12, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    kinds = torch.arange(12) % 4
    whole = model._lenders(images, kinds, draws, WHOLE_BATCH)
    parts = [model._lenders(images, kinds, draws[process::2], BatchShard(process, 2)) for process in range(2)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(), whole) and whole.max() < 8  # of the joint products


def test_lent_cells_are_of_whole_photos(tiny_config, make_batch):
    """Also where the lender's own photo is rotated, and comes before."""
    model = model_with(tiny_config, corruption="photos")
    batch = make_batch(model.config)
    pixels, levels = batch["pixel_values"], model.levels
    labels, masked = torch.full((4, 5), NO_LABEL), torch.zeros(4, 55, dtype=torch.bool)
    labels[0, 0], masked[1, 9] = 1, True  # a quarter turn; the middle of the 3 x 3
    lenders = torch.tensor([3, 0, 0, 0])
    joint = JointBatch(None, None, labels, masked, None, None)
    found = model._corrupt(pixels, torch.zeros(4, 55, 16), joint, lenders, WHOLE_BATCH)
    expected = pixels.clone()
    expected[0] = torch.rot90(pixels[0], 1, (-2, -1))
    inside = slice(14, 27)  # 40 pixels: cells of the 3 x 3 begin at 0, 14 and 27
    expected[1, :, inside, inside] = pixels[0, :, inside, inside]
    torch.testing.assert_close(found, encoded(model.kaleidobert.patch_encoder, expected, levels))
    lent = corrupt_photos(levels, pixels, labels, masked, torch.zeros(1, 3, 1, 1), pixels[lenders])
    assert torch.equal(lent, expected)


def targets(masked: torch.Tensor) -> LevelTargets:
    count = len(masked)
    labels, features = torch.full((count,), NO_LABEL), torch.zeros(count, masked.shape[1], 4)
    return LevelTargets(level=Level(3, "camouflage"), labels=labels, masked=masked, features=features, temperature=1.0)


def test_one_camouflaged_patch_is_a_class():
    """The published loss."""
    output = torch.randn(5, 9, 1, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 8, 3, 3, 5])
    loss, accuracy = CAMOUFLAGE.loss(output, targets(F.one_hot(label, 9).bool()))
    assert loss.item() == pytest.approx(F.cross_entropy(output[..., 0], label).item(), rel=1e-5)
    assert accuracy == (output[..., 0].argmax(dim=1) == label).float().mean()


def test_several_camouflaged_patches_by_hand():
    masked = torch.zeros(3, 9, dtype=torch.bool)
    masked[0, [1, 4]] = masked[1, [0, 8]] = True  # the third product is not camouflaged
    output = torch.zeros(3, 9, 1)
    loss, accuracy = CAMOUFLAGE.loss(output, targets(masked))
    assert loss.item() == pytest.approx(math.log(9 / 2))  # log 9, less log 2
    output[0, [1, 4]], output[1, [0, 3]] = 50.0, 50.0
    loss, accuracy = CAMOUFLAGE.loss(output, targets(masked))
    assert accuracy == 0.75  # both, and one of two
    assert loss.item() == pytest.approx((0 + 25) / 2, abs=1e-3)  # half of the second product's target is 50 too low
    misfit = torch.zeros(3, 9, 4)
    misfit[:, [1, 4]] = 1.0
    references = CAMOUFLAGE.references(misfit, torch.zeros(3, 9, 4), targets(masked))
    assert references["chance"].item() == pytest.approx(math.log(9 / 2))
    assert references["accuracy_chance"].item() == pytest.approx(2 / 9)
    assert references["accuracy_copy"].item() >= 0.5  # the first product's two
    assert not CAMOUFLAGE.references(misfit, misfit, targets(masked & False))
    nothing, _ = CAMOUFLAGE.loss(output, targets(masked & False))
    assert nothing == 0


@pytest.mark.parametrize("corruption", ["levels", "photos"])
@pytest.mark.parametrize("lender", ["random", "nearest"])
def test_swapped_patches_are_restored_and_several_camouflaged_ones_found(tiny_config, make_batch, lender, corruption):
    model = model_with(tiny_config, lender, corruption, levels=SWAPS).train()
    batch = make_batch(model.config, products=12)
    batch["subcategory"] = torch.arange(12) % 3
    if corruption == "photos":  # one task a photo
        levels = level_slices(model.config.level_table)
        for index, where in enumerate(levels):
            batch["masked_patches"][torch.arange(12) % 3 != index, where] = False
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    first = None
    for _ in range(30):
        output = model(**batch)
        first = first or {name: value.item() for name, value in output.losses.items()}
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    output = model.eval()(**batch)
    assert {"SPM_2x2", "SPM_5x5", "CP"} <= set(output.losses) and set(output.accuracies) == {"ITM", "CP"}
    assert all(output.losses[name] < 0.8 * first[name] for name in ("SPM_2x2", "SPM_5x5"))
    assert output.accuracies["CP"] > 0.35 > output.references["CP_accuracy_chance"] == pytest.approx(2 / 9)
    assert {"SPM_5x5_chance", "SPM_5x5_copy"} <= set(output.references)


def test_swapped_features_are_the_lenders_and_the_target_is_the_product_s_own(tiny_config, make_batch):
    model = model_with(tiny_config, levels=SWAPS)
    batch = make_batch(model.config)
    features = model.kaleidobert.encode_image(batch["pixel_values"]).patch_features
    lenders = model._lenders(None, None, batch["lender_draws"], WHOLE_BATCH)
    joint = JointBatch(None, None, batch["level_labels"], batch["masked_patches"], None, None)
    found = model._corrupt(batch["pixel_values"], features, joint, lenders, WHOLE_BATCH)
    expected = torch.where(batch["masked_patches"].unsqueeze(-1), features[lenders], features)
    assert torch.equal(found, expected) and not torch.equal(found, features)
    swap, masked = PRETEXT_TASKS["swap"], batch["masked_patches"][:, 13:]
    own = LevelTargets(
        level=Level(5, "swap", 3), labels=masked[:, 0], masked=masked, features=features[:, 13:], temperature=1.0
    )
    assert swap.loss(features[:, 13:], own)[0].item() == pytest.approx(0, abs=1e-6)
    assert swap.loss(features[lenders][:, 13:], own)[0] > 0.01


def test_joint_objectives_without_draws_are_refused(tiny_config, make_batch):
    model = model_with(tiny_config)
    batch = make_batch(model.config) | {"lender_draws": None}
    with pytest.raises(ValueError, match="the joint objectives need .*lender_draws"):
        model(**batch)


def test_the_published_levels_borrow_for_camouflage_alone():
    assert [level.task for level in PUBLISHED if PRETEXT_TASKS[level.task].borrows] == ["camouflage"]
