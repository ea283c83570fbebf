"""The pretext tasks of the levels: what is done to photos, what is asked, and what it would take to cheat.

Published (SEED: AKPM): every level is corrupted at once, each by its own task. Levels cover the same portion, so one
level shows what another hides: the finer ones give the jigsaw's order away, a blank patch can be read off the level
above. ``photos``, without leaks: one task a photo, done to its pixels, so that all levels show the same corruption.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kaleidobert.levels import Level, level_slices, patch_boxes
from kaleidobert.model.cached_features import cached_grey, cached_turned, is_cached
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.losses import NO_LABEL, TASK_LOSS, feature_divergence
from kaleidobert.vision.backbones import PatchEncoder
from kaleidobert.vision.corruptions import (
    blank_cells,
    blank_patches,
    camouflage_cells,
    camouflage_patches,
    grey_cells,
    jigsaw_orders,
    permute_cells,
    permute_patches,
    rotate_cells,
)

Figures = dict[str, Tensor]


def numbered(levels: Sequence[Level]) -> list[tuple[int, Level, slice]]:
    """Each level with its index and where its patches lie."""
    return [(i, level, where) for i, (level, where) in enumerate(zip(levels, level_slices(levels), strict=True))]


def corrupt_levels(
    encoder: PatchEncoder,
    levels: Sequence[Level],
    pixels: Tensor,
    features: Tensor,
    labels: Tensor,
    hidden: Tensor,
    shard: BatchShard = WHOLE_BATCH,
) -> Tensor:
    """Every level's task applied to its own patches, as published: features (n, P, D) -> the same, corrupted.

    pixels (n, 3, S, S), or their tables; labels (n, N) of the classifications, hidden (n, P) bool.
    """
    corrupted = []
    for index, level, where in numbered(levels):
        own, chosen = features[:, where], hidden[:, where]
        if level.task == "rotation":
            own = _turned(encoder, levels, index, pixels, labels[:, index])
        elif level.task == "jigsaw":
            own = permute_patches(own, jigsaw_orders(level.patches).to(own.device)[labels[:, index]])
        elif level.task == "camouflage":
            own = camouflage_patches(own, chosen, rolled_from_previous(own, shard))
        elif level.task == "grey":
            own = torch.where(chosen.unsqueeze(-1), _greyed(encoder, levels, index, pixels, chosen), own)
        elif level.task == "blank":
            own = blank_patches(own, chosen)
        corrupted.append(own)
    return torch.cat(corrupted, dim=1)


def _turned(encoder: PatchEncoder, levels: Sequence[Level], index: int, pixels: Tensor, turns: Tensor) -> Tensor:
    """Features (n, p, D) of a level's patches, turned."""
    if is_cached(pixels):
        return cached_turned(pixels, levels, index, turns)
    level = levels[index]
    return encoded(encoder, rotate_cells(fit_grid(pixels, level.grid), level.grid, turns), [level])


def _greyed(encoder: PatchEncoder, levels: Sequence[Level], index: int, pixels: Tensor, chosen: Tensor) -> Tensor:
    """Features (n, p, D) of a level's patches; the chosen ones (n, p) are in grey."""
    if is_cached(pixels):
        return cached_grey(pixels, levels, index)
    level = levels[index]
    # Crops are enlarged with what lies beyond their edges, whose colour would show in a patch that is to have none.
    cells = torch.ones_like(chosen) if encoder.mode == "crops" else chosen
    return encoded(encoder, grey_cells(pixels, level.grid, cells), [level])


def corrupt_photos(
    levels: Sequence[Level],
    pixels: Tensor,
    labels: Tensor,
    hidden: Tensor,
    blank: Tensor,
    shard: BatchShard = WHOLE_BATCH,
) -> Tensor:
    """Photos (n, 3, S, S), each with the one task that its labels (n, N) and hidden patches (n, P) name.

    ``blank`` (1, 3, 1, 1): the colour of nothing.
    """
    for index, level, where in numbered(levels):
        cells = hidden[:, where]
        kept = labels[:, index].clamp(min=0)  # class 0 of rotation and jigsaw changes nothing
        if level.task in ("rotation", "jigsaw"):
            fitted = fit_grid(pixels, level.grid)
            if level.task == "rotation":
                fitted = rotate_cells(fitted, level.grid, kept)
            else:
                fitted = permute_cells(fitted, level.grid, jigsaw_orders(level.patches).to(pixels.device)[kept])
            pixels = (
                F.interpolate(fitted, pixels.shape[-2:], mode="bilinear") if fitted.shape != pixels.shape else fitted
            )
        elif level.task == "camouflage":
            pixels = camouflage_cells(pixels, level.grid, cells, rolled_from_previous(pixels, shard))
        elif level.task == "grey":
            pixels = grey_cells(pixels, level.grid, cells)
        elif level.task == "blank":
            pixels = blank_cells(pixels, level.grid, cells, blank)
    return pixels


def rolled_from_previous(rows: Tensor, shard: BatchShard) -> Tensor:
    """What the product before in the whole batch has, (n, ...): it lends each product its camouflage."""
    everyone = shard.gather(rows)
    return everyone.index_select(0, torch.arange(len(everyone), device=rows.device).roll(1)[shard.rows])


