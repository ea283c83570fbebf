"""The table of kaleidoscope levels: grids, pretext tasks and patch positions (patent: FIG. 4, AKPM).

Level n divides the locked portion of a photo into an n x n grid. Patches are numbered level by level, row by row:
the five published levels have 1 + 4 + 9 + 16 + 25 = 55 patches, 0 to 54.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Level:
    """A grid, the pretext task applied to it and the number of its patches that masking selects.

    task: a key of `model.pretext_tasks.PRETEXT_TASKS`, or None for a level that is never corrupted.
    """

    grid: int
    task: str | None = None
    masked: int = 0

    @property
    def patches(self) -> int:
        return self.grid * self.grid


PUBLISHED = (
    Level(1, "rotation"),
    Level(2, "jigsaw"),
    Level(3, "camouflage", masked=1),
    Level(4, "grey", masked=2),
    Level(5, "blank", masked=3),
)


def patch_count(levels: Sequence[Level]) -> int:
    """Number of patches of all levels together: 55 for the published table."""
    return sum(level.patches for level in levels)


def level_slices(levels: Sequence[Level]) -> list[slice]:
    """Each level's positions in the sequence of all patches, (B, P, D)."""
    ends = np.cumsum([level.patches for level in levels])
    return [slice(int(end) - level.patches, int(end)) for level, end in zip(levels, ends, strict=True)]


def patch_boxes(levels: Sequence[Level]) -> np.ndarray:
    """(P, 4) boxes (x1, y1, x2, y2), as fractions of the locked portion's side."""
    boxes = [
        (column / n, row / n, (column + 1) / n, (row + 1) / n)
        for n in (level.grid for level in levels)
        for row in range(n)
        for column in range(n)
    ]
    return np.asarray(boxes, dtype=np.float32)


def patch_locations(levels: Sequence[Level]) -> np.ndarray:
    """(P, 5) locations [x1, x2, y1, y2, w * h], in the order of the publication (patent: embeddings)."""
    x1, y1, x2, y2 = patch_boxes(levels).T
    return np.stack([x1, x2, y1, y2, (x2 - x1) * (y2 - y1)], axis=1)
