"""A memory of what training photos look like and what their texts say, which helps the joint model without training.

A shop takes photos of one brand in one studio, in one pose and light. Contrastive vectors learn to look past that;
here it counts. A look is the layout of a photo: the states of its 3 x 3 patches one after another, whitened over the
memory, so that rare differences weigh as much as common ones, and cut to its strongest directions.

Words: a text is read better by one who knows what the texts of photos that look alike say (a neural cache: Grave et
al., ICLR 2017; kNN-LM: Khandelwal et al., ICLR 2020).
Agreement: a text and a photo match where they remind of the same training products, the text by the words that it
shares with theirs and the photo by its look. In nats, with kernels for both (Parzen 1962), the pointwise mutual
information

    log sum_j p(j | photo) exp(s * cos(text, text_j)) - log mean_j exp(s * cos(text, text_j))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.levels import Level, level_slices
from kaleidobert.scoring.cross_modal_memory import HalfPrecisionBuffers

GRID = 3  # of the level that a look is taken from, or of the nearest one
LAYOUT_SIZE = 256
LEAST_ROWS = 8  # photos for each direction of the whitening: of fewer its scale is chance
LAYOUT_SHARPNESS, TEXT_SHARPNESS = 30.0, 14.0  # of the kernels, per unit of the cosine; found on validation data
DOUBT = 0.05  # added to the share of neighbours that a word's odds are taken from: one distant neighbour proves little
CHUNK = 128  # texts compared with the whole memory at a time


class Neighbours(NamedTuple):
    """What N photos remind of: the rows (N, K) of the memory's photos that look most alike, and their shares (N, K)."""

    rows: Tensor
    shares: Tensor


def layout_slice(levels: Sequence[Level]) -> slice:
    """Where the patches that a look is made of lie among those of all levels."""
    nearest = min(range(len(levels)), key=lambda index: abs(levels[index].grid - GRID))
    return level_slices(levels)[nearest]


