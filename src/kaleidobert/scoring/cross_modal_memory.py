"""A memory of training pairs, which helps the contrastive embeddings after training, without training.

Enhancement: the photos of the training texts nearest to a text are added to its embedding, and the texts of the
nearest training photos to a photo's (RECO: Iscen et al., ICLR 2024).
Hubness: some photos are near to every text, and some texts to every photo, and rank first where they do not belong;
each can be charged its mean score with the memory's other side (the inverted softmax: Smith et al., ICLR 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class HalfPrecisionBuffers(nn.Module):
    """Buffers kept in float16 that are upcast once, not by every query, which would spend most of its time on it."""

    def __init__(self) -> None:
        super().__init__()
        self._upcast: dict[str, tuple[tuple, Tensor]] = {}

    def upcast(self, name: str, dtype: torch.dtype) -> Tensor:
        """The buffer of this name in this type."""
        held = getattr(self, name)
        if held.dtype == dtype:
            return held
        state = (held.data_ptr(), 0 if held.is_inference() else held._version, held.device, dtype)
        kept = self._upcast.get(name)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False):  # made in inference, it may be used in training
                kept = (state, held.to(dtype))
            self._upcast[name] = kept
        return kept[1]


class CrossModalMemory(HalfPrecisionBuffers):
    """``images`` and ``texts``: unit embeddings (M, V) float16 of the same training products."""

    images: Tensor
    texts: Tensor

    def __init__(self, images: Tensor, texts: Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images.half())
        self.register_buffer("texts", texts.half())

    def enhance_images(self, embeds: Tensor, scale: float, weight: float, neighbours: int) -> Tensor:
        """Photos' embeddings (B, V) with ``weight`` times the texts of the nearest training photos."""
        own, other = self._both("images", "texts", embeds.dtype)
        return _enhance(embeds, own, other, scale, weight, neighbours)

    def enhance_texts(self, embeds: Tensor, scale: float, weight: float, neighbours: int) -> Tensor:
        """Texts' embeddings (B, V) with ``weight`` times the photos of the nearest training texts."""
        own, other = self._both("texts", "images", embeds.dtype)
        return _enhance(embeds, own, other, scale, weight, neighbours)

    def image_hubness(self, embeds: Tensor, scale: float) -> Tensor:
        """How near photos with these embeddings (B, V) are to texts at large, (B,), in units of the cosine."""
        return _hubness(embeds, self.upcast("texts", embeds.dtype), scale)

    def text_hubness(self, embeds: Tensor, scale: float) -> Tensor:
        """How near texts with these embeddings (B, V) are to photos at large, (B,), in units of the cosine."""
        return _hubness(embeds, self.upcast("images", embeds.dtype), scale)

    def _both(self, own: str, other: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.upcast(own, dtype), self.upcast(other, dtype)


def _enhance(embeds: Tensor, own: Tensor, other: Tensor, scale: float, weight: float, neighbours: int) -> Tensor:
    if not weight:
        return embeds
    nearest = (embeds @ own.T).topk(min(neighbours, len(own)), dim=1)  # (B, K)
    shares = (scale * nearest.values).softmax(dim=1)
    remembered = (shares.unsqueeze(-1) * other[nearest.indices]).sum(dim=1)  # (B, V)
    return F.normalize(embeds + weight * F.normalize(remembered, dim=-1), dim=-1)


def _hubness(embeds: Tensor, other: Tensor, scale: float) -> Tensor:
    """Log of the mean of exp(scale * cosine), over scale."""
    return (torch.logsumexp(scale * embeds @ other.T, dim=1) - math.log(len(other))) / scale
