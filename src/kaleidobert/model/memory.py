"""A memory of training pairs, which helps the contrastive vectors after training, without training.

Enhancement: a text is also like the photos of the training texts nearest to it, and a photo like the texts of the
nearest training photos; what they remember is added to their vectors (RECO: Iscen et al., ICLR 2024).
Hubness: some photos are near to every text, and some texts to every photo, and come first where they do not belong;
so each can be charged what it scores with the memory's other side (the inverted softmax: Smith et al., ICLR 2017).
Words: a text is read better by one who knows what the texts of similar photos say (a neural cache: Grave et al., ICLR
2017; kNN-LM: Khandelwal et al., ICLR 2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DOUBT = 0.05  # added to the share of neighbours that a word's odds are taken from: one distant neighbour proves little


class Recalled(NamedTuple):
    """What N photos remind of: tokens (N, K, L) of the nearest training photos' texts, and their shares (N, K)."""

    tokens: Tensor
    shares: Tensor


class PairMemory(nn.Module):
    """``images`` and ``texts``, unit vectors (M, V) float16 of the same training products; None while it is empty.

    ``tokens`` (M, L) int32, the texts themselves, padded; None where they are not kept.
    """

    images: Tensor | None
    texts: Tensor | None
    tokens: Tensor | None

    def __init__(self, pairs: int, size: int, length: int = 0) -> None:
        super().__init__()
        for name in ("images", "texts"):
            self.register_buffer(name, torch.zeros(pairs, size, dtype=torch.float16) if pairs else None)
        kept = pairs and length
        self.register_buffer("tokens", torch.zeros(pairs, length, dtype=torch.int32) if kept else None)
        self._wide: dict[str, tuple[tuple, Tensor]] = {}  # widened once: a query would spend most of its time on it

    def fill(self, images: Tensor, texts: Tensor, tokens: Tensor | None = None) -> None:
        """Keep these vectors (M, V), and the texts' tokens (M, L), instead of what was there."""
        self.images, self.texts = images.half(), texts.half()
        self.tokens = None if tokens is None else tokens.int()

    def _as(self, name: str, like: Tensor) -> Tensor | None:
        """``images`` or ``texts`` in the type of these vectors."""
        held = getattr(self, name)
        if held is None or held.dtype == like.dtype:
            return held
        state = (held.data_ptr(), 0 if held.is_inference() else held._version, held.device, like.dtype)
        kept = self._wide.get(name)
        if kept is None or kept[0] != state:
            with torch.inference_mode(False):  # a query makes it, and training may read it
                kept = (state, held.to(like.dtype))
            self._wide[name] = kept
        return kept[1]

    def enhance_images(self, vectors: Tensor, scale: Tensor, weight: float, neighbours: int) -> Tensor:
        """Photos' vectors (B, V) with ``weight`` times what the nearest training photos' texts say."""
        return _enhance(vectors, self._as("images", vectors), self._as("texts", vectors), scale, weight, neighbours)

    def enhance_texts(self, vectors: Tensor, scale: Tensor, weight: float, neighbours: int) -> Tensor:
        """Texts' vectors (B, V) with ``weight`` times what the nearest training texts' photos show."""
        return _enhance(vectors, self._as("texts", vectors), self._as("images", vectors), scale, weight, neighbours)

    def recall(self, vectors: Tensor, scale: Tensor, neighbours: int) -> Recalled | None:
        """What photos with these plain vectors (N, V) remind of; None where no texts are kept."""
        images = self._as("images", vectors)
        if images is None or self.tokens is None:
            return None
        nearest = (vectors @ images.T).topk(min(neighbours, len(images)), dim=1)  # (N, K)
        return Recalled(self.tokens[nearest.indices], (scale * nearest.values).softmax(dim=1))

    def image_hubness(self, vectors: Tensor, scale: Tensor) -> Tensor:
        """How near photos with these vectors (B, V) are to texts at large, (B,), in units of the cosine."""
        return _hubness(vectors, self._as("texts", vectors), scale)

    def text_hubness(self, vectors: Tensor, scale: Tensor) -> Tensor:
        """How near texts with these vectors (B, V) are to photos at large, (B,), in units of the cosine."""
        return _hubness(vectors, self._as("images", vectors), scale)


def remembered_words(input_ids: Tensor, recalled: Recalled) -> Tensor:
    """How likely each token of texts (B, T) after the first is, going by what B photos remind of: (B, T - 1).

    Of the neighbours whose text has the token before it: the share of those where this one follows.
    """
    before, after = recalled.tokens[:, :, :-1], recalled.tokens[:, :, 1:]  # (B, K, L - 1)
    odds = []
    for last, token in zip(input_ids[:, :-1].T, input_ids[:, 1:].T, strict=True):
        known = before == last[:, None, None]
        follows = known & (after == token[:, None, None])
        told, heard = ((recalled.shares * each.any(dim=2)).sum(dim=1) for each in (follows, known))
        odds.append(told / (heard + DOUBT))
    return torch.stack(odds, dim=1)


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
