"""How a catalogue is read: what users choose about it, for every command alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kaleidobert.data.columns import IMAGE_TEMPLATE, load_columns
from kaleidobert.data.problems import MAX_BAD


@dataclass(frozen=True)
class Reading:
    """``columns`` and ``max_bad`` of `read_products`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    max_bad: float = MAX_BAD

    @classmethod
    def load(cls, columns: Path | None, image_template: str | None = None, max_bad: float = MAX_BAD) -> Reading:
        """With the columns of a file (see `load_columns`), if one is given, and a template in place of the file's."""
        mapping = load_columns(columns) if columns else {}
        return cls(mapping | ({IMAGE_TEMPLATE: image_template} if image_template else {}), max_bad)


BY_DEFAULT = Reading()
