"""What every pretext task has: a corruption, labels, a head, a loss and references (see `pretext_tasks`)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig

from kaleidobert.errors import InputError
from kaleidobert.levels import Level
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.heads import LevelHead, PatchHead
from kaleidobert.model.losses import NO_LABEL, feature_divergence


@dataclass(frozen=True, kw_only=True)
class LevelBatch:
    """How one level of n products is corrupted.

    labels (n,): the class of each product's corruption; masked (n, p) bool: the selected patches; blank: the colour of
    an empty patch, (1, 3, 1, 1) or one number; lent: for tasks that borrow, another uncorrupted product for each,
    its pixels or patch features in the shape of those to corrupt.
    """

    level: Level
    labels: Tensor
    masked: Tensor
    blank: Tensor | float = 0.0
    lent: Tensor | float = 0.0


@dataclass(frozen=True, kw_only=True)
class LevelTargets(LevelBatch):
    """What the level's head has to predict; the label is NO_LABEL for a product whose level is not corrupted.

    features (n, p, D): the standardised features of the uncorrupted patches; temperature: of their softmax; shard:
    which products of the whole batch these are.
    """

    features: Tensor
    temperature: float
    shard: BatchShard = WHOLE_BATCH


class PretextTask(ABC):
    """How one task corrupts a level, and how a head learns to predict the corruption. Instances have no state.

    abbreviation: the name of its loss, without underscores. patchwise: the masked patches are corrupted; otherwise the
    whole level is, according to the label, and label 0 leaves it unchanged. in_features: `corrupt_features` is
    implemented; otherwise the corrupted pixels go through the backbone. borrows: it shows patches of other products.
    effect: what happens to a patch, for captions.
    """

    abbreviation: ClassVar[str]
    patchwise: ClassVar[bool]
    in_features: ClassVar[bool] = False
    borrows: ClassVar[bool] = False
    effect: ClassVar[str] = "changed"

    @abstractmethod
    def classes(self, level: Level) -> int:
        """Number of outputs: the level's classes, or its patches to tell apart; 0 for a regression onto features."""

    @abstractmethod
    def corrupt_pixels(self, pixels: Tensor, batch: LevelBatch) -> Tensor:
        """Locked portions (n, 3, S, S), RGB in [0, 1], corrupted. Unless ``patchwise``, the grid divides S."""

    def corrupt_features(self, features: Tensor, batch: LevelBatch) -> Tensor:
        """The level's patch features (n, p, D), corrupted without the backbone."""
        raise NotImplementedError

    @abstractmethod
    def loss(self, output: Tensor, targets: LevelTargets) -> tuple[Tensor, Tensor | None]:
        """Mean loss over the whole batch from the head's output, and the accuracy of a classification."""

    @abstractmethod
    def active(self, batch: LevelBatch) -> Tensor:
        """(n,) bool: the products that contribute to the loss."""

    @abstractmethod
    def references(self, corrupted: Tensor, copied: Tensor, targets: LevelTargets) -> dict[str, Tensor]:
        """What can be reached without learning: any of ``chance``, ``accuracy_chance``, ``copy`` and ``accuracy_copy``.

        corrupted (n, p, D): the features that the model sees; copied (n, p, D): each patch estimated from overlapping
        patches of other levels.
        """

    def head(self, level: Level, bert: BertConfig, feature_size: int) -> nn.Module:
        """Hidden states of the level's patches (n, p, H) -> predictions."""
        classes = self.classes(level)
        if self.patchwise:
            return PatchHead(bert, 1 if classes else feature_size)
        return LevelHead(bert, level.patches, classes)

    def check(self, level: Level) -> None:
        """Raises ``InputError`` for a level that the task cannot be applied to."""
        if self.patchwise and not level.masked:
            raise InputError(f"level {level.grid}: {level.task} hides patches, masked is 0; set it to 1 or more")

    def draw_label(self, level: Level, rng: np.random.Generator, first: int = 0) -> int:
        """A random class from ``first`` on; NO_LABEL for a task on patches, whose masked patches say it all."""
        return NO_LABEL if self.patchwise else int(rng.integers(first, self.classes(level)))

    def describe(self, batch: LevelBatch) -> str:
        """What happened to the first product, as a caption."""
        if not self.patchwise:
            return f"class {int(batch.labels[0])}"
        numbers = [str(patch + 1) for patch in batch.masked[0].nonzero().flatten().tolist()]
        return f"{'patch' if len(numbers) == 1 else 'patches'} {', '.join(numbers)} {self.effect}"

    def versions(self, level: Level) -> int:
        """Corrupted versions of each patch that cached features contain: one if ``patchwise``, else one per label."""
        if self.in_features:
            return 0
        return 1 if self.patchwise else self.classes(level) - 1