class LayoutMemory(HalfPrecisionBuffers):
    """Of M training products: ``looks`` (M, D) float16, unit length, ``tokens`` (M, L) int32 of their texts, padded.

    mean (F,) and basis (F, D) make a look of a layout; idf (V,) is a token's log inverse document frequency;
    weights (M, L) float16, each distinct token's idf squared over its text's norm. All are None while it is empty.
    """

    looks: Tensor | None
    tokens: Tensor | None
    mean: Tensor
    basis: Tensor
    idf: Tensor
    weights: Tensor

    def __init__(self, rows: int, layout: int, size: int, length: int, vocabulary: int, padding: int) -> None:
        super().__init__()
        self.vocabulary, self.padding = vocabulary, padding
        shapes = {
            "looks": ((rows, size), torch.float16),
            "tokens": ((rows, length), torch.int32),
            "mean": ((layout,), torch.float32),
            "basis": ((layout, size), torch.float32),
            "idf": ((vocabulary,), torch.float32),
            "weights": ((rows, length), torch.float16),
        }
        for name, (shape, kind) in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=kind) if rows and size else None)

    def fill(self, layouts: Tensor, tokens: Tensor) -> None:
        """Keep products with these layouts (M, F) and tokens (M, L) instead of what was there."""
        self.mean, self.basis = whitening(layouts)
        self.looks = self.look(layouts).half()
        self.tokens = tokens.int()
        once = _first_ones(tokens) & (tokens != self.padding)
        counts = torch.bincount(tokens[once], minlength=self.vocabulary).clamp(min=1)
        self.idf = (len(tokens) / counts).log().float()
        squares = self.idf[tokens.long()].square() * once
        self.weights = (squares / squares.sum(dim=1, keepdim=True).sqrt().clamp(min=1e-6)).half()

    def look(self, layouts: Tensor) -> Tensor:
        """Layouts (N, F) -> looks (N, D), unit length, in full precision: whitening magnifies what rounding leaves."""
        with torch.autocast(layouts.device.type, enabled=False):
            return F.normalize((layouts.float() - self.mean) @ self.basis, dim=1)

    def recall(self, layouts: Tensor, neighbours: int) -> Neighbours | None:
        """What photos with these layouts (N, F) remind of; None while the memory is empty."""
        looks = self.wide("looks", torch.float32)
        if looks is None:
            return None
        with torch.autocast(layouts.device.type, enabled=False):
            likeness = self.look(layouts) @ looks.T
        nearest = likeness.topk(min(neighbours, len(looks)), dim=1)
        return Neighbours(nearest.indices, (LAYOUT_SHARPNESS * nearest.values).softmax(dim=1))

    def words(self, input_ids: Tensor, recalled: Neighbours) -> Tensor:
        """How likely each token of texts (B, T) after the first is, going by what B photos remind of: (B, T - 1).

        Of the neighbours whose text has the token before it: the share of those where this one follows.
        """
        assert self.tokens is not None
        tokens = self.tokens[recalled.rows]  # (B, K, L)
        before, after = tokens[:, :, :-1], tokens[:, :, 1:]
        odds = []
        for last, token in zip(input_ids[:, :-1].T, input_ids[:, 1:].T, strict=True):
            known = before == last[:, None, None]
            follows = known & (after == token[:, None, None])
            told, heard = ((recalled.shares * each.any(dim=2)).sum(dim=1) for each in (follows, known))
            odds.append(told / (heard + DOUBT))
        return torch.stack(odds, dim=1)

    def neighbour_text_pmi(self, input_ids: Tensor, recalled: Neighbours) -> Tensor:
        """How alike texts (B, T) are to those that B photos remind of, (B,) in nats: the first term above."""
        assert self.tokens is not None
        shared = (self.tokens[recalled.rows].unsqueeze(-1) == input_ids[:, None, None, :]).any(dim=-1)  # (B, K, L)
        cosine = (self.weights[recalled.rows] * shared).float().sum(dim=2) / self._norms(input_ids).unsqueeze(1)
        return torch.logsumexp(recalled.shares.log() + TEXT_SHARPNESS * cosine, dim=1)

    def commonness(self, input_ids: Tensor) -> Tensor:
        """How alike texts (B, T) are to the memory's at large, (B,) in nats: the second term above; 0 while empty."""
        if self.tokens is None:
            return torch.zeros(len(input_ids), device=input_ids.device)
        found, weights = [], self.wide("weights", torch.float32)
        for ids in input_ids.split(CHUNK):
            has = torch.zeros(len(ids), self.vocabulary, device=ids.device).scatter_(1, ids.long(), 1.0).T.contiguous()
            sums = F.embedding_bag(self.tokens, has, mode="sum", per_sample_weights=weights)  # (M, B)
            cosine = sums / self._norms(ids)
            found.append(torch.logsumexp(TEXT_SHARPNESS * cosine, dim=0) - math.log(len(cosine)))
        return torch.cat(found)

    def _norms(self, input_ids: Tensor) -> Tensor:
        """Lengths (B,) of texts (B, T) as vectors of their distinct tokens' idf."""
        once = _first_ones(input_ids) & (input_ids != self.padding)
        return (self.idf[input_ids.long()].square() * once).sum(dim=1).sqrt().clamp(min=1e-6)


def whitening(layouts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and basis (F, D) that give layouts (M, F) unit variance in their D strongest directions."""
    mean = layouts.float().mean(dim=0)
    covariance = torch.zeros(len(mean), len(mean), device=mean.device)
    for rows in layouts.split(4096):
        centred = rows.float() - mean
        covariance += centred.T @ centred / len(layouts)
    variances, directions = torch.linalg.eigh(covariance)  # from the weakest
    size = max(1, min(LAYOUT_SIZE, len(mean), len(layouts) // LEAST_ROWS))
    return mean, (directions[:, -size:] * variances[-size:].clamp(min=1e-8).rsqrt()).contiguous()


def _first_ones(tokens: Tensor) -> Tensor:
    """(N, L) bool: a text's first occurrence of each token (N, L)."""
    earlier = (tokens.unsqueeze(2) == tokens.unsqueeze(1)).tril(-1)
    return ~earlier.any(dim=2)
