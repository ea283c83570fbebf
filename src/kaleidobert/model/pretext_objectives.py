"""The pretext tasks of all levels on one batch: corruption, heads, losses and references (see `pretext_tasks`).

As published (patent: AKPM), every level is corrupted at once, each by its own task. All levels cover the same portion,
so one level reveals what another hides: finer levels give the order of the jigsaw away, and a blank patch can be read
from a coarser one. Corruption by ``photos`` has no such leaks: each photo gets one task, applied to its pixels, so
that all levels show the same corrupted photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig

from kaleidobert.levels import Level, level_slices, patch_boxes
from kaleidobert.model.cached_features import cached_version, is_cached
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.pretext_base import LevelBatch, LevelTargets, PretextTask
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS, LevelTask, level_tasks
from kaleidobert.vision.backbones import PatchEncoder

Figures = dict[str, Tensor]


def pretext_heads(levels: Sequence[Level], bert: BertConfig, feature_size: int) -> nn.ModuleDict:
    """A head for each level that has a task, under the level's index."""
    return nn.ModuleDict(
        {str(each.index): each.task.head(each.level, bert, feature_size) for each in level_tasks(levels)}
    )


def corrupt_levels(
    encoder: PatchEncoder,
    levels: Sequence[Level],
    pixels: Tensor,
    features: Tensor,
    labels: Tensor,
    masked: Tensor,
    lent: Tensor | None = None,
) -> Tensor:
    """Corrupt every level by its own task, as published: patch features (n, P, D) -> corrupted features (n, P, D).

    pixels: (n, 3, S, S), or cached features (n, R, D); labels (n, N), one per level; masked (n, P) bool; lent
    (n, P, D): features of another product for each, see `borrowed`.
    """
    corrupted = [features[:, where] for where in level_slices(levels)]
    for each in level_tasks(levels):
        index, task, own = each.index, each.task, corrupted[each.index]
        batch = _batch(each, labels, masked, encoder.mean)
        if task.borrows:
            batch = replace(batch, lent=_needed(lent)[:, each.where])
        if task.in_features:
            corrupted[index] = task.corrupt_features(own, batch)
            continue
        if is_cached(pixels):
            version = batch.masked.long() if task.patchwise else batch.labels.unsqueeze(1).expand_as(batch.masked)
            changed = cached_version(pixels, levels, index, version)
        else:
            changed = reencoded(encoder, pixels, task, batch)
        corrupted[index] = torch.where(batch.masked.unsqueeze(-1), changed, own) if task.patchwise else changed
    return torch.cat(corrupted, dim=1)


def reencoded(encoder: PatchEncoder, pixels: Tensor, task: PretextTask, batch: LevelBatch) -> Tensor:
    """Corrupt the pixels (n, 3, S, S) and encode the level's patches (n, p, D); only masked ones may be used.

    Resizing a crop mixes in pixels from beyond its edges, whose colour would show in a grey patch. Where patches are
    encoded as crops, all of them are therefore corrupted.
    """
    if task.patchwise and encoder.mode == "crops":
        batch = replace(batch, masked=torch.ones_like(batch.masked))
    return encoded(encoder, task.corrupt_pixels(_fitted(pixels, task, batch.level), batch), [batch.level])


def corrupt_photos(
    levels: Sequence[Level],
    pixels: Tensor,
    labels: Tensor,
    masked: Tensor,
    blank: Tensor,
    lent: Tensor | None = None,
) -> Tensor:
    """Corrupt photos (n, 3, S, S), each by the one task that its labels (n, N) and masked patches (n, P) name.

    blank (1, 3, 1, 1): the colour of blank patches; lent (n, 3, S, S): another whole photo for each, see `borrowed`.
    """
    for each in level_tasks(levels):
        batch = _batch(each, labels.clamp(min=0), masked, blank)  # label 0 leaves a photo unchanged
        if each.task.borrows:
            batch = replace(batch, lent=_needed(lent))
        corrupted = each.task.corrupt_pixels(_fitted(pixels, each.task, each.level), batch)
        if corrupted.shape != pixels.shape:
            corrupted = F.interpolate(corrupted, pixels.shape[-2:], mode="bilinear")
        pixels = corrupted
    return pixels


def borrowed(rows: Tensor, lenders: Tensor, shard: BatchShard = WHOLE_BATCH) -> Tensor:
    """The lenders' rows (n, ...), uncorrupted pixels or features, by their indices (n,) in the whole batch."""
    return shard.gather(rows).index_select(0, lenders)


def _needed(lent: Tensor | None) -> Tensor:
    if lent is None:
        raise ValueError("a level's task shows patches of other products: give lent")
    return lent


def _batch(each: LevelTask, labels: Tensor, masked: Tensor, blank: Tensor) -> LevelBatch:
    """One level's part of the labels (n, N) and masked patches (n, P)."""
    return LevelBatch(level=each.level, labels=labels[:, each.index], masked=masked[:, each.where], blank=blank)


