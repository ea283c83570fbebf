"""The table of kaleidoscope levels: grid, pretext task, patch positions (SEED: FIG. 4, AKPM).

Level n covers the locked portion of a photo with an n x n grid. Patches are ordered level by level, row by
row, so the published five levels give 1 + 4 + 9 + 16 + 25 = 55 patches at indices 0 .. 54.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TASKS = ("rotation", "jigsaw", "camouflage", "grey", "blank")
CORRUPTIONS = ("levels", "photos")  # every level by its own task at once, or one task a photo
ROTATIONS = 4  # 0, 90, 180, 270 degrees
JIGSAW_ORDERS = 24  # 4!; larger grids use a fixed table of as many orders


@dataclass(frozen=True, slots=True)
class Level:
    """One grid and what pre-training does to it. ``masked`` patches are hidden by masking (0: the whole level).

    A ``task`` of None leaves the level untouched.
    """

    grid: int
    task: str | None = None
    masked: int = 0

    @property
    def patches(self) -> int:
        return self.grid * self.grid

    @property
    def labels(self) -> int:
        """Classes of the level's task; 0 for the two regressions onto patch features."""
        return {"rotation": ROTATIONS, "jigsaw": JIGSAW_ORDERS, "camouflage": self.patches}.get(self.task or "", 0)


PUBLISHED = (
    Level(1, "rotation"),
    Level(2, "jigsaw"),
    Level(3, "camouflage", masked=1),
    Level(4, "grey", masked=2),
    Level(5, "blank", masked=3),
)


def patch_count(levels: Sequence[Level]) -> int:
    """Patches of all levels together: 55 for the published table."""
    return sum(level.patches for level in levels)


def level_slices(levels: Sequence[Level]) -> list[slice]:
    """Where each level's patches lie in the (B, P, D) sequence."""
    ends = np.cumsum([level.patches for level in levels])
    return [slice(int(end) - level.patches, int(end)) for level, end in zip(levels, ends, strict=True)]


def patch_boxes(levels: Sequence[Level]) -> np.ndarray:
    """(P, 4) boxes (x1, y1, x2, y2) in [0, 1] of the locked portion."""
    boxes = [
        (column / n, row / n, (column + 1) / n, (row + 1) / n)
        for n in (level.grid for level in levels)
        for row in range(n)
        for column in range(n)
    ]
    return np.asarray(boxes, dtype=np.float32)


def patch_locations(levels: Sequence[Level]) -> np.ndarray:
    """(P, 5) locations [x1, x2, y1, y2, w * h], the order of the publication (SEED: embeddings)."""
    x1, y1, x2, y2 = patch_boxes(levels).T
    return np.stack([x1, x2, y1, y2, (x2 - x1) * (y2 - y1)], axis=1)