def encoded(encoder: PatchEncoder, pixels: Tensor, levels: Sequence[Level]) -> Tensor:
    """Standardised features (n, P, D) of corrupted photos."""
    with frozen_statistics(encoder):
        features = encoder(pixels, levels)
    return F.layer_norm(features.float(), features.shape[-1:])


def pretext_losses(
    heads: nn.ModuleDict,
    levels: Sequence[Level],
    states: Tensor,
    features: Tensor,
    labels: Tensor,
    hidden: Tensor,
    temperature: float,
    shard: BatchShard = WHOLE_BATCH,
) -> tuple[Figures, Figures]:
    """Losses and accuracies by loss name, of the tasks that occur in the whole batch.

    Hidden states (n, P, H) and true features (n, P, D) of the products here.
    """
    losses: Figures = {}
    accuracies: Figures = {}
    for index, level, where in numbered(levels):
        if not level.task:
            continue
        name, label, chosen = TASK_LOSS[level.task], labels[:, index], hidden[:, where]
        asked = label != NO_LABEL if level.labels else chosen.any(dim=1)
        if not shard.gather(asked).any():
            continue
        output = heads[str(index)](states[:, where]).float()
        if level.labels:
            output, label = output[asked], label[asked]
            loss = F.cross_entropy(output, label) if len(label) else output.sum()
            accuracies[name] = shard.mean(output.argmax(dim=1) == label)
        else:
            output = output[chosen]
            loss = feature_divergence(output, features[:, where][chosen], temperature)
        loss = loss * shard.weight(output)
        losses[name] = losses[name] + loss if name in losses else loss  # one task may serve several levels
    return losses, accuracies


def pretext_references(
    levels: Sequence[Level], seen: Tensor, features: Tensor, labels: Tensor, hidden: Tensor, temperature: float
) -> Figures:
    """What predictors that know nothing of products reach, to be read beside each loss and accuracy.

    ``_chance``: all classes alike; for the regressions the mean of what was hidden. ``_copy``: each patch is taken
    for the mean of those of other levels that overlap it, weighed by the share of them that lies inside. What the
    joint entry sees, ``seen`` (n, P, D), is copied from; a task that does not leak leaves ``_copy`` no better than
    chance.
    """
    guess = overlap_shares(tuple(levels)).to(seen) @ seen  # (n, P, D)
    figures: Figures = {}
    for index, level, where in numbered(levels):
        if not level.task:
            continue
        name, label, chosen = TASK_LOSS[level.task], labels[:, index], hidden[:, where]
        true, copied = features[:, where][chosen], guess[:, where]
        if level.labels:
            asked = label != NO_LABEL
            figures[f"{name}_chance"] = seen.new_tensor(math.log(level.labels))
            figures[f"{name}_accuracy_chance"] = seen.new_tensor(1 / level.labels)
            answer = _copied_answer(level, seen[:, where], copied)
            if answer is not None and asked.any():
                figures[f"{name}_accuracy_copy"] = (answer == label)[asked].float().mean()
        elif len(true):
            mean = true.mean(dim=0, keepdim=True).expand_as(true)
            figures[f"{name}_chance"] = feature_divergence(mean, true, temperature)
            figures[f"{name}_copy"] = feature_divergence(copied[chosen], true, temperature)
    return figures


def _copied_answer(level: Level, own: Tensor, copied: Tensor) -> Tensor | None:
    """The class (n,) that fits what other levels show; own and copied (n, n*n, D). None where they say nothing."""
    distances = torch.cdist(own.float(), copied.float()).square()  # (n, place, patch)
    if level.task == "jigsaw":
        orders = jigsaw_orders(level.patches).to(own.device)  # (24, n*n)
        places = torch.arange(level.patches, device=own.device)
        return distances[:, places, orders].sum(dim=-1).argmin(dim=1)
    return distances.diagonal(dim1=1, dim2=2).argmax(dim=1) if level.task == "camouflage" else None


@lru_cache
def overlap_shares(levels: tuple[Level, ...]) -> Tensor:
    """(P, P) weights of the other levels' patches in a guess at each patch; each row sums to 1."""
    boxes = torch.from_numpy(patch_boxes(levels)).double()
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    shared[shared < 1e-6] = 0  # neighbours touch, but for rounding
    level = torch.repeat_interleave(torch.arange(len(levels)), torch.tensor([each.patches for each in levels]))
    shares = (shared / (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)).masked_fill(level[:, None] == level[None, :], 0)
    return (shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-9)).float()


def fit_grid(pixels: Tensor, grid: int) -> Tensor:
    """Enlarge (B, C, S, S) to the next side that the grid divides, so that cells can be turned exactly."""
    side = pixels.shape[-1]
    fitted = -(-side // grid) * grid
    return pixels if fitted == side else F.interpolate(pixels, (fitted, fitted), mode="bilinear")


@contextmanager
def frozen_statistics(encoder: nn.Module) -> Iterator[None]:
    """In training corrupted photos are normalised by their own batch, and leave the running statistics alone.

    Running statistics would be constants to their gradients, which then let weights grow from step to step: whole
    photos, normalised by their batch, do not object, and statistics never catch up.
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
