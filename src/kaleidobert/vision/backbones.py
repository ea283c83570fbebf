"""Patch features from any `transformers` backbone (patent: FIG. 4, ResNet-50 412 -> 414).

``crops``: every patch is resized and encoded on its own, as published. ``pyramid``: the locked portion is encoded
once and each level pooled from the feature map, about 50 times cheaper for five levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import AutoBackbone, PretrainedConfig

from kaleidobert.levels import Level
from kaleidobert.vision.patches import cut_patches, pool_patches


class PatchEncoder(nn.Module):
    """Locked portions (B, 3, S, S), RGB in [0, 1] -> patch features (B, P, D).

    Pixels are normalised by mean and standard deviation here, so that corruptions apply to plain colours.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone_config: PretrainedConfig,
        mode: str,
        crop_size: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = AutoBackbone.from_config(backbone_config).to(memory_format=torch.channels_last)
        self.mode = mode
        self.crop_size = crop_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def feature_size(self) -> int:
        return self.backbone.channels[-1]

    def forward(self, pixels: Tensor, levels: Sequence[Level]) -> Tensor:
        """Features (B, P, D) of all patches, in the order of ``levels``."""
        if self.mode == "crops":
            crops = cut_patches(pixels, levels, self.crop_size)  # (B, P, 3, s, s)
            return self._feature_map(crops.flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, crops.shape[:2])
        return pool_patches(self._feature_map(pixels), levels)

    def _feature_map(self, pixels: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, D, h, w); channels_last, which is faster for convolutions on CPUs and GPUs."""
        normalised = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.backbone(normalised.to(self.backbone.dtype)).feature_maps[-1]
