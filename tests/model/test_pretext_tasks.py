"""The pretext tasks one by one: classes, labels, names, pictures, and what a new one takes."""

import math

import numpy as np
import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.model import KaleidoBertForPreTraining
from kaleidobert.model.losses import NO_LABEL, loss_weight
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.pretext_base import ClassificationTask
from kaleidobert.model.pretext_objectives import illustrate
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS, level_tasks, pretraining_losses
from kaleidobert.training.pretraining_collator import PreTrainingCollator
from kaleidobert.vision.corruptions import grey_cells

TASKS = [each.task for each in level_tasks(PUBLISHED)]


class Mirror(ClassificationTask):
    """Is the level mirrored?"""

    abbreviation = "MIR"

    def classes(self, _level):
        return 2

    def corrupt_pixels(self, pixels, batch):
        return torch.where(batch.labels.view(-1, 1, 1, 1) == 1, pixels.flip(-1), pixels)


@pytest.mark.parametrize("corruption", ["levels", "photos"])
def test_a_new_task_is_a_class_and_an_entry(corruption, monkeypatch, catalogue, tokenizer, tiny_config):
    monkeypatch.setitem(PRETEXT_TASKS, "mirror", Mirror())
    levels = [{"grid": 1, "task": "mirror"}, {"grid": 2, "task": "jigsaw"}]
    torch.manual_seed(0)
    config = tiny_config(vocab_size=len(tokenizer), levels=levels)
    model = KaleidoBertForPreTraining(config, Objectives({"MIR": 2.0}, corruption))
    collate = PreTrainingCollator(catalogue, tokenizer, model.config.level_table, 0, True, 24, corruption=corruption)
    batch = collate(range(24))
    before = model.pretext_heads["0"].out.weight.clone()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(40):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    output = model.eval()(**batch)
    assert output.references["MIR_chance"].item() == pytest.approx(math.log(2))
    assert output.losses["MIR"] < 0.7 * output.references["MIR_chance"] and output.accuracies["MIR"] > 0.7
    assert not torch.equal(model.pretext_heads["0"].out.weight, before)


def test_the_published_tasks():
    assert list(PRETEXT_TASKS) == ["rotation", "jigsaw", "camouflage", "grey", "blank", "swap"]
    assert [task.classes(level) for task, level in zip(TASKS, PUBLISHED, strict=True)] == [4, 24, 9, 0, 0]
    assert pretraining_losses() == ("contrastive", "AMLM", "ITM", "LM", "PMI", "RR", "JPS", "CP", "G2CM", "B2CM", "SPM")


def test_a_loss_is_named_by_its_task_and_where_that_is_ambiguous_by_its_grid():
    def names(*levels):
        return [each.loss for each in level_tasks(levels)]

    grey = [Level(grid, "grey", 1) for grid in (3, 4)]
    assert names(*PUBLISHED) == ["RR", "JPS", "CP", "G2CM", "B2CM"]
    assert names(grey[0], Level(2), grey[1], PUBLISHED[4]) == ["G2CM_3x3", "G2CM_4x4", "B2CM"]
    assert names(*grey, grey[0]) == ["G2CM_3x3_1", "G2CM_4x4", "G2CM_3x3_3"]
    weights = {"G2CM": 0.5}
    assert [loss_weight(weights, name) for name in ("G2CM", "G2CM_3x3", "G2CM_3x3_1", "B2CM")] == [0.5, 0.5, 0.5, 1]


def test_labels():
    """Of tasks on the whole level; tasks on patches need none."""
    rng = np.random.default_rng(0)
    labels = {name: {task.draw_label(Level(2), rng) for _ in range(200)} for name, task in PRETEXT_TASKS.items()}
    assert labels.pop("rotation") == set(range(4)) and labels.pop("jigsaw") == set(range(24))
    assert len(labels) == 4 and all(found == {NO_LABEL} for found in labels.values())
    assert {TASKS[0].draw_label(Level(2), rng, first=1) for _ in range(100)} == {1, 2, 3}


def test_tasks_that_hide_patches_need_some_and_camouflage_others_to_tell_them_from():
    refused = {("camouflage", 0), ("camouflage", 9), ("grey", 0), ("blank", 0), ("swap", 0)}
    for name, task in PRETEXT_TASKS.items():
        for masked in (0, 2, 9):
            if (name, masked) in refused:
                with pytest.raises(InputError, match=f"level 3: {name} hides .*masked is {masked}; set it to 1"):
                    task.check(Level(3, name, masked))
            else:
                task.check(Level(3, name, masked))
    with pytest.raises(InputError, match="level 1: camouflage hides .*masked is 1; use a grid of 2 or more"):
        PRETEXT_TASKS["camouflage"].check(Level(1, "camouflage", 1))


@pytest.fixture
def portions():
    return torch.rand(2, 3, 60, 60, generator=torch.Generator().manual_seed(0))


def cell(pixels, grid, patch):
    row, column = divmod(patch, grid)
    side = pixels.shape[-1] // grid
    return pixels[:, row * side : (row + 1) * side, column * side : (column + 1) * side]


def illustrated(portions, level, masked):
    """The corrupted portion, its caption and the patches that changed."""
    result, caption = illustrate(*portions, level, masked, np.random.default_rng(0))
    changed = [
        patch
        for patch in range(level.patches)
        if not torch.equal(cell(result, level.grid, patch), cell(portions[0], level.grid, patch))
    ]
    return result, caption, changed


def test_a_picture_of_rotation(portions):
    result, caption, _ = illustrated(portions, PUBLISHED[0], ())
    turns = int(caption.split("°")[0].split()[-1]) // 90
    assert turns in (1, 2, 3)
    assert torch.equal(result, torch.rot90(portions[0], turns, dims=(-2, -1)))


def test_a_picture_of_the_jigsaw_has_the_order_in_its_caption(portions):
    result, caption, changed = illustrated(portions, PUBLISHED[1], ())
    order = [int(number) - 1 for number in caption.split()[1:]]
    assert sorted(order) == [0, 1, 2, 3] and changed
    for place, patch in enumerate(order):
        assert torch.equal(cell(result, 2, place), cell(portions[0], 2, patch))


def test_a_picture_of_camouflage_has_the_donor_s_patch(portions):
    result, caption, changed = illustrated(portions, PUBLISHED[2], [4])
    assert changed == [4] and caption == "patch 5 replaced"
    assert torch.equal(cell(result, 3, 4), cell(portions[1], 3, 4))


def test_pictures_of_grey_and_blank_patches(portions):
    result, caption, changed = illustrated(portions, PUBLISHED[3], [1, 10])
    assert changed == [1, 10] and caption == "patches 2, 11 in grey"
    masked = torch.isin(torch.arange(16), torch.tensor([1, 10]))[None]
    assert torch.allclose(result, grey_cells(portions[:1], 4, masked)[0])
    result, _, changed = illustrated(portions, PUBLISHED[4], [0, 7, 24])
    assert changed == [0, 7, 24] and all((cell(result, 5, patch) == 0).all() for patch in changed)


def test_a_task_without_a_caption_of_its_own_can_be_drawn_too(portions, monkeypatch):
    monkeypatch.setitem(PRETEXT_TASKS, "mirror", Mirror())
    result, caption, _ = illustrated(portions, Level(1, "mirror"), ())
    assert torch.equal(result, portions[0].flip(-1)) and caption == "class 1"
