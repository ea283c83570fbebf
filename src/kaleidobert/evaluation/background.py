"""The prior of a text among its like: how well it fits the photos of other products that are nearest to it.

log p(text) by the language model alone does not know what kind of product is at hand: among a hundred titles of shoes,
those with words that are frequent of shoes would win for every photo. The mean likelihood of a text given photos like
its own takes that out. It matters where texts are ranked for a photo; among the photos of one text any prior is the
same. The photos are of training products, without their texts, and never of the text's own product.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.evaluation.pair_scores import EncodedProducts, JointScores, encode, pair_scores
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset, prepare

_LOGGER = logging.getLogger(__name__)
PHOTOS = 2000  # of the background, at most
NEAREST = 8  # of these for each text
CHUNK = 512  # texts compared with the background at a time


@dataclass(frozen=True)
class Background:
    """Photos of training products and their ids; the priors found so far, by the ids of the texts' products."""

    encoded: EncodedProducts
    ids: list[str]
    known: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, scorer: KaleidoBertScorer, train: PreparedDataset, seed: int = 0) -> Background:
        """Up to ``PHOTOS`` random products of ``train``."""
        sample = train.sample(PHOTOS, seed)
        return cls(encode(scorer, sample), sample.ids)

    @classmethod
    def load(cls, scorer: KaleidoBertScorer, data: str | Path, reading: Reading = BY_DEFAULT) -> Background | None:
        """That of a catalogue's train split, where a fit of the scorer uses one; None otherwise."""
        fits = [scorer.weights, scorer.ranking.without_memory]
        if not any(each.background_photos for each in fits):
            return None
        try:
            return cls.of(scorer, prepare(data, "train", scorer.processor.image_processor, reading))
        except InputError as error:
            _LOGGER.warning("texts are ranked by the LM's own prior, as there is no background: %s", error)
            return None

    @torch.inference_mode()
    def with_prior(
        self, scorer: KaleidoBertScorer, encoded: EncodedProducts, ids: Sequence[str], rows: np.ndarray | None = None
    ) -> EncodedProducts:
        """The products (N,) with these ids, with the background's prior of the texts at ``rows`` (R,), default all."""
        chosen = range(len(encoded)) if rows is None else np.unique(rows[rows >= 0]).tolist()
        if new := [row for row in chosen if ids[row] not in self.known]:
            priors = self._priors(scorer, encoded, torch.tensor(new), [ids[row] for row in new])
            self.known.update(zip((ids[row] for row in new), priors.tolist(), strict=True))
        log_prior = encoded.log_prior.clone()
        log_prior[list(chosen), 2] = torch.tensor([self.known[ids[row]] for row in chosen])
        return replace(encoded, log_prior=log_prior)

    def _priors(self, scorer: KaleidoBertScorer, encoded: EncodedProducts, rows: Tensor, ids: Sequence[str]) -> Tensor:
        """The priors (R,) of the texts at ``rows`` (R,), of products with these ids."""
        near = self._nearest(encoded.texts[rows], ids)
        pairs = replace(
            self.encoded,
            input_ids=encoded.input_ids,
            attention_mask=encoded.attention_mask,
            log_prior=encoded.log_prior,
            text_own=encoded.text_own,
        )
        text = rows.repeat_interleave(near.shape[1])
        found = pair_scores(scorer, pairs, text, near.flatten(), "background", _likelihoods(scorer)).view(near.shape)
        return found.logsumexp(dim=1) - math.log(near.shape[1])

    def _nearest(self, texts: Tensor, ids: Sequence[str]) -> Tensor:
        """The photos (R, K) nearest to texts (R, V), but those of the texts' own products."""
        row_of = {product: row for row, product in enumerate(self.ids)}
        own = torch.tensor([row_of.get(product, -1) for product in ids])
        found = []
        for rows in torch.arange(len(texts)).split(CHUNK):
            similarity = texts[rows] @ self.encoded.images.T
            known = torch.nonzero(own[rows] >= 0)[:, 0]
            similarity[known, own[rows][known]] = float("-inf")
            found.append(similarity.topk(min(NEAREST, len(self.ids)), dim=1).indices)
        return torch.cat(found)


def _likelihoods(scorer: KaleidoBertScorer) -> JointScores:
    """log p(text | photo) of pairs, with the arguments of `KaleidoBertScorer.joint_scores`."""

    def score(input_ids: Tensor, attention_mask: Tensor, patch_states: Tensor, photos: Tensor, *_: Tensor) -> Tensor:
        states = patch_states.to(scorer.device, scorer.model.dtype)
        cache = scorer.model.kaleidobert.encode_prefix(states)
        return scorer.joint.caption_log_likelihood(input_ids, attention_mask, cache, photos)[:, 0]

    return score
