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
from kaleidobert.model.layers import PrefixCache, by_length
from kaleidobert.model.losses import (
    NEAREST,
    also_fitting,
    captioning_loss,
    draw_negatives,
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


class Candidates(NamedTuple):
    """The lists that listwise objectives rank: for each of a process's n products, k photos and texts beside its own.

    products (n,), photos (n, k) and texts (n, k) are indices into the whole batch; photo_count and text_count (n,): how
    many of the k count, as pairs that fit as well are no candidates.
    """

    products: Tensor
    photos: Tensor
    photo_count: Tensor
    texts: Tensor
    text_count: Tensor

    def pairs(self) -> tuple[Tensor, Tensor]:
        """Texts and photos (N,) of all pairs: the matching ones, each text's other photos, each photo's other texts."""
        own, width = self.products, self.photos.shape[1]
        texts = [own, own.repeat_interleave(width), self.texts.flatten()]
        photos = [own, self.photos.flatten(), own.repeat_interleave(self.texts.shape[1])]
        return torch.cat(texts), torch.cat(photos)

    def loss(self, scores: Tensor, text_bias: Tensor | None, shard: BatchShard) -> tuple[Tensor, Tensor]:
        """The mean listwise loss of the pairs' scores (N,), and how often the own partner is first.

        text_bias (N,) is subtracted where texts are ranked.
        """
        bias = torch.zeros_like(scores) if text_bias is None else text_bias
        sizes = [len(self.products), self.photos.numel(), self.texts.numel()]
        own, photos, _ = scores.split(sizes)
        own_text, _, texts = (scores - bias).split(sizes)
        losses, first = [], []
        for partner, others, count in ((own, photos, self.photo_count), (own_text, texts, self.text_count)):
            ranked = torch.cat([partner[:, None], others.view(len(partner), -1)], dim=1)
            losses.append(listwise_loss(ranked, count + 1))
            beyond = torch.arange(ranked.shape[1] - 1, device=ranked.device) >= count[:, None]
            first.append(ranked[:, 0] > ranked[:, 1:].masked_fill(beyond, float("-inf")).amax(dim=1))
        return torch.stack(losses).mean() * shard.weight(self.products), shard.mean(torch.cat(first))


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
        text_only: Tensor,
        tokens: tuple[Tensor, Tensor] | None = None,
        similarity: Tensor | None = None,
        also_fit: Tensor | None = None,
        same_text: Tensor | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """LM on a batch, and listwise ITM and PMI on its first products: losses, and accuracies.

        input_ids and attention_mask (B, T), patch_states (B, P, H); text_only (B,) bool. Of lists (none without
        similarity): tokens, states (B, Q, H) and mask (B, Q) of the texts that embeddings use; similarity (B, B), one
        row per image, and also_fit (B, B), one row per text (`losses.also_fitting`) of those, and same_text, of whole
        texts, which PMI ranks; all of the whole batch.
        """
        losses, accuracies = {}, {}
        cache = self.kaleidobert.encode_prefix(patch_states)
        if self.ranks_lists and tokens is not None and similarity is not None and also_fit is not None:
            everyone = cache.changed(shard.gather)
            sizes = min(len(similarity), self.objectives.listed_products), self.objectives.candidates - 1
            if self.lists_itm:
                lists = candidates(similarity, also_fit, *sizes, shard)
                texts, photos = lists.pairs()
                states, seen = map(shard.gather, tokens)
                logits = self.pair_itm_logits(states, seen, everyone, texts, photos)
                cosines = similarity.detach()[photos, texts]
                logits = cosines + logits if self.objectives.residual else logits
                losses["ITM"], accuracies["ITM"] = lists.loss(logits, None, shard)
                accuracies["ITM_vectors"] = lists.loss(cosines, None, shard)[1]
            if self.objectives.weight("PMI"):
                whole = also_fit if same_text is None else same_text
                lists = candidates(similarity, whole, *sizes, shard)
                texts, photos = lists.pairs()
                ids, mask = shard.gather(input_ids), shard.gather(attention_mask)
                scores = self.pair_log_likelihoods(ids, mask, everyone, texts, photos)
                listed, which = texts.unique(return_inverse=True)
                with torch.no_grad():
                    alone = self.token_log_likelihoods(ids[listed], mask[listed], PrefixCache()).sum(dim=1)
                losses["PMI"], accuracies["PMI"] = lists.loss(scores, alone[which], shard)
        if self.objectives.weight("LM"):
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


def fitting_pairs(text_group: Tensor, facts: Tensor | None, asked: Tensor | None, shard: BatchShard) -> Tensor:
    """`also_fitting` (B, B) of the whole batch; the arguments are this process's rows."""
    facts, asked = (None if each is None else shard.gather(each) for each in (facts, asked))
    return also_fitting(shard.gather(text_group), facts, asked)


def own_rows(count: int, shard: BatchShard, device: torch.device) -> Tensor:
    """The indices of this process's products among the first ``count`` products of the whole batch."""
    return torch.arange(count, device=device)[shard.rows]


def itm_negatives(
    similarity: Tensor | None,
    also_fit: Tensor,
    draws: Tensor,
    count: int,
    grade: int = NEAREST,
    subcategory: Tensor | None = None,
    shard: BatchShard = WHOLE_BATCH,
) -> Negatives:
    """Draw the ITM negatives of the first ``count`` products of a batch of B.

    similarity (B, B): scaled contrastive scores, one row per image, used by the grade NEAREST. also_fit (B, B), one
    row per text: products that a text fits are no negatives of it. draws (2, n): uniform in [0, 1). subcategory (B,):
    equal within a sub-category. grade: see `draw_negatives`.
    """
    rows = own_rows(count, shard, also_fit.device)
    forbidden = also_fit | torch.eye(len(also_fit), dtype=torch.bool, device=also_fit.device)
    unlike = torch.zeros_like(forbidden) if subcategory is None else subcategory[:, None] != subcategory[None, :]
    scores = torch.zeros_like(forbidden, dtype=torch.float) if similarity is None else similarity.detach()
    return Negatives(
        text=draw_negatives(scores[rows], forbidden.T[rows], draws[0], grade, unlike[rows]),
        photo=draw_negatives(scores.T[rows, :count], forbidden[rows, :count], draws[1], grade, unlike[rows, :count]),
        valid=torch.cat([rows >= 0, ~forbidden.T[rows].all(dim=1), ~forbidden[rows, :count].all(dim=1)]),
    )


def candidates(
    similarity: Tensor, also_fit: Tensor, count: int, others: int, shard: BatchShard = WHOLE_BATCH
) -> Candidates:
    """The ``others`` most similar photos and texts of a batch for each of its first ``count`` products.

    similarity (B, B), one row per image. also_fit (B, B), one row per text: pairs that fit as well, never candidates.
    """
    own = own_rows(count, shard, similarity.device)
    forbidden = also_fit | torch.eye(len(also_fit), dtype=torch.bool, device=also_fit.device)
    photos = most_similar(similarity.T[own], forbidden[own], others)
    return Candidates(own, *photos, *most_similar(similarity[own], forbidden.T[own], others))


def query_inputs(
    input_ids: Tensor, attention_mask: Tensor, query_ids: Tensor | None, query_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Token ids and mask for text embeddings: the shortened queries if there are any, else the whole texts."""
    if query_ids is None or query_mask is None:
        return input_ids, attention_mask
    return query_ids, query_mask
