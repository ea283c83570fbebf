"""The encoder with the heads that score pairs of photo and text, shared by pre-training and retrieval."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization

from kaleidobert.model.candidates import ListInputs, Negatives, candidates, own_rows
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import MaskedTokenHead, MatchingHead
from kaleidobert.model.layers import PrefixCache, by_length
from kaleidobert.model.losses import captioning_loss, matching_loss
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.outputs import KaleidoBertImageOutput, KaleidoBertTextOutput

LOGIT_SCALE = math.log(1 / 0.07)  # CLIP's first temperature


class MatchingOutput(NamedTuple):
    """Loss and balanced accuracy of ITM, and the last states (n, T + P, H) of the n matching pairs."""

    loss: Tensor
    accuracy: Tensor
    states: Tensor


class KaleidoBertPairModel(KaleidoBertPreTrainedModel):
    """The encoder, the ITM head, the language-modelling head and the temperature of the contrastive scores.

    ``objectives`` are used in training only.
    """

    _tied_weights_keys = {"lm_head.decoder.weight": "kaleidobert.bert.embeddings.word_embeddings.weight"}

    def __init__(self, config: KaleidoBertConfig, objectives: Objectives | None = None) -> None:
        super().__init__(config)
        self.objectives = objectives or Objectives()
        self.kaleidobert = KaleidoBertModel(config)
        self.itm_head = MatchingHead(config.encoder_config)
        self.lm_head = MaskedTokenHead(config.encoder_config)
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.logit_scale, LOGIT_SCALE)

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head.decoder = value

    def scale(self) -> Tensor:
        """1 / temperature of the contrastive scores, at most 100."""
        return self.logit_scale.float().exp().clamp(max=100)

    def get_image_features(self, pixel_values: Tensor, **kwargs: bool) -> KaleidoBertImageOutput:
        """See `KaleidoBertModel.get_image_features`."""
        return self.kaleidobert.get_image_features(pixel_values, **kwargs)

    def get_text_features(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: bool
    ) -> KaleidoBertTextOutput:
        """See `KaleidoBertModel.get_text_features`."""
        return self.kaleidobert.get_text_features(input_ids, attention_mask, **kwargs)

    def itm_logits(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        photos: Tensor | None = None,
        cache: PrefixCache | None = None,
    ) -> Tensor:
        """Match logits (B,) of texts (B, T) and patch states (B, P, H), or (M, P, H) and each text's row ``photos``.

        ``cache``: `encode_prefix` of the patch states, if already computed; used by models with ``itm_prefix``.
        """
        encoder = self.kaleidobert
        tokens = encoder.embed_tokens(input_ids, attention_mask)
        if self.config.itm_prefix:
            cache = encoder.encode_prefix(patch_states) if cache is None else cache
            rows = torch.arange(len(tokens), device=tokens.device)
            return self.pair_itm_logits(tokens, attention_mask, cache, rows, rows if photos is None else photos)
        own = patch_states if photos is None else patch_states[photos]
        return self.itm_head(encoder.encode_pair(tokens, attention_mask, own).pooler_output).float()

    def pair_itm_logits(
        self, token_states: Tensor, attention_mask: Tensor, cache: PrefixCache, texts: Tensor, photos: Tensor
    ) -> Tensor:
        """Match logits (N,) of N pairs of token states (B, T, H) and the cache's photos, given by their rows (N,)."""
        logits, order = [], []
        for rows, length in by_length(attention_mask.sum(dim=1)[texts], 128):
            # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
            states = token_states[:, :length].index_select(0, texts[rows])
            mask = attention_mask[texts[rows], :length]
            pair = self.kaleidobert.encode_text_with_prefix(states, mask, cache.rows(photos[rows]))
            logits.append(self.itm_head(pair.pooler_output).float())
            order.append(rows)
        return torch.cat(logits).index_select(0, torch.cat(order).argsort())

    def token_log_likelihoods(
        self, input_ids: Tensor, attention_mask: Tensor, cache: PrefixCache, photos: Tensor | None = None
    ) -> Tensor:
        """Log p (B, T - 1) of each token of texts (B, T) after the first, given the cache; 0 at padding.

        ``photos`` (B,): each text's row of the cache; by default one row for each text.
        """
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, cache, photos=photos)
        found = -F.cross_entropy(self.lm_head(states).float(), tokens, reduction="none")
        followed = attention_mask[:, 1:].bool()
        return found.new_zeros(followed.shape).masked_scatter(followed, found)

    @property
    def lists_itm(self) -> bool:
        """Whether ITM is listwise (see `Objectives.candidates`)."""
        return bool(self.objectives.candidates and self.config.itm_prefix and self.objectives.weight("ITM"))

    @property
    def ranks_lists(self) -> bool:
        """Whether any objective is listwise."""
        return bool(self.lists_itm or (self.objectives.candidates and self.objectives.weight("PMI")))

    def prefix_losses(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        text_only: Tensor | None,
        listed: ListInputs | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """LM on a batch, and listwise ITM and PMI on its first products: losses, and accuracies.

        input_ids and attention_mask (B, T), patch_states (B, P, H); text_only (B,) bool, None for no LM; ``listed``:
        None for no lists.
        """
        losses, accuracies = {}, {}
        cache = self.kaleidobert.encode_prefix(patch_states)
        if listed is not None:
            everyone, similarity = cache.changed(shard.gather), listed.similarity.detach()
            sizes = min(len(similarity), self.objectives.listed_products), self.objectives.candidates - 1
            if self.lists_itm:
                lists = candidates(similarity, listed.also_fit, *sizes, shard)
                texts, photos = lists.pairs()
                states, seen = shard.gather(listed.token_states), shard.gather(listed.token_mask)
                logits = self.pair_itm_logits(states, seen, everyone, texts, photos)
                cosines = similarity[photos, texts]
                logits = cosines + logits if self.objectives.residual else logits
                losses["ITM"], accuracies["ITM"] = lists.loss(logits, None, shard)
                accuracies["ITM_vectors"] = lists.loss(cosines, None, shard)[1]
            if self.objectives.weight("PMI"):
                lists = candidates(similarity, listed.same_text, *sizes, shard)
                texts, photos = lists.pairs()
                ids, mask = shard.gather(input_ids), shard.gather(attention_mask)
                scores = self.pair_log_likelihoods(ids, mask, everyone, texts, photos)
                chosen, which = texts.unique(return_inverse=True)
                with torch.no_grad():
                    alone = self.token_log_likelihoods(ids[chosen], mask[chosen], PrefixCache()).sum(dim=1)
                losses["PMI"], accuracies["PMI"] = lists.loss(scores, alone[which], shard)
        if text_only is not None and self.objectives.weight("LM"):
            losses["LM"] = self.captioning_loss(input_ids, attention_mask, cache, text_only, shard)
        return losses, accuracies

    def pair_log_likelihoods(
        self, input_ids: Tensor, attention_mask: Tensor, cache: PrefixCache, texts: Tensor, photos: Tensor
    ) -> Tensor:
        """log p(text | photo) (N,) of N pairs of texts (B, T) and the cache's photos, given by their rows (N,)."""
        states, tokens, pairs = self.kaleidobert.decode_pairs(input_ids, attention_mask, cache, texts, photos)
        likelihood = -F.cross_entropy(self.lm_head(states).float(), tokens, reduction="none")
        return likelihood.new_zeros(len(texts)).index_add(0, pairs, likelihood)

    def captioning_loss(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        text_only: Tensor | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> Tensor:
        """LM on texts (B, T), given their photos' cache, or without their photo where ``text_only`` (B,)."""
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, cache, text_only)
        return captioning_loss(self.lm_head(states).float(), tokens) * shard.weight(tokens)

    def match(
        self,
        token_states: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        negatives: Negatives,
        shard: BatchShard = WHOLE_BATCH,
    ) -> MatchingOutput:
        """ITM on n products, each with its own text, with a negative text, and with a negative photo.

        token_states (B, T, H) and attention_mask (B, T) are of the whole batch, patch_states (n, P, H) of its first n
        products. In a sharded batch, negatives and output are those of this process's products.
        """
        rows = own_rows(len(patch_states), shard, patch_states.device)
        texts = torch.cat([rows, negatives.text, rows])
        photos = torch.cat([rows, rows, negatives.photo])
        states = self.encode_pairs(token_states, attention_mask, patch_states, texts, photos)
        own, valid = len(rows), negatives.valid
        matches = torch.arange(3 * own, device=states.device) < own
        logits = self.itm_head(states[:, 0]).float()
        right = (logits > 0) == matches
        return MatchingOutput(
            loss=matching_loss(logits[valid], matches[valid].float()) * shard.weight(logits[valid]),
            accuracy=(shard.mean(right[:own]) + shard.mean(right[own:][valid[own:]])) / 2,
            states=states[:own],
        )

    def encode_pairs(
        self, token_states: Tensor, attention_mask: Tensor, patch_states: Tensor, texts: Tensor, photos: Tensor
    ) -> Tensor:
        """Last states (N, T + P, H) of N pairs, given by the indices (N,) of ``texts`` and ``photos`` in the batch."""
        # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
        pair = self.kaleidobert.encode_pair(
            token_states.index_select(0, texts), attention_mask[texts], patch_states.index_select(0, photos)
        )
        return pair.last_hidden_state


def query_inputs(
    input_ids: Tensor, attention_mask: Tensor, query_ids: Tensor | None, query_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token ids and mask for text embeddings: the shortened queries if there are any, else the whole texts."""
    if query_ids is None or query_mask is None:
        return input_ids, attention_mask
    return query_ids, query_mask
