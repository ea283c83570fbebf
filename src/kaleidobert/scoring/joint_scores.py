"""Joint scores of pairs of text and photo: ITM's logit or the caption's log-likelihood, and what a memory adds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.pair_model import KaleidoBertPairModel
from kaleidobert.model.retrieval import KaleidoBertForRetrieval
from kaleidobert.scoring.layout_memory import Neighbours, layout_slice
from kaleidobert.scoring.memory import RetrievalMemory
from kaleidobert.scoring.ranking import RankingWeights


class JointScorer:
    """Scores pairs by the single stream, with a run's weights and, where there is one, its memory."""

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
    ) -> Tensor:
        """How well texts (N, T) and embedded patches (N, P, H) match, (N,).

        "itm" is ITM's logit; "lm" log p(text | photo) - ``prior_weight`` * log p(text) in nats, whose second term
        compares texts fairly: without it, a common text would fit every photo (pointwise mutual information where its
        weight is 1, as in VisualGPTScore: Lin et al., ICML 2024). With a memory, ``neighbour_word_weight`` of the first
        term comes from the texts of photos with a similar layout, and ``neighbour_pmi_weight`` times the neighbour-text
        PMI is added to either.

        Where few photos have many texts, patch_states are (M, P, H) and ``photos`` (N,) gives each text's row.
        ``log_prior`` (N, 2): the texts' `text_log_prior`, where it is known.
        """
        weights, dtype = self.weights, self.model.dtype
        patch_states = patch_states.to(self.model.device, dtype)
        neighbours = self.neighbours(patch_states, photos) if weights.uses_layouts else None
        if weights.joint_scorer == "itm":
            scores = self.itm_logits(input_ids, attention_mask, patch_states, photos)
            if neighbours is None or not weights.neighbour_pmi_weight:
                return scores
        if log_prior is None:
            log_prior = self.text_log_prior(input_ids, attention_mask)
        alone, density = log_prior.unbind(dim=1)
        if weights.joint_scorer == "lm":
            mix = (weights.neighbour_word_weight,)
            likelihood = self.caption_log_likelihood(input_ids, attention_mask, patch_states, photos, neighbours, mix)
            scores = likelihood[:, 0] - weights.prior_weight * alone
        if neighbours is None or not weights.neighbour_pmi_weight:
            return scores
        return scores + weights.neighbour_pmi_weight * (self.neighbour_text_pmi(input_ids, neighbours) - density)

    def itm_logits(
        self, input_ids: Tensor, attention_mask: Tensor, patch_states: Tensor, photos: Tensor | None
    ) -> Tensor:
        """ITM's logits (N,)."""
        own = patch_states if photos is None else patch_states[photos]
        return self.model.itm_logits(input_ids, attention_mask, own)

    def caption_log_likelihood(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None,
        neighbours: Neighbours | None,
        word_weights: Sequence[float],
    ) -> Tensor:
        """log p(text | photo), (N, W) in nats, with each of W weights of the neighbours' words."""
        cache = self.model.kaleidobert.encode_prefix(patch_states)
        if photos is not None:
            cache.batch_select_indices(photos)
        return self._log_likelihood(input_ids, attention_mask, cache, neighbours, word_weights)

    def text_log_prior(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Of texts (N, T) without a photo, (N, 2) in nats: log p(text), and how common they are in the memory."""
        texts = torch.cat([input_ids, attention_mask], dim=1)
        alone, which = torch.unique(texts, dim=0, return_inverse=True)  # a text of many pairs is decoded once
        ids, mask = alone.chunk(2, dim=1)
        likelihood = self._log_likelihood(ids, mask, PrefixCache())[:, 0]
        density = torch.zeros_like(likelihood) if self.memory is None else self.memory.layouts.text_density(ids)
        return torch.stack([likelihood, density], dim=1)[which]

    def neighbours(self, patch_states: Tensor, photos: Tensor | None = None) -> Neighbours | None:
        """Of photos with these patch states (M, P, H), for each pair's photo; None without a memory."""
        if self.memory is None:
            return None
        found = self.memory.layouts.nearest(layout_states(self.model, patch_states), self.weights.layout_neighbours)
        return found if photos is None else Neighbours(*(part[photos] for part in found))

    def neighbour_text_pmi(self, input_ids: Tensor, neighbours: Neighbours) -> Tensor:
        """The first term of the neighbour-text PMI, (N,) in nats."""
        assert self.memory is not None  # where neighbours come from
        return self.memory.layouts.neighbour_text_pmi(input_ids, neighbours)

    def _log_likelihood(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        neighbours: Neighbours | None = None,
        word_weights: Sequence[float] = (0.0,),
    ) -> Tensor:
        """Of texts (N, T) after what the cache holds, (N, W) in nats."""
        own = self.model.token_log_likelihoods(input_ids, attention_mask, cache)  # (N, T - 1), 0 at padding
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


def layout_states(model: KaleidoBertPairModel, patch_states: Tensor) -> Tensor:
    """Patch states (N, P, H) -> those that a layout is made of, flattened (N, F)."""
    return patch_states[:, layout_slice(model.config.level_table)].flatten(1)
