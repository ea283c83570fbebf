"""A memory of the layouts of training photos and of their texts, which helps the joint score without training.

A shop takes photos of one brand in one studio, in one pose and light. Contrastive embeddings learn to ignore that;
here it counts. The layout of a photo is the sequence of the states of its 3 x 3 patches, whitened over the memory, so
that rare differences weigh as much as common ones, and cut to its strongest directions.

Words: the texts of photos with a similar layout predict a text's words (a neural cache: Grave et al., ICLR 2017;
kNN-LM: Khandelwal et al., ICLR 2020).
Neighbour-text PMI: a text and a photo match where they have the same neighbours among the training products, the text
by shared words and the photo by its layout. In nats, with kernels for both (Parzen 1962), the pointwise mutual
information

    log sum_j p(j | photo) exp(s * cos(text, text_j)) - log mean_j exp(s * cos(text, text_j))

As in `cross_modal_memory`, a product's ``own`` row is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kaleidobert.scoring.cross_modal_memory import HalfPrecisionBuffers, leave_out, log_others
from kaleidobert.scoring.layouts import LAYOUT_SHARPNESS, SMOOTHING, TEXT_SHARPNESS

LAYOUT_SIZE = 256
MIN_ROWS = 8  # photos for each direction of the whitening: of fewer its scale is chance
CHUNK = 128  # texts compared with the whole memory at a time
BUFFERS = ("layouts", "tokens", "mean", "basis", "idf", "weights")


class Neighbours(NamedTuple):
    """The memory rows (N, K) of the nearest layouts of N photos, and their shares (N, K)."""

    rows: Tensor
    shares: Tensor

    def without(self, own: Tensor) -> Neighbours:
        """The same where none of N rows ``own`` (N,) has a share; -1 for none."""
        shares = self.shares.masked_fill(self.rows == own[:, None], 0.0)
        return Neighbours(self.rows, shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12))


class LayoutMemory(HalfPrecisionBuffers):
    """M training products: ``layouts`` (M, D) float16, unit vectors, and ``tokens`` (M, L) int32 of their texts.

    mean (F,) and basis (F, D) whiten patch states. idf (V,): log inverse document frequency of each token. weights (M,
    L) float16: the squared idf of each distinct token over the norm of its text. ``padding``: the id of the padding
    token.
    """

    layouts: Tensor
    tokens: Tensor
    mean: Tensor
    basis: Tensor
    idf: Tensor
    weights: Tensor

    def __init__(self, buffers: dict[str, Tensor], padding: int) -> None:
        super().__init__()
        self.padding = padding
        for name in BUFFERS:
            self.register_buffer(name, buffers[name])

    @classmethod
    def build(cls, states: Tensor, tokens: Tensor, vocabulary: int, padding: int) -> LayoutMemory:
        """Build from flattened patch states (M, F) and tokens (M, L) of a vocabulary of this size."""
        mean, basis = whitening(states)
        once = _first_ones(tokens) & (tokens != padding)
        counts = torch.bincount(tokens[once], minlength=vocabulary).clamp(min=1)
        idf = (len(tokens) / counts).log().float()
        squares = idf[tokens.long()].square() * once
        return cls(
            {
                "layouts": _layout(states, mean, basis).half(),
                "tokens": tokens.int(),
                "mean": mean,
                "basis": basis,
                "idf": idf,
                "weights": (squares / squares.sum(dim=1, keepdim=True).sqrt().clamp(min=1e-6)).half(),
            },
            padding,
        )

    def nearest(self, states: Tensor, neighbours: int, own: Tensor | None = None) -> Neighbours:
        """The training products with the nearest layouts, for photos with flattened patch states (N, F)."""
        layouts = self.upcast("layouts", torch.float32)
        with torch.autocast(states.device.type, enabled=False):
            likeness = _layout(states, self.mean, self.basis) @ layouts.T
        nearest = leave_out(likeness, own).topk(min(neighbours, len(layouts)), dim=1)
        return Neighbours(nearest.indices, (LAYOUT_SHARPNESS * nearest.values).softmax(dim=1))

    def word_probabilities(self, input_ids: Tensor, neighbours: Neighbours) -> Tensor:
        """p (B, T - 1) of each token of texts (B, T) after the first, by the texts of the photos' neighbours.

        Among the neighbours whose text contains the preceding token, the share of those in which this token follows it.
        """
        tokens = self.tokens[neighbours.rows]  # (B, K, L)
        before, after = tokens[:, :, :-1], tokens[:, :, 1:]
        odds = []
        for last, token in zip(input_ids[:, :-1].T, input_ids[:, 1:].T, strict=True):
            has_last = before == last[:, None, None]
            follows = has_last & (after == token[:, None, None])
            shares = [(neighbours.shares * each.any(dim=2)).sum(dim=1) for each in (follows, has_last)]
            odds.append(shares[0] / (shares[1] + SMOOTHING))
        return torch.stack(odds, dim=1)

    def neighbour_text_pmi(self, input_ids: Tensor, neighbours: Neighbours) -> Tensor:
        """The first term (B,) of the neighbour-text PMI of texts (B, T) and the neighbours of B photos, in nats."""
        shared = (self.tokens[neighbours.rows].unsqueeze(-1) == input_ids[:, None, None, :]).any(dim=-1)  # (B, K, L)
        cosine = (self.weights[neighbours.rows] * shared).float().sum(dim=2) / self._norms(input_ids).unsqueeze(1)
        return torch.logsumexp(neighbours.shares.log() + TEXT_SHARPNESS * cosine, dim=1)

    def text_density(self, input_ids: Tensor, own: Tensor | None = None) -> Tensor:
        """The second term (B,) of the neighbour-text PMI: the density of texts (B, T) in the memory, in nats."""
        found, weights = [], self.upcast("weights", torch.float32)
        owns = [None] * len(input_ids) if own is None else own.split(CHUNK)
        for ids, rows in zip(input_ids.split(CHUNK), owns, strict=False):
            has = torch.zeros(len(ids), len(self.idf), device=ids.device).scatter_(1, ids.long(), 1.0).T.contiguous()
            sums = F.embedding_bag(self.tokens, has, mode="sum", per_sample_weights=weights)  # (M, B)
            scores = leave_out((TEXT_SHARPNESS * sums / self._norms(ids)).T, rows)  # (B, M)
            found.append(torch.logsumexp(scores, dim=1) - log_others(rows, scores.shape[1]))
        return torch.cat(found)

    def _norms(self, input_ids: Tensor) -> Tensor:
        """The norms (B,) of texts (B, T) as vectors of the idf of their distinct tokens."""
        once = _first_ones(input_ids) & (input_ids != self.padding)
        return (self.idf[input_ids.long()].square() * once).sum(dim=1).sqrt().clamp(min=1e-6)


def _layout(states: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Flattened patch states (N, F) -> layouts (N, D) of unit length; in full precision, as whitening adds error."""
    with torch.autocast(states.device.type, enabled=False):
        return F.normalize((states.float() - mean) @ basis, dim=1)


def whitening(states: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and basis (F, D) that scale the D strongest directions of patch states (M, F) to unit variance."""
    mean = states.float().mean(dim=0)
    covariance = torch.zeros(len(mean), len(mean), device=mean.device)
    for rows in states.split(4096):
        centred = rows.float() - mean
        covariance += centred.T @ centred / len(states)
    variances, directions = torch.linalg.eigh(covariance)  # from the weakest
    size = max(1, min(LAYOUT_SIZE, len(mean), len(states) // MIN_ROWS))
    return mean, (directions[:, -size:] * variances[-size:].clamp(min=1e-8).rsqrt()).contiguous()


def _first_ones(tokens: Tensor) -> Tensor:
    """Whether each token of texts (N, L) is the first of its kind in its text, (N, L) bool."""
    earlier = (tokens.unsqueeze(2) == tokens.unsqueeze(1)).tril(-1)
    return ~earlier.any(dim=2)
