"""The features that a frozen backbone computes from a photo, as one array (R, D) that replaces its pixels in training.

Its R rows are the patch features of all levels (P), then, for each pretext task that would need the backbone again,
the features of its level's patches in each corrupted version. Patches must be encoded on their own
(``patch_features: crops``): in a pyramid, a corrupted patch changes the features of its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from kaleidobert.levels import Level, level_slices, patch_count
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS


class CachedRows(NamedTuple):
    """The rows that hold a level's corrupted versions, by the level's index and in order; the number of all rows."""

    versions: dict[int, slice]
    total: int


@lru_cache
def cached_rows(levels: tuple[Level, ...]) -> CachedRows:
    """The layout of the array: task by task, and level by level where several have the same task."""
    versions: dict[int, slice] = {}
    end = patch_count(levels)
    for name, task in PRETEXT_TASKS.items():
        for index, level in enumerate(levels):
            if level.task == name and task.versions(level):
                start, end = end, end + task.versions(level) * level.patches
                versions[index] = slice(start, end)
    return CachedRows(versions, end)


def is_cached(pixels: Tensor) -> bool:
    """Whether these are cached features (B, R, D) instead of pixels (B, 3, S, S)."""
    return pixels.ndim == 3


def cached_features(cached: Tensor, levels: Sequence[Level]) -> Tensor:
    """Standardised patch features (B, P, D) of the uncorrupted photos."""
    return cached[:, : patch_count(levels)].float()


def cached_version(cached: Tensor, levels: Sequence[Level], index: int, version: Tensor) -> Tensor:
    """Features (n, p, D) of a level's patches, each in the given version (n, p) int64; 0 is uncorrupted."""
    plain = cached[:, level_slices(levels)[index]]  # (n, p, D)
    corrupted = cached[:, cached_rows(tuple(levels)).versions[index]].unflatten(1, (-1, levels[index].patches))
    choices = torch.cat([plain.unsqueeze(1), corrupted], dim=1)  # (n, 1 + versions, p, D)
    return choices.gather(1, version[:, None, :, None].expand(-1, 1, -1, choices.shape[-1])).squeeze(1).float()
