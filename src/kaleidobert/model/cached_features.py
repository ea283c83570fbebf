"""What a frozen backbone makes of a photo, as one table (R, D) that stands in for its pixels in training.

Its rows: the patch features of all levels (P), then of each rotation level its patches turned once, twice and three
times, then of each grey level its patches in grey. What the other tasks do, they do to features. Patches have to be
encoded on their own (``patch_features: crops``): in a pyramid a grey patch shows in its neighbours' features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from kaleidobert.levels import ROTATIONS, Level, level_slices, patch_count


class Rows(NamedTuple):
    """Which rows hold what: turned and grey by the index of their level."""

    turned: dict[int, slice]
    grey: dict[int, slice]
    total: int


@lru_cache
def cached_rows(levels: tuple[Level, ...]) -> Rows:
    """The layout of a table."""
    places: dict[str, dict[int, slice]] = {"rotation": {}, "grey": {}}
    end = patch_count(levels)
    for task, versions in (("rotation", ROTATIONS - 1), ("grey", 1)):
        for index, level in enumerate(levels):
            if level.task == task:
                start, end = end, end + versions * level.patches
                places[task][index] = slice(start, end)
    return Rows(places["rotation"], places["grey"], end)


def is_cached(pixels: Tensor) -> bool:
    """Whether these are tables (B, R, D) instead of pixels (B, 3, S, S)."""
    return pixels.ndim == 3


def cached_features(tables: Tensor, levels: Sequence[Level]) -> Tensor:
    """Standardised patch features (B, P, D) of whole photos."""
    return tables[:, : patch_count(levels)].float()


def cached_turned(tables: Tensor, levels: Sequence[Level], index: int, quarter_turns: Tensor) -> Tensor:
    """Features (n, p, D) of a rotation level's patches, turned by 90 degrees x ``quarter_turns`` (n,)."""
    plain = tables[:, level_slices(levels)[index]]
    turned = tables[:, cached_rows(tuple(levels)).turned[index]].unflatten(1, (ROTATIONS - 1, -1))
    choices = torch.cat([plain.unsqueeze(1), turned], dim=1)  # (n, 4, p, D)
    return choices[torch.arange(len(tables), device=tables.device), quarter_turns].float()


def cached_grey(tables: Tensor, levels: Sequence[Level], index: int) -> Tensor:
    """Features (n, p, D) of a grey level's patches, all in grey."""
    return tables[:, cached_rows(tuple(levels)).grey[index]].float()
