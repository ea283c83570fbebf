"""Foreground detectors by name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.base import ForegroundDetector, whole_image
from kaleidobert.vision.saliency.border_colour import border_colour


def packaged_network(image: Image.Image) -> np.ndarray:
    """Foreground mask (H, W) in [0, 1] from the network whose weights come with the package."""
    from kaleidobert.vision.saliency.network import PACKAGED_WEIGHTS

    return _load_network(PACKAGED_WEIGHTS)(image)


DETECTORS: dict[str, ForegroundDetector] = {
    "border-colour": border_colour,
    "network": packaged_network,
    "none": whole_image,
}


def check_detector(name: str) -> None:
    """Raise ``InputError`` unless ``name`` can name a detector. Whether a checkpoint exists shows only on loading."""
    if name not in DETECTORS and "/" not in name and not Path(name).exists():
        raise InputError(
            f"no saliency detector {name!r}; use one of {', '.join(DETECTORS)}, weights written by "
            "`kaleidobert saliency`, or a segmentation checkpoint as a folder or owner/name"
        )


@lru_cache(maxsize=8)
def detector(name: str) -> ForegroundDetector:
    """A detector by name: one of `DETECTORS`, a weights file written by ``kaleidobert saliency``, or any
    `transformers` segmentation checkpoint, as a folder or a name on the Hugging Face Hub.

    Each is loaded once per process and may be called from several threads. Raises ``InputError`` for other names
    and for files and checkpoints that cannot be loaded.
    """
    check_detector(name)
    if name in DETECTORS:
        return DETECTORS[name]
    if Path(name).suffix == ".safetensors":
        return _load_network(Path(name))
    from kaleidobert.vision.saliency.segmentation import SegmentationDetector

    return SegmentationDetector.load(name)


@lru_cache(maxsize=8)
def _load_network(path: Path) -> ForegroundDetector:
    from kaleidobert.vision.saliency.network import NetworkDetector

    return NetworkDetector.load(path)
