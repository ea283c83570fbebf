"""Joint scores of pairs: the ITM logit or the caption log-likelihood, with optional terms from a memory."""

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
    ) -> Tensor:
        """Joint scores (N,) of texts (N, T) and patch states (N, P, H).

        "itm": the ITM logit. "lm": log p(text | photo) - ``prior_weight`` * log p(text), in nats; without the second
        term, frequent texts would match every photo (with a weight of 1 it is the pointwise mutual information of
        VisualGPTScore: Lin et al., ICML 2024). With a memory, the texts of photos with a similar layout contribute
        ``neighbour_word_weight`` of p(text | photo), and ``neighbour_pmi_weight`` times the neighbour-text PMI is added
        to either score.

        If many texts share few photos, pass patch_states (M, P, H) and ``photos`` (N,), the photo's row for each text.
        ``log_prior`` (N, 2): `text_log_prior`, if already computed.
        """
        weights, dtype = self.weights, self.model.dtype
        input_ids = input_ids.masked_fill(attention_mask == 0, self.model.config.encoder_config.pad_token_id)
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
            scores = likelihood[:, 0]
        if neighbours is None or not weights.neighbour_pmi_weight:
            return joint_score(weights, scores, alone)
        return joint_score(weights, scores, alone, self.neighbour_text_pmi(input_ids, neighbours) - density)

    def itm_logits(
        self, input_ids: Tensor, attention_mask: Tensor, patch_states: Tensor, photos: Tensor | None
    ) -> Tensor:
        """ITM logits (N,)."""
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
        """log p(text | photo) (N, W) in nats, for each of W weights of the neighbours' words."""
        cache = self.model.kaleidobert.encode_prefix(patch_states)
        if photos is not None:
            cache.batch_select_indices(photos)
        return self._log_likelihood(input_ids, attention_mask, cache, neighbours, word_weights)

    def text_log_prior(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The prior (N, 2) of texts (N, T), in nats: log p(text) by the LM, and `LayoutMemory.text_density`."""
        texts = torch.cat([input_ids, attention_mask], dim=1)
        alone, which = torch.unique(texts, dim=0, return_inverse=True)  # a text of many pairs is decoded once
        ids, mask = alone.chunk(2, dim=1)
        likelihood = self._log_likelihood(ids, mask, PrefixCache())[:, 0]
        density = torch.zeros_like(likelihood) if self.memory is None else self.memory.layouts.text_density(ids)
        return torch.stack([likelihood, density], dim=1)[which]

    def neighbours(self, patch_states: Tensor, photos: Tensor | None = None) -> Neighbours | None:
        """The nearest photos in the memory for each pair's photo, by patch states (M, P, H); None without a memory."""
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
        """Log-likelihoods (N, W) of texts (N, T) given the cache, in nats."""
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


def joint_score(
    weights: RankingWeights, score: Tensor, log_prior: Tensor, neighbour_pmi: Tensor | None = None
) -> Tensor:
    """The joint score from its terms: the ITM logit or log p(text | photo), log p(text), and the neighbour-text PMI."""
    if weights.joint_scorer == "lm":
        score = score - weights.prior_weight * log_prior
    return score if neighbour_pmi is None else score + weights.neighbour_pmi_weight * neighbour_pmi


def layout_states(model: KaleidoBertPairModel, patch_states: Tensor) -> Tensor:
    """Patch states (N, P, H) -> those of the layout, flattened to (N, F)."""
    return patch_states[:, layout_slice(model.config.level_table)].flatten(1)
