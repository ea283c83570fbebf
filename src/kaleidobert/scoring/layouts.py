"""What a layout is, and the constants of the memory of layouts; see `layout_memory`."""

from __future__ import annotations

from collections.abc import Sequence

from kaleidobert.levels import Level, level_slices

GRID = 3  # of the level that a layout is taken from, or of the nearest one
LAYOUT_SHARPNESS, TEXT_SHARPNESS = 30.0, 14.0  # of the kernels, per unit of the cosine; found on validation data
SMOOTHING = 0.05  # added to the share of neighbours in a word's odds: one distant neighbour proves little


def layout_slice(levels: Sequence[Level]) -> slice:
    """The patches, among those of all levels, that form a layout."""
    nearest = min(range(len(levels)), key=lambda index: abs(levels[index].grid - GRID))
    return level_slices(levels)[nearest]
