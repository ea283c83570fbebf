"""A memory of training pairs that improves the embeddings of photos and texts without training.

Enhancement: the photos of the nearest training texts are added to a text's embedding, and the texts of the nearest
training photos to a photo's (RECO: Iscen et al., ICLR 2024).

Hubness: some photos are close to most texts, and some texts to most photos. Subtracting an embedding's mean score with
the other side of the memory corrects this (the inverted softmax: Smith et al., ICLR 2017).

A training product never recalls itself: where ``own`` (B,) gives the memory row of each embedding's product, -1 for
none, that row is left out.
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

    def enhance_images(
        self, embeds: Tensor, scale: float, weight: float, neighbours: int, own: Tensor | None = None
    ) -> Tensor:
        """Image embeddings (B, V) plus ``weight`` times the texts of the nearest training photos."""
        keys, values = self._both("images", "texts", embeds.dtype)
        return _enhance(embeds, keys, values, scale, weight, neighbours, own)

    def enhance_texts(
        self, embeds: Tensor, scale: float, weight: float, neighbours: int, own: Tensor | None = None
    ) -> Tensor:
        """Text embeddings (B, V) plus ``weight`` times the photos of the nearest training texts."""
        keys, values = self._both("texts", "images", embeds.dtype)
        return _enhance(embeds, keys, values, scale, weight, neighbours, own)

    def image_hubness(self, embeds: Tensor, scale: float, own: Tensor | None = None) -> Tensor:
        """The hubness (B,) of image embeddings (B, V), on the scale of cosines."""
        return _hubness(embeds, self.upcast("texts", embeds.dtype), scale, own)

    def text_hubness(self, embeds: Tensor, scale: float, own: Tensor | None = None) -> Tensor:
        """The hubness (B,) of text embeddings (B, V), on the scale of cosines."""
        return _hubness(embeds, self.upcast("images", embeds.dtype), scale, own)

    def _both(self, keys: str, values: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.upcast(keys, dtype), self.upcast(values, dtype)


def leave_out(scores: Tensor, own: Tensor | None) -> Tensor:
    """Scores (B, M) with each row's ``own`` memory row (B,), -1 for none, at the lowest value."""
    if own is None:
        return scores
    known = (own >= 0).nonzero()[:, 0]
    lowest = torch.finfo(scores.dtype).min
    return scores.index_put((known, own[known]), scores.new_tensor(lowest)) if len(known) else scores


def log_others(own: Tensor | None, rows: int) -> Tensor | float:
    """The logarithm of the number of memory rows of other products, for each ``own`` row (B,)."""
    return math.log(rows) if own is None else (rows - (own >= 0).float()).clamp(min=1).log()


def _enhance(
    embeds: Tensor, keys: Tensor, values: Tensor, scale: float, weight: float, neighbours: int, own: Tensor | None
) -> Tensor:
    if not weight:
        return embeds
    nearest = leave_out(embeds @ keys.T, own).topk(min(neighbours, len(keys)), dim=1)  # (B, K)
    shares = (scale * nearest.values).softmax(dim=1)
    remembered = (shares.unsqueeze(-1) * values[nearest.indices]).sum(dim=1)  # (B, V)
    return F.normalize(embeds + weight * F.normalize(remembered, dim=-1), dim=-1)


def _hubness(embeds: Tensor, other: Tensor, scale: float, own: Tensor | None) -> Tensor:
    """log mean exp(scale * cosine) / scale of embeddings with the other side of the memory."""
    scores = leave_out(scale * embeds @ other.T, own)
    return (torch.logsumexp(scores, dim=1) - log_others(own, len(other))) / scale
