"""Joint scores of pairs: a weighted sum of ITM logit and caption log-likelihood, with optional terms from a memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.pair_model import KaleidoBertPairModel
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring.formula import JointTerms, joint_score
from kaleidobert.scoring.layout_memory import Neighbours
from kaleidobert.scoring.layouts import layout_slice
from kaleidobert.scoring.memory import RetrievalMemory
from kaleidobert.scoring.ranking import RankingWeights


class JointScorer:
    """Scores pairs with the single stream, a run's ranking weights and, if there is one, its memory."""

    def __init__(
        self, model: KaleidoBertForRetrieval, weights: RankingWeights, memory: RetrievalMemory | None = None
    ) -> None:
        self.model = model
        self.weights = weights
        self.memory = memory

    def joint_scores(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None = None,
        log_prior: Tensor | None = None,
        own: Tensor | None = None,
        text_own: Tensor | None = None,
        *,
        prefix: PrefixCache | None = None,
    ) -> Tensor:
        """Joint scores (N,) of texts (N, T) and patch states (N, P, H): `joint_score` of the terms that have a weight.

        If many texts share few photos, pass patch_states (M, P, H) and ``photos`` (N,), the photo's row for each text.
        ``log_prior`` (N, 2): `text_log_prior`, if already computed; a third column, the prior given background photos,
        takes its place where the weights have background photos. ``own`` (M,) and ``text_own`` (N,): the memory
        rows of the photos' and the texts' own products, which none may recall; -1 for none. ``prefix``: `encode_prefix`
        of the patch states, if already computed.
        """
        inputs = (input_ids, attention_mask, patch_states, photos, log_prior, own, text_own)
        return joint_score(self.weights, self.terms(*inputs, prefix=prefix))

    def encode_prefix(self, patch_states: Tensor) -> PrefixCache | None:
        """Keys and values of patch states (M, P, H), which joint scores are computed from; None where none are."""
        if not self._uses_prefix(bool(self.weights.itm_weight), bool(self.weights.lm_weight)):
            return None
        return self.model.kaleidobert.encode_prefix(patch_states.to(self.model.device, self.model.dtype))

    def _uses_prefix(self, uses_itm: bool, uses_lm: bool) -> bool:
        return uses_lm or (uses_itm and self.model.config.itm_prefix)

    def terms(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None = None,
        log_prior: Tensor | None = None,
        own: Tensor | None = None,
        text_own: Tensor | None = None,
        *,
        prefix: PrefixCache | None = None,
        also: Collection[str] = (),
        word_weights: Sequence[float] | None = None,
    ) -> JointTerms:
        """The terms of `joint_scores` that have a weight, and those named in ``also`` (`JOINT_TERMS`).

        ``word_weights``: W weights of the neighbours' words, for log-likelihoods (N, W); default the fitted one.
        """
        weights, dtype = self.weights, self.model.dtype
        input_ids = input_ids.masked_fill(attention_mask == 0, self.model.config.encoder_config.pad_token_id)
        patch_states = patch_states.to(self.model.device, dtype)
        texts = (input_ids, attention_mask)
        uses_lm = bool(weights.lm_weight or "lm" in also)
        uses_pmi = bool(weights.neighbour_pmi_weight or word_weights is not None)
        neighbours = None
        if weights.uses_layouts or word_weights is not None:
            neighbours = self.neighbours(patch_states, photos, own)
        if neighbours is not None and text_own is not None:
            neighbours = neighbours.without(text_own)
        if log_prior is None and (uses_lm or uses_pmi):
            log_prior = self.text_log_prior(*texts, text_own, uses_lm)
        itm = likelihood = pmi = None
        uses_itm = bool(weights.itm_weight or "itm" in also)
        cache = None if prefix is None else prefix.changed(lambda part: part.to(dtype))
        if cache is None and self._uses_prefix(uses_itm, uses_lm):  # photos are encoded once for both terms
            cache = self.model.kaleidobert.encode_prefix(patch_states)
        if uses_itm:
            itm = self._itm_logits(*texts, patch_states, photos, cache)
        if uses_lm and cache is not None:
            mix = (weights.neighbour_word_weight,) if word_weights is None else word_weights
            likelihood = self.caption_log_likelihood(*texts, cache, photos, neighbours, mix)
            likelihood = likelihood[:, 0] if word_weights is None else likelihood
        if uses_pmi and neighbours is not None and log_prior is not None:
            pmi = self.neighbour_text_pmi(input_ids, neighbours) - log_prior[:, 1]
        prior = None if log_prior is None else log_prior[:, prior_column(weights, log_prior)]
        return JointTerms(itm, likelihood, prior, pmi)

    def _itm_logits(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None,
        cache: PrefixCache | None,
    ) -> Tensor:
        if cache is None or not self.model.config.itm_prefix:
            return self.model.itm_logits(input_ids, attention_mask, patch_states, photos)
        texts, which = torch.unique(torch.cat([input_ids, attention_mask], dim=1), dim=0, return_inverse=True)
        ids, mask = texts.chunk(2, dim=1)  # the layers that see no photo run once for each text
        rows = torch.arange(len(input_ids), device=input_ids.device) if photos is None else photos
        return self.model.pair_itm_logits(self.model.kaleidobert.embed_tokens(ids, mask), mask, cache, which, rows)

    def caption_log_likelihood(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        photos: Tensor | None = None,
        neighbours: Neighbours | None = None,
        word_weights: Sequence[float] = (0.0,),
    ) -> Tensor:
        """log p(text | photo) (N, W) in nats of texts (N, T), for each of W weights of the neighbours' words.

        ``photos`` (N,): each text's row of the cache; by default one row for each text.
        """
        own = self.model.token_log_likelihoods(input_ids, attention_mask, cache, photos)  # (N, T - 1), 0 at padding
        followed = attention_mask[:, 1:].bool()
        near = None
        if neighbours and self.memory is not None and any(word_weights):
            near = self.memory.layouts.word_probabilities(input_ids, neighbours)
        sums = []
        for weight in word_weights:
            mixed = own if near is None or not weight else ((1 - weight) * own.exp() + weight * near).log()
            # exact, however far the batch is padded: equal texts tie
            sums.append(mixed.masked_fill(~followed, 0.0).double().sum(dim=1).float())
        return torch.stack(sums, dim=1)

    def text_log_prior(
        self, input_ids: Tensor, attention_mask: Tensor, own: Tensor | None = None, uses_lm: bool = True
    ) -> Tensor:
        """The prior (N, 2) of texts (N, T), in nats: log p(text) by the LM, and `LayoutMemory.text_density`.

        ``own`` (N,): the memory row of each text's own product, -1 for none. Without ``uses_lm`` the first is 0.
        """
        own = own if self.memory is not None else None
        parts = [input_ids, attention_mask] + ([] if own is None else [own[:, None].to(input_ids)])
        texts = torch.cat(parts, dim=1)
        alone, which = torch.unique(texts, dim=0, return_inverse=True)  # a text of many pairs is decoded once
        length = input_ids.shape[1]
        ids, mask, rows = alone[:, :length], alone[:, length : 2 * length], None if own is None else alone[:, -1]
        likelihood = density = torch.zeros(len(ids), device=ids.device)
        if uses_lm:
            likelihood = self.caption_log_likelihood(ids, mask, PrefixCache())[:, 0]
        if self.memory is not None:
            density = self.memory.layouts.text_density(ids, rows)
        return torch.stack([likelihood, density], dim=1)[which]

    def neighbours(
        self, patch_states: Tensor, photos: Tensor | None = None, own: Tensor | None = None
    ) -> Neighbours | None:
        """The nearest photos in the memory for each pair's photo, by patch states (M, P, H); None without a memory."""
        if self.memory is None:
            return None
        states = layout_states(self.model, patch_states)
        found = self.memory.layouts.nearest(states, self.weights.layout_neighbours, own)
        return found if photos is None else Neighbours(*(part[photos] for part in found))

    def neighbour_text_pmi(self, input_ids: Tensor, neighbours: Neighbours) -> Tensor:
        """The first term of the neighbour-text PMI, (N,) in nats."""
        assert self.memory is not None  # where neighbours come from
        return self.memory.layouts.neighbour_text_pmi(input_ids, neighbours)


def prior_column(weights: RankingWeights, log_prior: Tensor) -> int:
    """The column of log_prior (..., 2 or 3) that is the prior of the LM's term."""
    return 2 if weights.background_photos and log_prior.shape[-1] > 2 else 0


def layout_states(model: KaleidoBertPairModel, patch_states: Tensor) -> Tensor:
    """Patch states (N, P, H) -> those of the layout, flattened to (N, F)."""
    return patch_states[:, layout_slice(model.config.level_table)].flatten(1)
