"""The encoder with the heads that score pairs of photo and text, shared by pre-training and retrieval."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import MaskedTokenHead, MatchingHead
from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.losses import (
    NEAREST,
    captioning_loss,
    draw_negatives,
    equal_texts,
    listwise_loss,
    matching_loss,
    most_similar,
)
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.outputs import KaleidoBertImageOutput, KaleidoBertTextOutput

LOGIT_SCALE = math.log(1 / 0.07)  # CLIP's first temperature


class Negatives(NamedTuple):
    """A non-matching text and photo (n,) for each of n products, as indices into the whole batch.

    valid (3n,) bool: which of the pairs count: all matching ones, then those whose negative exists.
    """

    text: Tensor
    photo: Tensor
    valid: Tensor


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
        self, input_ids: Tensor, attention_mask: Tensor, patch_states: Tensor, photos: Tensor | None = None
    ) -> Tensor:
        """Match logits (B,) of texts (B, T) and patch states (B, P, H), or (M, P, H) and each text's row ``photos``."""
        encoder = self.kaleidobert
        tokens = encoder.embed_tokens(input_ids, attention_mask)
        if self.config.itm_prefix:
            cache = encoder.encode_prefix(patch_states)
            return self.prefix_itm_logits(tokens, attention_mask, cache if photos is None else cache.rows(photos))
        own = patch_states if photos is None else patch_states[photos]
        return self.itm_head(encoder.encode_pair(tokens, attention_mask, own).pooler_output).float()

    def prefix_itm_logits(self, token_states: Tensor, attention_mask: Tensor, cache: PrefixCache) -> Tensor:
        """Match logits (N,) of token states (N, T, H) and the photos of a new cache."""
        pair = self.kaleidobert.encode_text_with_prefix(token_states, attention_mask, cache)
        return self.itm_head(pair.pooler_output).float()

    def token_log_likelihoods(self, input_ids: Tensor, attention_mask: Tensor, cache: PrefixCache) -> Tensor:
        """Log p (B, T - 1) of each token of texts (B, T) after the first, given the cache; 0 at padding."""
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, cache)
        found = -F.cross_entropy(self.lm_head(states).float(), tokens, reduction="none")
        followed = attention_mask[:, 1:].bool()
        return found.new_zeros(followed.shape).masked_scatter(followed, found)

    @property
    def lists_itm(self) -> bool:
        """Whether ITM is listwise (see `Objectives.itm_candidates`)."""
        return bool(self.objectives.itm_candidates and self.objectives.weight("ITM"))

    def prefix_losses(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patch_states: Tensor,
        text_only: Tensor,
        tokens: tuple[Tensor, Tensor] | None = None,
        similarity: Tensor | None = None,
        groups: Tensor | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """LM and, with the last arguments, listwise ITM on the first m products of a batch: losses and accuracies.

        input_ids and attention_mask (B, T), patch_states (B, P, H); text_only (m,) bool; tokens: states (B, Q, H) and
        mask (B, Q) of the texts that embeddings use; similarity and groups: see `match_candidates`.
        """
        losses, accuracies, m = {}, {}, len(text_only)
        cache = self.kaleidobert.encode_prefix(patch_states[:m])
        if self.lists_itm and tokens is not None and similarity is not None and groups is not None:
            states, mask = map(shard.gather, tokens)
            found = self.match_candidates(states, mask, cache.changed(shard.gather), similarity, groups, shard)
            losses["ITM"], accuracies["ITM"] = found
        if self.objectives.weight("LM"):
            losses["LM"] = self.captioning_loss(input_ids[:m], attention_mask[:m], cache, text_only, shard)
        return losses, accuracies

    def captioning_loss(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        text_only: Tensor,
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

    def match_candidates(
        self,
        token_states: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        similarity: Tensor,
        text_group: Tensor,
        shard: BatchShard = WHOLE_BATCH,
    ) -> tuple[Tensor, Tensor]:
        """Listwise ITM on the first n products of a batch of B: the loss, and how often the own partner is first.

        token_states (B, T, H), attention_mask (B, T), similarity (B, B), one row per image, and text_group (B,) are of
        the whole batch, and the cache is of its first n photos; a process of a sharded batch ranks its own of these.
        Candidates are the ``objectives.itm_candidates`` - 1 most similar photos and texts, and the own ones.
        """
        count, others = cache.photos, self.objectives.itm_candidates - 1
        own = own_rows(count, shard, similarity.device)
        forbidden = equal_texts(text_group) | torch.eye(len(text_group), dtype=torch.bool, device=text_group.device)
        photos, found_photos = most_similar(similarity.T[own, :count], forbidden[own, :count], others)
        texts, found_texts = most_similar(similarity[own], forbidden[own], others)
        pair_photos = torch.cat([own, photos.flatten(), own.repeat_interleave(texts.shape[1])])
        pair_texts = torch.cat([own, own.repeat_interleave(photos.shape[1]), texts.flatten()])
        tokens, mask = token_states.index_select(0, pair_texts), attention_mask[pair_texts]
        logits = self.prefix_itm_logits(tokens, mask, cache.rows(pair_photos))
        partner, of_photos, of_texts = logits.split([len(own), photos.numel(), texts.numel()])
        losses, right = [], []
        for scores, wrong, found in ((of_photos, photos, found_photos), (of_texts, texts, found_texts)):
            ranked = torch.cat([partner[:, None], scores.view(wrong.shape)], dim=1)
            losses.append(listwise_loss(ranked, found + 1))
            beyond = torch.arange(wrong.shape[1], device=wrong.device) >= found[:, None]
            right.append(ranked[:, 0] > ranked[:, 1:].masked_fill(beyond, float("-inf")).amax(dim=1))
        return torch.stack(losses).mean() * shard.weight(own), shard.mean(torch.cat(right))

    def encode_pairs(
        self, token_states: Tensor, attention_mask: Tensor, patch_states: Tensor, texts: Tensor, photos: Tensor
    ) -> Tensor:
        """Last states (N, T + P, H) of N pairs, given by the indices (N,) of ``texts`` and ``photos`` in the batch."""
        # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
        pair = self.kaleidobert.encode_pair(
            token_states.index_select(0, texts), attention_mask[texts], patch_states.index_select(0, photos)
        )
        return pair.last_hidden_state


def own_rows(count: int, shard: BatchShard, device: torch.device) -> Tensor:
    """The indices of this process's products among the first ``count`` products of the whole batch."""
    return torch.arange(count, device=device)[shard.rows]


def itm_negatives(
    similarity: Tensor | None,
    text_group: Tensor,
    draws: Tensor,
    count: int,
    grade: int = NEAREST,
    subcategory: Tensor | None = None,
    shard: BatchShard = WHOLE_BATCH,
) -> Negatives:
    """Draw the ITM negatives of the first ``count`` products of a batch of B.

    similarity (B, B): scaled contrastive scores, one row per image, used by the grade NEAREST. text_group (B,):
    products with equal texts are never negatives of each other. draws (2, n): uniform in [0, 1). subcategory (B,):
    equal within a sub-category. grade: see `draw_negatives`.
    """
    rows = own_rows(count, shard, text_group.device)
    forbidden = equal_texts(text_group) | torch.eye(len(text_group), dtype=torch.bool, device=text_group.device)
    unlike = torch.zeros_like(forbidden) if subcategory is None else subcategory[:, None] != subcategory[None, :]
    scores = torch.zeros_like(forbidden, dtype=torch.float) if similarity is None else similarity.detach()
    return Negatives(
        text=draw_negatives(scores[rows], forbidden[rows], draws[0], grade, unlike[rows]),
        photo=draw_negatives(scores.T[rows, :count], forbidden[rows, :count], draws[1], grade, unlike[rows, :count]),
        valid=torch.cat([rows >= 0, ~forbidden[rows].all(dim=1), ~forbidden[rows, :count].all(dim=1)]),
    )


def query_inputs(
    input_ids: Tensor, attention_mask: Tensor, query_ids: Tensor | None, query_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token ids and mask for text embeddings: the shortened queries if there are any, else the whole texts."""
    if query_ids is None or query_mask is None:
        return input_ids, attention_mask
    return query_ids, query_mask
