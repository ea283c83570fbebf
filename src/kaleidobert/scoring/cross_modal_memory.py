"""A memory of training pairs, which helps the contrastive vectors after training, without training.

Enhancement: a text is also like the photos of the training texts nearest to it, and a photo like the texts of the
nearest training photos; what they remember is added to their vectors (RECO: Iscen et al., ICLR 2024).
Hubness: some photos are near to every text, and some texts to every photo, and come first where they do not belong;
so each can be charged what it scores with the memory's other side (the inverted softmax: Smith et al., ICLR 2017).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class HalfPrecisionBuffers(nn.Module):
    """Buffers in float16 that are widened once, not by every query: it would spend most of its time on it."""

    def __init__(self) -> None:
        super().__init__()
        self._wide: dict[str, tuple[tuple, Tensor]] = {}

    def wide(self, name: str, dtype: torch.dtype) -> Tensor | None:
        """The buffer of this name in this type."""
        held = getattr(self, name)
        if held is None or held.dtype == dtype:
            return held
        state = (held.data_ptr(), 0 if held.is_inference() else held._version, held.device, dtype)
        kept = self._wide.get(name)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False):  # a query makes it, and training may read it
                kept = (state, held.to(dtype))
            self._wide[name] = kept
        return kept[1]


class CrossModalMemory(HalfPrecisionBuffers):
    """``images`` and ``texts``, unit vectors (M, V) float16 of the same training products; None while it is empty."""

    images: Tensor | None
    texts: Tensor | None

    def __init__(self, pairs: int, size: int) -> None:
        super().__init__()
        for name in ("images", "texts"):
            self.register_buffer(name, torch.zeros(pairs, size, dtype=torch.float16) if pairs else None)

    def fill(self, images: Tensor, texts: Tensor) -> None:
        """Keep these vectors (M, V) instead of what was there."""
        self.images, self.texts = images.half(), texts.half()

    def enhance_images(self, vectors: Tensor, scale: Tensor, weight: float, neighbours: int) -> Tensor:
        """Photos' vectors (B, V) with ``weight`` times what the nearest training photos' texts say."""
        return _enhance(
            vectors, self.wide("images", vectors.dtype), self.wide("texts", vectors.dtype), scale, weight, neighbours
        )

    def enhance_texts(self, vectors: Tensor, scale: Tensor, weight: float, neighbours: int) -> Tensor:
        """Texts' vectors (B, V) with ``weight`` times what the nearest training texts' photos show."""
        return _enhance(
            vectors, self.wide("texts", vectors.dtype), self.wide("images", vectors.dtype), scale, weight, neighbours
        )

    def image_hubness(self, vectors: Tensor, scale: Tensor) -> Tensor:
        """How near photos with these vectors (B, V) are to texts at large, (B,), in units of the cosine."""
        return _hubness(vectors, self.wide("texts", vectors.dtype), scale)

    def text_hubness(self, vectors: Tensor, scale: Tensor) -> Tensor:
        """How near texts with these vectors (B, V) are to photos at large, (B,), in units of the cosine."""
        return _hubness(vectors, self.wide("images", vectors.dtype), scale)


def _enhance(
    vectors: Tensor, own: Tensor | None, other: Tensor | None, scale: Tensor, weight: float, neighbours: int
) -> Tensor:
    if own is None or other is None or not weight:
        return vectors
    nearest = (vectors @ own.to(vectors.dtype).T).topk(min(neighbours, len(own)), dim=1)  # (B, K)
    shares = (scale * nearest.values).softmax(dim=1)
    remembered = (shares.unsqueeze(-1) * other[nearest.indices].to(vectors.dtype)).sum(dim=1)  # (B, V)
    return F.normalize(vectors + weight * F.normalize(remembered, dim=-1), dim=-1)


def _hubness(vectors: Tensor, other: Tensor | None, scale: Tensor) -> Tensor:
    """Log of the mean of exp(scale * cosine), over scale; 0 while the memory is empty."""
    if other is None:
        return vectors.new_zeros(len(vectors))
    return (torch.logsumexp(scale * vectors @ other.to(vectors.dtype).T, dim=1) - math.log(len(other))) / scale
