"""Retrieval among all products of a gallery, trained and new ones together, as a shop has them.

A query's table holds only its own product and the best others by embeddings, since the rest is never re-ranked; the
rank of the own product by embeddings is counted over the whole gallery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kaleidobert.evaluation.background import Background
from kaleidobert.evaluation.metrics.retrieval import partner_ranks
from kaleidobert.evaluation.pair_scores import (
    DirectionScores,
    Embedded,
    EncodedProducts,
    encode,
    ranked_by,
)
from kaleidobert.evaluation.protocols import choose_queries
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset

CHUNK = 256  # queries that are compared with the whole gallery at a time


@dataclass(frozen=True)
class Gallery:
    """N products of several splits. texts (N,): equal where texts are; trained (N,) bool: of the train split.

    background: of the texts' priors, where these are among photos of their like.
    """

    encoded: EncodedProducts
    ids: list[str]
    texts: np.ndarray
    trained: np.ndarray
    background: Background | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    @classmethod
    def of(
        cls, parts: Sequence[EncodedProducts], splits: Sequence[PreparedDataset], trained: Sequence[bool]
    ) -> Gallery:
        """From the encodings of each split, and whether it was trained on."""
        texts = [" ".join(text.lower().split()) for split in splits for text in split.texts]
        codes = np.unique(texts, return_inverse=True)[1]
        ids = [product for split in splits for product in split.ids]
        return cls(EncodedProducts.joined(parts), ids, codes, np.repeat(trained, [len(split) for split in splits]))

    @classmethod
    def encode(cls, scorer: KaleidoBertScorer, splits: dict[str, PreparedDataset], joint: bool = True) -> Gallery:
        """The products of all ``splits``, by name, in their order."""
        parts = [encode(scorer, dataset, joint) for dataset in splits.values()]
        return cls.of(parts, list(splits.values()), [name == "train" for name in splits])

    def draw(self, rows: np.ndarray, queries: int | None, seed: int) -> np.ndarray:
        """This many of the products at ``rows`` (R,), sorted; default all."""
        return rows[choose_queries(len(rows), queries, seed)]


class Shortlist(NamedTuple):
    """Of one direction: each query's product and the best others (Q, 1 + K), and the product's rank (Q,) by embeddings
    among the whole gallery."""

    table: np.ndarray
    ranks: np.ndarray


def shortlists(
    scorer: KaleidoBertScorer, gallery: Gallery, embedded: Embedded, queries: np.ndarray, count: int
) -> tuple[Shortlist, Shortlist]:
    """The best ``count`` others for each query (Q,), text to image and image to text; equal texts are left out."""
    sides = (
        (embedded.texts, embedded.text_hubness, embedded.images, embedded.image_hubness),
        (embedded.images, embedded.image_hubness, embedded.texts, embedded.text_hubness),
    )
    found = [_shortlist(scorer, gallery, side, queries, min(count, len(gallery) - 1)) for side in sides]
    return found[0], found[1]


def vector_ranks(
    scorer: KaleidoBertScorer, gallery: Gallery, embedded: Embedded, queries: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rank (Q,) of each query's product by embeddings, in both directions."""
    one, other = shortlists(scorer, gallery, embedded, queries, 0)
    return one.ranks, other.ranks


@torch.inference_mode()
def _shortlist(
    scorer: KaleidoBertScorer, gallery: Gallery, side: Sequence[Tensor], queries: np.ndarray, count: int
) -> Shortlist:
    asked, asked_hubness, given, given_hubness = (part.to(scorer.device) for part in side)
    codes = torch.from_numpy(gallery.texts).to(scorer.device)
    tables, ranks = [], []
    for rows in torch.from_numpy(queries).to(scorer.device).split(CHUNK):
        hubness = asked_hubness[rows, None] + given_hubness
        scores = scorer.similarity(asked[rows] @ given.T, hubness)  # (q, N)
        partner = scores.gather(1, rows[:, None])
        others = scores.masked_fill(codes[rows, None] == codes, float("-inf"))  # its own product among them
        beaten = (others < partner).sum(dim=1)
        ranks.append(1 + scores.shape[1] - beaten)  # ties and NaN count against the model
        best = others.topk(count, dim=1)
        nearest = best.indices.masked_fill(best.values == float("-inf"), -1)
        tables.append(torch.cat([rows[:, None], nearest], dim=1))
    return Shortlist(torch.cat(tables).cpu().numpy(), torch.cat(ranks).cpu().numpy())


def final_ranks(name: str, scorer: KaleidoBertScorer, scores: DirectionScores, by_vectors: np.ndarray) -> np.ndarray:
    """The rank (Q,) of each query's product by a row of `ranked_by`, among the whole gallery.

    A product that the joint model did not read keeps its rank by embeddings.
    """
    if name == "vectors":
        return by_vectors
    read = scores.head[:, 0].numpy()
    return np.where(read, partner_ranks(ranked_by(name, scorer, scores).numpy()), by_vectors)
