"""Patch features from any `transformers` backbone (patent: FIG. 4, ResNet-50 412 -> 414).

``crops``: every patch is resized and encoded on its own, as published. ``pyramid``: the locked portion is encoded
once and each level pooled from the feature map, about 50 times cheaper for five levels. Where the backbone gives the
feature maps of several stages (its ``out_features``), a patch's feature is theirs together, from fine to coarse.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone, PretrainedConfig

from kaleidobert.errors import InputError
from kaleidobert.levels import Level
from kaleidobert.vision import vision_tower  # noqa: F401  # registered among the library's backbones
from kaleidobert.vision.efficientnet_lite import ConvNorm
from kaleidobert.vision.patches import cut_patches, pool_patches


def backbone_parts(backbone: nn.Module) -> list[nn.Module]:
    """The stem of a backbone and its stages, from the input on. Raises ``InputError`` for an unknown architecture."""
    for wrapped in ("swin", "tower", "vision_model"):
        backbone = getattr(backbone, wrapped, backbone)
    names = dict(backbone.named_modules())
    for stem in ("stem", "embedder", "embeddings"):
        for stages in ("stages", "encoder.stages", "encoder.layers", "encoder.layer", "layer"):
            if stem in names and stages in names:
                return [names[stem], *names[stages].children()]
    raise InputError(f"training.frozen_stages: the stages of {type(backbone).__name__} are not known; use 0")


def depthwise_parts(backbone: nn.Module) -> list[nn.Module]:
    """The depthwise convolutions of a backbone, with their normalisation where the two are one module."""
    found = [name for name, part in backbone.named_modules() if isinstance(part, nn.Conv2d) and part.groups > 1]
    names = dict(backbone.named_modules())
    parents = [names[name.rpartition(".")[0]] for name in found]
    return [
        parent if isinstance(parent, ConvNorm) else names[name] for name, parent in zip(found, parents, strict=True)
    ]


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
        return sum(self.backbone.channels)

    def forward(self, pixels: Tensor, levels: Sequence[Level]) -> Tensor:
        """Features (B, P, D) of all patches, in the order of ``levels``."""
        if self.mode == "crops":
            crops = cut_patches(pixels, levels, self.crop_size)  # (B, P, 3, s, s)
            maps = self._feature_maps(crops.flatten(0, 1))
            return torch.cat([each.mean(dim=(2, 3)) for each in maps], dim=-1).unflatten(0, crops.shape[:2])
        return torch.cat([pool_patches(each, levels) for each in self._feature_maps(pixels)], dim=-1)

    def standardised(self, features: Tensor) -> Tensor:
        """Patch features (B, P, D) with mean 0 and variance 1 over the channels of each stage."""
        parts = features.float().split(self.backbone.channels, dim=-1)
        return torch.cat([F.layer_norm(part, part.shape[-1:]) for part in parts], dim=-1)

    def _feature_maps(self, pixels: Tensor) -> Sequence[Tensor]:
        """(N, 3, S, S) -> each (N, C, h, w); channels_last, which is faster for convolutions on CPUs and GPUs."""
        normalised = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.backbone(normalised.to(self.backbone.dtype)).feature_maps
