"""Any `transformers` segmentation checkpoint as a foreground detector: every class but the background is product."""

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
from kaleidobert.vision.saliency.base import main_components

AUTO_CLASSES = (AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation)


class SegmentationDetector:
    """Foreground mask (H, W) in {0, 1} of an RGB image: the pixels not classified as background.

    A checkpoint with a single class is treated as a salient-object network whose class is the foreground.
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
        """Load a checkpoint from a folder or the Hugging Face Hub. Raises ``InputError`` if it does not segment,
        has no background class, or cannot be loaded.
        """
        try:
            config = AutoConfig.from_pretrained(name)
            auto_class = next((each for each in AUTO_CLASSES if type(config) in each._model_mapping), None)
            if auto_class is None:
                raise InputError(
                    f"saliency {name}: {config.model_type} models do not segment; give a segmentation checkpoint"
                )
            background = background_class(config, name)
            processor = AutoImageProcessor.from_pretrained(name)
            return cls(auto_class.from_pretrained(name), processor, background)
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, InputError):
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(f"saliency {name}: cannot be loaded as a segmentation checkpoint ({reason})") from error


def background_class(config: Any, name: str) -> int | None:
    """The class named background, class 0 if the classes are unnamed, or None for a checkpoint with one class.

    Raises ``InputError`` if the classes are named and none of them is background.
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
