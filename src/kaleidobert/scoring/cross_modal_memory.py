"""A memory of training pairs that improves the embeddings of photos and texts without training.

Enhancement: the photos of the nearest training texts are added to a text's embedding, and the texts of the nearest
training photos to a photo's (RECO: Iscen et al., ICLR 2024).

Hubness: some photos are close to most texts, and some texts to most photos. Subtracting an embedding's mean score with
the other side of the memory corrects this (the inverted softmax: Smith et al., ICLR 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class HalfPrecisionBuffers(nn.Module):
    """Buffers stored in float16 and upcast once, on first use, as upcasting per query would dominate its time."""

    def __init__(self) -> None:
        super().__init__()
        self._upcast: dict[str, tuple[tuple, Tensor]] = {}

    def upcast(self, name: str, dtype: torch.dtype) -> Tensor:
        """The buffer of this name, as this type."""
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
    """Embeddings (M, V) of ``images`` and ``texts`` of the same M training products, unit vectors, float16."""

    images: Tensor
    texts: Tensor

    def __init__(self, images: Tensor, texts: Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images.half())
        self.register_buffer("texts", texts.half())

    def enhance_images(self, embeds: Tensor, scale: float, weight: float, neighbours: int) -> Tensor:
        """Image embeddings (B, V) plus ``weight`` times the texts of the nearest training photos."""
        own, other = self._both("images", "texts", embeds.dtype)
        return _enhance(embeds, own, other, scale, weight, neighbours)

    def enhance_texts(self, embeds: Tensor, scale: float, weight: float, neighbours: int) -> Tensor:
        """Text embeddings (B, V) plus ``weight`` times the photos of the nearest training texts."""
        own, other = self._both("texts", "images", embeds.dtype)
        return _enhance(embeds, own, other, scale, weight, neighbours)

    def image_hubness(self, embeds: Tensor, scale: float) -> Tensor:
        """The hubness (B,) of image embeddings (B, V), on the scale of cosines."""
        return _hubness(embeds, self.upcast("texts", embeds.dtype), scale)

    def text_hubness(self, embeds: Tensor, scale: float) -> Tensor:
        """The hubness (B,) of text embeddings (B, V), on the scale of cosines."""
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
    """log mean exp(scale * cosine) / scale of embeddings with the other side of the memory."""
    return (torch.logsumexp(scale * embeds @ other.T, dim=1) - math.log(len(other))) / scale
