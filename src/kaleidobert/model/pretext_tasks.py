"""The pretext tasks of the kaleidoscope levels, one class each (patent: AKPM, sub-tasks 1 to 5), and one more, swap.

A task corrupts its level and trains a head to name or to undo the corruption. To add one, write a class here and
enter it in `PRETEXT_TASKS`: the checks of the configuration, labels, heads, losses, references, cached features and
pictures all follow from that entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kaleidobert.errors import InputError
from kaleidobert.levels import Level, level_slices
from kaleidobert.model.losses import PAIR_LOSSES
from kaleidobert.model.pretext_base import (
    ClassificationTask,
    DetectionTask,
    LevelBatch,
    PretextTask,
    ReconstructionTask,
)
from kaleidobert.vision.corruptions import (
    JIGSAW_ORDERS,
    ROTATIONS,
    grey_cells,
    jigsaw_orders,
    permute_cells,
    permute_patches,
    replace_cells,
    replace_patches,
    rotate_cells,
)


class Rotation(ClassificationTask):
    """Rotation recognition: the whole level is rotated by a multiple of 90 degrees."""

    abbreviation = "RR"

    def classes(self, _level: Level) -> int:
        return ROTATIONS

    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        return rotate_cells(pixels, batch.level.grid, batch.labels)

    def describe(self, batch: LevelBatch) -> str:
        return f"rotated by {90 * int(batch.labels[0])}° anticlockwise"


class Jigsaw(ClassificationTask):
    """Jigsaw puzzle solving: the patches are permuted by one of 24 orders."""

    abbreviation = "JPS"
    in_features = True

    def classes(self, _level: Level) -> int:
        return JIGSAW_ORDERS

    def check(self, level: Level) -> None:
        if level.patches < 4:
            raise InputError(f"level {level.grid}: jigsaw has no other order of one patch; use a grid of 2 or more")

    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        return permute_cells(pixels, batch.level.grid, self._orders(batch))

    def corrupt_features(self, features: Tensor, batch: LevelBatch) -> Tensor:
        return permute_patches(features, self._orders(batch))

    def copied_class(self, distances: Tensor) -> Tensor | None:
        """The order in which the patches fit their estimates best."""
        patches = distances.shape[-1]
        orders = jigsaw_orders(patches).to(distances.device)  # (24, p)
        positions = torch.arange(patches, device=distances.device)
        return distances[:, positions, orders].sum(dim=-1).argmin(dim=1)

    def describe(self, batch: LevelBatch) -> str:
        return f"order {' '.join(str(patch + 1) for patch in self._orders(batch)[0].tolist())}"

    @staticmethod
    def _orders(batch: LevelBatch) -> Tensor:
        return jigsaw_orders(batch.level.patches).to(batch.labels.device)[batch.labels]


class Borrowing(PretextTask):
    """Masked patches are replaced by the patches at the same places of another product; see `objectives.lender`."""

    in_features = True
    borrows = True
    effect = "replaced"

    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        return replace_cells(pixels, batch.level.grid, batch.masked, batch.lent)

    def corrupt_features(self, features: Tensor, batch: LevelBatch) -> Tensor:
        return replace_patches(features, batch.masked, batch.lent)


class Camouflage(Borrowing, DetectionTask):
    """Camouflage prediction: which patches are another product's?"""

    abbreviation = "CP"


class GreyToColour(ReconstructionTask):
    """Grey-to-colour modelling: the features of patches that are shown in grey."""

    abbreviation = "G2CM"
    effect = "in grey"

    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        return grey_cells(pixels, batch.level.grid, batch.masked)


class BlankToColour(ReconstructionTask):
    """Blank-to-colour modelling: the features of patches that are not shown; as features they are zero."""

    abbreviation = "B2CM"
    in_features = True
    effect = "blank"

    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        return replace_cells(pixels, batch.level.grid, batch.masked, batch.blank)

    def corrupt_features(self, features: Tensor, batch: LevelBatch) -> Tensor:
        return replace_patches(features, batch.masked, 0.0)


class Swap(Borrowing, ReconstructionTask):
    """Swapped-patch modelling: the features of patches in whose place another product's are shown."""

    abbreviation = "SPM"


PRETEXT_TASKS: dict[str, PretextTask] = {
    "rotation": Rotation(),
    "jigsaw": Jigsaw(),
    "camouflage": Camouflage(),
    "grey": GreyToColour(),
    "blank": BlankToColour(),
    "swap": Swap(),
}


@dataclass(frozen=True, slots=True)
class LevelTask:
    """A level with its index, its patches' positions, its task and the name of its loss."""

    index: int
    level: Level
    where: slice
    task: PretextTask
    loss: str


def level_tasks(levels: Sequence[Level]) -> list[LevelTask]:
    """The levels that have a task.

    A loss is named by its task, as in G2CM; where levels share a task, by task and grid, as in G2CM_3x3.
    """
    tasks = Counter(level.task for level in levels)
    grids = Counter((level.task, level.grid) for level in levels)
    named = []
    for index, (level, where) in enumerate(zip(levels, level_slices(levels), strict=True)):
        if not level.task:
            continue
        task = PRETEXT_TASKS[level.task]
        grid = f"_{level.grid}x{level.grid}" if tasks[level.task] > 1 else ""
        number = f"_{index + 1}" if grids[level.task, level.grid] > 1 else ""
        named.append(LevelTask(index, level, where, task, f"{task.abbreviation}{grid}{number}"))
    return named


def pretraining_losses() -> tuple[str, ...]:
    """The names of all pre-training losses, in the order of reports; the keys that ``objectives.weights`` accepts."""
    return (*PAIR_LOSSES, *(task.abbreviation for task in PRETEXT_TASKS.values()))


def borrowing(levels: Sequence[Level]) -> bool:
    """Whether the task of any level shows patches of other products."""
    return any(each.task.borrows for each in level_tasks(levels))