class ClassificationTask(PretextTask):
    """Which transformation of the level is it? Cross-entropy."""

    patchwise = False

    def active(self, batch: LevelBatch) -> Tensor:
        return batch.labels != NO_LABEL

    def loss(self, output: Tensor, targets: LevelTargets) -> tuple[Tensor, Tensor | None]:
        active, shard = self.active(targets), targets.shard
        logits, labels = output.flatten(1)[active], targets.labels[active]
        accuracy = shard.mean(logits.argmax(dim=1) == labels)
        loss = F.cross_entropy(logits, labels) if len(labels) else logits.sum()
        return loss * shard.weight(logits), accuracy

    def references(self, corrupted: Tensor, copied: Tensor, targets: LevelTargets) -> dict[str, Tensor]:
        classes, active = self.classes(targets.level), self.active(targets)
        figures = {
            "chance": corrupted.new_tensor(math.log(classes)),
            "accuracy_chance": corrupted.new_tensor(1 / classes),
        }
        answer = self.copied_class(torch.cdist(corrupted.float(), copied.float()).square())
        if answer is not None and active.any():
            figures["accuracy_copy"] = (answer == targets.labels)[active].float().mean()
        return figures

    def copied_class(self, _distances: Tensor) -> Tensor | None:
        """The class (n,) that other levels give away, from distances (n, p, p) of each corrupted patch to each copied
        one; None where they cannot.
        """
        return None


class DetectionTask(PretextTask):
    """Which patches are corrupted? Cross-entropy over the level's patches.

    The target of k corrupted patches is 1/k for each, and its entropy, log k, is subtracted, so that 0 is perfect. For
    one patch this is the published classification (patent: equation 5). The accuracy is the share of the k patches
    with the highest logits that are corrupted.
    """

    patchwise = True

    def classes(self, level: Level) -> int:
        return level.patches

    def check(self, level: Level) -> None:
        if not 1 <= level.masked < level.patches:
            some = f"set it to 1 to {level.patches - 1}" if level.patches > 1 else "use a grid of 2 or more"
            raise InputError(
                f"level {level.grid}: {level.task} hides some of the patches, masked is {level.masked}; {some}"
            )

    def active(self, batch: LevelBatch) -> Tensor:
        return batch.masked.any(dim=1)

    def loss(self, output: Tensor, targets: LevelTargets) -> tuple[Tensor, Tensor | None]:
        active, shard = self.active(targets), targets.shard
        logits, masked = output.flatten(1)[active], targets.masked[active]
        accuracy = shard.mean(_precision(logits, masked))
        if not len(masked):
            return logits.sum() * shard.weight(logits), accuracy
        count = masked.sum(dim=1, keepdim=True)
        loss = F.cross_entropy(logits, masked / count) - count.log().mean()
        return loss * shard.weight(logits), accuracy

    def references(self, corrupted: Tensor, copied: Tensor, targets: LevelTargets) -> dict[str, Tensor]:
        active = self.active(targets)
        if not active.any():
            return {}
        masked = targets.masked[active]
        share = masked.float().mean(dim=1)  # k / p
        misfit = (corrupted.float() - copied.float()).square().sum(dim=-1)[active]  # (n, p)
        return {
            "chance": -share.log().mean(),
            "accuracy_chance": share.mean(),
            "accuracy_copy": _precision(misfit, masked).mean(),
        }


def _precision(scores: Tensor, masked: Tensor) -> Tensor:
    """(n,) the share of the k patches with the highest scores (n, p) that are among the k masked (n, p) bool ones."""
    found = masked.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    count = masked.sum(dim=1, keepdim=True)
    best = torch.arange(masked.shape[1], device=masked.device) < count
    return (found * best).sum(dim=1) / count.squeeze(1)


class ReconstructionTask(PretextTask):
    """What were the features of the masked patches? KL divergence (patent: equations 6 and 7)."""

    patchwise = True

    def classes(self, _level: Level) -> int:
        return 0

    def active(self, batch: LevelBatch) -> Tensor:
        return batch.masked.any(dim=1)

    def loss(self, output: Tensor, targets: LevelTargets) -> tuple[Tensor, Tensor | None]:
        predicted = output[targets.masked]
        loss = feature_divergence(predicted, targets.features[targets.masked], targets.temperature)
        return loss * targets.shard.weight(predicted), None

    def references(self, _corrupted: Tensor, copied: Tensor, targets: LevelTargets) -> dict[str, Tensor]:
        true = targets.features[targets.masked]
        if not len(true):
            return {}
        mean = true.mean(dim=0, keepdim=True).expand_as(true)
        return {
            "chance": feature_divergence(mean, true, targets.temperature),
            "copy": feature_divergence(copied[targets.masked], true, targets.temperature),
        }
