"""Prepares photos and texts for exported graphs as `model.processing` does for the model, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from kaleidobert.data.images import upright
from kaleidobert.errors import InputError
from kaleidobert.scoring.exported import AGAIN, Exported, OnnxGraph
from kaleidobert.vision.locked_portion import cut_locked_portion, photo_side
from kaleidobert.vision.saliency.base import Box, detect, locked_box
from kaleidobert.vision.saliency.detectors import detector

TOKENIZER_FILE = "tokenizer.json"
SALIENCY_GRAPH = "saliency.onnx"


class OnnxImageProcessor:
    """Photos -> locked portions; see `KaleidoBertImageProcessor`, whose settings it has."""

    def __init__(self, folder: Path, exported: Exported) -> None:
        self._settings = exported.image_processor
        self.image_size: int = self._settings["size"]["height"]
        self.keep_aspect: bool = self._settings["keep_aspect"]
        self.resample = Image.Resampling(self._settings["resample"])
        self._side = exported.saliency_side
        self._network = OnnxGraph(folder / SALIENCY_GRAPH) if self._side else None

    @property
    def photo_side(self) -> int:
        """The sides in pixels that a photo needs at least."""
        return photo_side(self.image_size)

    def to_dict(self) -> dict[str, Any]:
        return self._settings

    def foreground(self, image: Image.Image) -> np.ndarray:
        """Foreground mask (H, W) in [0, 1] of an RGB photo."""
        network = self._network
        if network is None:
            return detector(self._settings["saliency"])(image)
        return detect(lambda photo: network(photo=photo)[0], self._side, image)

    def locked_box(self, image: Image.Image) -> tuple[Box, bool]:
        """The box that locks the product, in pixels of the photo, and whether a product was found."""
        return locked_box(self.foreground(image))

    def pixel_values(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Photos as pixel values (N, 3, S, S) of their locked portions, in [0, 1]."""
        portions = []
        for image in map(upright, images):
            box, _ = self.locked_box(image)
            portion = cut_locked_portion(image, box, self.image_size, self.keep_aspect, self.resample)
            portions.append(np.asarray(portion).transpose(2, 0, 1))
        return np.stack(portions).astype(np.float32) / 255


class OnnxProcessor:
    """Image processor and tokenizer. Safe to call from several threads."""

    def __init__(self, folder: Path, exported: Exported) -> None:
        self.image_processor = OnnxImageProcessor(folder, exported)
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # the library raises no other type
            raise InputError(f"{folder / TOKENIZER_FILE} cannot be loaded ({error}): {AGAIN}") from error
        self._tokenizer.enable_truncation(exported.max_length)
        self._tokenizer.enable_padding(pad_id=exported.padding, pad_token=exported.padding_token)

    def tokens(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and mask (N, T) of texts, padded to the longest."""
        found = self._tokenizer.encode_batch(list(texts))
        return np.array([each.ids for each in found]), np.array([each.attention_mask for each in found])