def _fitted(pixels: Tensor, task: PretextTask, level: Level) -> Tensor:
    """Enlarge (n, C, S, S) to the next S that the grid divides, unless the task works on any size."""
    side = pixels.shape[-1]
    fitted = -(-side // level.grid) * level.grid
    if task.patchwise or fitted == side:
        return pixels
    return F.interpolate(pixels, (fitted, fitted), mode="bilinear")


def encoded(encoder: PatchEncoder, pixels: Tensor, levels: Sequence[Level]) -> Tensor:
    """Standardised patch features (n, P, D) of corrupted photos (n, 3, S, S)."""
    with frozen_statistics(encoder):
        features = encoder(pixels, levels)
    return encoder.standardised(features)


@contextmanager
def frozen_statistics(encoder: nn.Module) -> Iterator[None]:
    """In training, normalise corrupted photos by their own batch without updating the running statistics.

    Running statistics are constants to the gradient. Normalised by them, corrupted photos would let the backbone's
    weights grow at every step, and the uncorrupted photos, normalised by their own batch, would not counteract it.
    """
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def pretext_losses(
    heads: nn.ModuleDict,
    levels: Sequence[Level],
    states: Tensor,
    features: Tensor,
    labels: Tensor,
    masked: Tensor,
    temperature: float,
    shard: BatchShard = WHOLE_BATCH,
) -> tuple[Figures, Figures]:
    """Losses and accuracies by name, for the levels whose task occurs in the whole batch.

    states (n, P, H): hidden states; features (n, P, D): of the uncorrupted photos.
    """
    losses: Figures = {}
    accuracies: Figures = {}
    for each in level_tasks(levels):
        targets = _targets(each, features, labels, masked, temperature, shard)
        if not shard.gather(each.task.active(targets)).any():
            continue
        output = heads[str(each.index)](states[:, each.where]).float()
        losses[each.loss], accuracy = each.task.loss(output, targets)
        if accuracy is not None:
            accuracies[each.loss] = accuracy
    return losses, accuracies


def pretext_references(
    levels: Sequence[Level], corrupted: Tensor, features: Tensor, labels: Tensor, masked: Tensor, temperature: float
) -> Figures:
    """What predictors without any knowledge of products reach, beside each loss and accuracy.

    ``_chance``: a uniform distribution over the classes; for regressions, the mean of all masked features. ``_copy``:
    each patch is estimated from overlapping patches of other levels, weighted by overlap, in the features ``corrupted``
    (n, P, D) that the joint model sees. Without leaks, ``_copy`` is no better than chance.
    """
    copied = overlap_shares(tuple(levels)).to(corrupted) @ corrupted  # (n, P, D)
    figures: Figures = {}
    for each in level_tasks(levels):
        targets = _targets(each, features, labels, masked, temperature)
        references = each.task.references(corrupted[:, each.where], copied[:, each.where], targets)
        figures |= {f"{each.loss}_{kind}": value for kind, value in references.items()}
    return figures


def _targets(
    each: LevelTask,
    features: Tensor,
    labels: Tensor,
    masked: Tensor,
    temperature: float,
    shard: BatchShard = WHOLE_BATCH,
) -> LevelTargets:
    return LevelTargets(
        level=each.level,
        labels=labels[:, each.index],
        masked=masked[:, each.where],
        features=features[:, each.where],
        temperature=temperature,
        shard=shard,
    )


@lru_cache
def overlap_shares(levels: tuple[Level, ...]) -> Tensor:
    """(P, P) weights with which patches of other levels estimate each patch; rows sum to 1."""
    boxes = torch.from_numpy(patch_boxes(levels)).double()
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    shared[shared < 1e-6] = 0  # adjacent patches overlap by rounding errors
    level = torch.repeat_interleave(torch.arange(len(levels)), torch.tensor([each.patches for each in levels]))
    shares = (shared / (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)).masked_fill(level[:, None] == level[None, :], 0)
    return (shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-9)).float()


def illustrate(
    pixels: Tensor, donor: Tensor, level: Level, masked: Sequence[int], rng: np.random.Generator
) -> tuple[Tensor, str]:
    """A locked portion (3, S, S), S divisible by the grid, corrupted by its level's task, and a caption.

    donor (3, S, S): the other product of camouflage; masked: indices of the masked patches.
    """
    task = PRETEXT_TASKS[level.task or ""]
    selected = torch.zeros(1, level.patches, dtype=torch.bool)
    selected[0, list(masked)] = True
    labels = torch.tensor([task.draw_label(level, rng, first=1)])
    batch = LevelBatch(level=level, labels=labels, masked=selected, lent=donor.unsqueeze(0))
    return task.corrupt_pixels(pixels.unsqueeze(0), batch)[0], task.describe(batch)
