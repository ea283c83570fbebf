"""Any `transformers` segmentation checkpoint as a foreground detector: what is not its background is product."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageSegmentation,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
)

from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.border_colour import main_components

KINDS = (AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation)


class SegmentationDetector:
    """Foreground mask (H, W) in {0, 1} of an RGB image: every pixel whose class is not the background's.

    A checkpoint with a single class is taken for a salient-object network: the class is the foreground.
    """

    def __init__(self, model: Any, processor: Any, background: int | None) -> None:
        self.model = model.eval()
        self.processor = processor
        self.background = background

    def __call__(self, image: Image.Image) -> np.ndarray:
        inputs = self.processor(images=image, return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model(**inputs)
            if self.background is None:
                mask = outputs.logits[:, :1].float()  # (1, 1, h, w)
                mask = torch.nn.functional.interpolate(mask, (image.height, image.width), mode="bilinear")
                return main_components((mask[0, 0] > 0).numpy()).astype(np.float32)
            sizes = [(image.height, image.width)]
            classes = self.processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)[0]
        return main_components((classes != self.background).numpy()).astype(np.float32)

    @classmethod
    def load(cls, name: str) -> SegmentationDetector:
        """A checkpoint by folder or name on the Hugging Face Hub; ``InputError`` in one line where it cannot serve."""
        try:
            config = AutoConfig.from_pretrained(name)
            kind = next((kind for kind in KINDS if type(config) in kind._model_mapping), None)
            if kind is None:
                raise InputError(
                    f"saliency {name}: a {config.model_type} checkpoint does not segment; give one that does"
                )
            background = background_class(config, name)
            processor = AutoImageProcessor.from_pretrained(name)
            return cls(kind.from_pretrained(name), processor, background)
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, InputError):
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"saliency {name}: cannot be loaded as a segmentation checkpoint ({reason})") from error


def background_class(config: Any, name: str) -> int | None:
    """The class that the checkpoint calls background, or class 0 where its classes have no names.

    None for a checkpoint of one class. Raises ``InputError`` where classes are named and none is background.
    """
    labels = {int(index): str(label).lower() for index, label in config.id2label.items()}
    if len(labels) == 1:
        return None
    named = [index for index, label in labels.items() if label in ("background", "bg", "__background__")]
    if named:
        return named[0]
    if all(label == f"label_{index}" for index, label in labels.items()):
        return 0
    raise InputError(
        f"saliency {name}: none of its {len(labels)} classes is called background; give another checkpoint"
    )
