"""How texts and photos are scored: vectors, memory, ITM, reading and looks; what pre-training and retrieval share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, initialization

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.encoder import (
    ImageOutput,
    KaleidoBertModel,
    KaleidoBertPreTrainedModel,
    PairOutput,
    TextOutput,
)
from kaleidobert.model.heads import MaskedTokenHead, MatchingHead
from kaleidobert.model.losses import (
    NEAREST,
    captioning_loss,
    draw_negatives,
    equal_texts,
    loss_weight,
    matching_loss,
)
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.layout_memory import LayoutMemory, Neighbours, layout_slice

LOGIT_SCALE = math.log(1 / 0.07)  # CLIP's first temperature
RERANK = 20  # candidates that the joint model reads unless asked otherwise: the best by vectors


def query_inputs(
    input_ids: Tensor, attention_mask: Tensor, query_ids: Tensor | None, query_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What the texts' vectors are of: the whole texts, unless they were shortened to queries."""
    if query_ids is None or query_mask is None:
        return input_ids, attention_mask
    return query_ids, query_mask


class MatchingOutput(NamedTuple):
    """loss and balanced accuracy of ITM; joint: hidden states of the n matching pairs."""

    loss: Tensor
    accuracy: Tensor
    joint: PairOutput


class KaleidoBertScoring(KaleidoBertPreTrainedModel):
    """The encoder, its heads for pairs and its memory: what pre-training and retrieval share."""

    _tied_weights_keys = {"masked_tokens.decoder.weight": "kaleidobert.bert.embeddings.word_embeddings.weight"}

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.matching = MatchingHead(config.encoder_config)
        self.masked_tokens = MaskedTokenHead(config.encoder_config)
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))
        bert, layout = config.encoder_config, layout_slice(config.level_table)
        self.memory = CrossModalMemory(config.memory_pairs, config.projection_size)
        self.looks = LayoutMemory(
            config.memory_pairs,
            (layout.stop - layout.start) * bert.hidden_size,
            config.memory_looks,
            config.memory_tokens,
            bert.vocab_size,
            bert.pad_token_id or 0,
        )

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.logit_scale, LOGIT_SCALE)

    def encode_image(self, pixel_values: Tensor) -> ImageOutput:
        """Locked portions (B, 3, S, S) alone; the vectors are enhanced by the memory."""
        output = self.encode_image_plain(pixel_values)
        return output._replace(vectors=self.enhance_images(output.vectors))

    def encode_image_plain(self, pixel_values: Tensor) -> ImageOutput:
        """Locked portions (B, 3, S, S) alone, without the memory; with ``config.mirror`` as seen from both sides."""
        output = self.kaleidobert.encode_image(pixel_values)
        if not self.config.mirror:
            return output
        mirrored = self.kaleidobert.encode_image(pixel_values.flip(-1)).vectors
        return output._replace(vectors=F.normalize(output.vectors + mirrored, dim=-1))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextOutput:
        """Tokens (B, T) with their mask alone; the vectors are enhanced by the memory."""
        output = self.kaleidobert.encode_text(input_ids, attention_mask)
        return output._replace(vectors=self.enhance_texts(output.vectors))

    def remember(
        self, images: Tensor, texts: Tensor, layouts: Tensor | None = None, tokens: Tensor | None = None
    ) -> None:
        """Make these plain vectors (M, V) of training products the model's memory.

        With them their photos' `layouts` (M, F) and their texts' tokens (M, L), padded, where both are given.
        """
        config = self.config
        self.memory.fill(images, texts)
        config.memory_pairs, config.memory_looks, config.memory_tokens = len(images), 0, 0
        if layouts is not None and tokens is not None:
            self.looks.fill(layouts, tokens)
            config.memory_looks, config.memory_tokens = self.looks.basis.shape[1], tokens.shape[1]

    def layouts(self, patches: Tensor) -> Tensor:
        """Embedded patches (B, P, H) -> what a look is made of (B, F)."""
        return patches[:, layout_slice(self.config.level_table)].flatten(1)

    def recall(self, patches: Tensor, photos: Tensor | None = None) -> Neighbours | None:
        """What photos with these embedded patches (N, P, H) remind of, of each pair's photo; see `joint_scores`."""
        recalled = self.looks.recall(self.layouts(patches), self.config.layout_neighbours)
        return recalled if recalled is None or photos is None else Neighbours(*(part[photos] for part in recalled))

    def enhance_images(self, vectors: Tensor) -> Tensor:
        """Photos' plain vectors (B, V) -> what is stored and searched."""
        weight, neighbours = self.config.memory_weight, self.config.memory_neighbours
        return self.memory.enhance_images(vectors, self.scale(), weight, neighbours)

    def enhance_texts(self, vectors: Tensor) -> Tensor:
        """Texts' plain vectors (B, V) -> what is stored and searched."""
        weight, neighbours = self.config.memory_weight, self.config.memory_neighbours
        return self.memory.enhance_texts(vectors, self.scale(), weight, neighbours)

    def scale(self) -> Tensor:
        """1 / temperature of the contrastive scores, at most 100."""
        return self.logit_scale.exp().clamp(max=100)

    def image_hubness(self, vectors: Tensor) -> Tensor:
        """How near photos with these vectors (B, V) are to texts at large, (B,), in units of the cosine."""
        return self.memory.image_hubness(vectors, self.scale())

    def text_hubness(self, vectors: Tensor) -> Tensor:
        """How near texts with these vectors (B, V) are to photos at large, (B,), in units of the cosine."""
        return self.memory.text_hubness(vectors, self.scale())

    def weighted_sum(self, parts: dict[str, Tensor]) -> Tensor:
        """The total loss, equation 8, with ``config.loss_weights``; the plain sum where it names none."""
        weights = self.config.loss_weights
        return torch.stack([loss_weight(weights, name) * part for name, part in parts.items()]).sum()

    def joint_scores(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patches: Tensor,
        photos: Tensor | None = None,
        priors: Tensor | None = None,
    ) -> Tensor:
        """How well texts (B, T) and embedded patches (B, P, H) match, (B,), by ``config.joint_scorer`` and the looks.

        "matching" is ITM's logit; "reading" log p(text | photo) - ``config.prior_weight`` * log p(text) in nats. Its
        second term compares texts fairly: without it, a common text would fit every photo (pointwise mutual
        information where its weight is 1, as in VisualGPTScore: Lin et al., ICML 2024). Of the first,
        ``config.neighbour_word_weight`` is what the texts of photos that look alike say. To either ``config.neighbour_pmi_weight``
        times how far text and photo remind of the same products is added (see `scoring.layout_memory`).

        Where few photos have many texts, patches are (N, P, H) and ``photos`` (B,) tells each text's row. ``priors``
        (B, 2): the texts' `text_log_prior`, where they are known.
        """
        config = self.config
        if config.joint_scorer == "matching" and not config.neighbour_pmi_weight:
            return self._match_logits(input_ids, attention_mask, patches, photos)
        if priors is None:
            priors = self.text_log_prior(input_ids, attention_mask)
        alone, common = priors.T
        recalled = self.recall(patches, photos) if config.neighbour_word_weight or config.neighbour_pmi_weight else None
        if config.joint_scorer == "matching":
            scores = self._match_logits(input_ids, attention_mask, patches, photos)
        else:
            weights = (config.neighbour_word_weight,)
            read = self.caption_log_likelihood(input_ids, attention_mask, patches, photos, recalled, weights)[:, 0]
            scores = read - config.prior_weight * alone
        if recalled is None or not config.neighbour_pmi_weight:
            return scores
        return scores + config.neighbour_pmi_weight * (self.looks.neighbour_text_pmi(input_ids, recalled) - common)

    def _match_logits(
        self, input_ids: Tensor, attention_mask: Tensor, patches: Tensor, photos: Tensor | None
    ) -> Tensor:
        """ITM's logits (B,)."""
        tokens = self.kaleidobert.embed_tokens(input_ids, attention_mask)
        own = patches if photos is None else patches[photos]
        return self.matching(self.kaleidobert.encode_pair(tokens, attention_mask, own).tokens[:, 0]).float()

    def caption_log_likelihood(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patches: Tensor,
        photos: Tensor | None,
        recalled: Neighbours | None,
        word_weights: Sequence[float],
    ) -> Tensor:
        """log p(text | photo), (B, W) in nats, with each of W weights of the words of what is recalled."""
        cache = self.kaleidobert.look(patches)
        if photos is not None:
            cache.batch_select_indices(photos)
        return self._log_probability(input_ids, attention_mask, cache, recalled, word_weights)

    def text_log_prior(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Of texts (B, T) without a photo, (B, 2) in nats: log p(text), and how common they are in the memory."""
        texts = torch.cat([input_ids, attention_mask], dim=1)
        alone, which = torch.unique(texts, dim=0, return_inverse=True)  # a text of many pairs is read once
        ids, mask = alone.chunk(2, dim=1)
        read = self._log_probability(ids, mask, DynamicCache())[:, 0]
        return torch.stack([read, self.looks.commonness(ids)], dim=1)[which]

    def _log_probability(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: DynamicCache,
        recalled: Neighbours | None = None,
        word_weights: Sequence[float] = (0.0,),
    ) -> Tensor:
        """Of texts (B, T) after what is in the cache and beside what is recalled, (B, W) in nats."""
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, cache)
        read = -F.cross_entropy(self.masked_tokens(states).float(), tokens, reduction="none")
        said = attention_mask[:, 1:].bool()
        told = self.looks.words(input_ids, recalled)[said] if recalled and any(word_weights) else None
        sums = []
        for weight in word_weights:
            mixed = read if told is None or not weight else ((1 - weight) * read.exp() + weight * told).log()
            each = mixed.new_zeros(said.shape).masked_scatter(said, mixed)
            sums.append(each.double().sum(dim=1).float())  # exact, however far the batch is padded: equal texts tie
        return torch.stack(sums, dim=1)

    def captioning_loss(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        patches: Tensor,
        text_only: Tensor,
        shard: BatchShard = WHOLE_BATCH,
    ) -> Tensor:
        """LM of texts (B, T) after their photos' patches (B, P, H), or without them where ``text_only`` (B,)."""
        cache = self.kaleidobert.look(patches)
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, cache, text_only)
        return captioning_loss(self.masked_tokens(states).float(), tokens) * shard.weight(tokens)

    def match(
        self,
        tokens: Tensor,
        attention_mask: Tensor,
        patches: Tensor,
        similarity: Tensor,
        text_group: Tensor,
        draws: Tensor,
        grade: int = NEAREST,
        subcategory: Tensor | None = None,
        shard: BatchShard = WHOLE_BATCH,
    ) -> MatchingOutput:
        """ITM on n products: each with its own text, with a wrong text, and with a wrong photo.

        tokens (B, T, H) and attention_mask (B, T) of the batch, patches (n, P, H) of its first n products;
        similarity (B, B) scaled contrastive scores, a row an image; draws (2, n) pick the negatives of this grade (see
        `draw_negatives`); subcategory (B,), equal for products of one. Products with equal texts are never negatives.
        Of a shard batch, draws and the outcome are of those among the n that this process holds.
        """
        n = len(patches)
        forbidden = equal_texts(text_group) | torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
        rows = torch.arange(n, device=tokens.device)[shard.rows]
        unlike = torch.zeros_like(forbidden) if subcategory is None else subcategory[:, None] != subcategory[None, :]
        scores = similarity.detach()
        wrong_text = draw_negatives(scores[rows], forbidden[rows], draws[0], grade, unlike[rows])
        wrong_photo = draw_negatives(scores.T[rows, :n], forbidden[rows, :n], draws[1], grade, unlike[rows, :n])
        texts, photos = torch.cat([rows, wrong_text, rows]), torch.cat([rows, rows, wrong_photo])
        # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
        joint = self.kaleidobert.encode_pair(
            tokens.index_select(0, texts), attention_mask[texts], patches.index_select(0, photos)
        )
        own = len(rows)
        matches = torch.arange(3 * own, device=tokens.device) < own
        valid = torch.cat([rows >= 0, ~forbidden[rows].all(dim=1), ~forbidden[rows, :n].all(dim=1)])
        logits = self.matching(joint.tokens[:, 0]).float()
        right = (logits > 0) == matches
        return MatchingOutput(
            loss=matching_loss(logits[valid], matches[valid].float()) * shard.weight(logits[valid]),
            accuracy=(shard.mean(right[:own]) + shard.mean(right[own:][valid[own:]])) / 2,
            joint=PairOutput(tokens=joint.tokens[:own], patches=joint.patches[:own]),
        )

    def similarity(self, cosine: Tensor, hubness: Tensor) -> Tensor:
        """What vectors alone rank by: the cosine less ``hubness_weight`` times the hubness of photo and text."""
        return cosine - self.config.hubness_weight * hubness

    def combined_scores(self, similarity: Tensor, joint: Tensor, way: str = "TIR") -> Tensor:
        """What the search application ranks by: similarity / temperature + joint_weight * joint score.

        ``way``: TIR, photos for a text, or ITR, texts for a photo, whose weight is joint_weight_itr.
        """
        weight = self.config.joint_weight_itr if way == "ITR" else None
        return self.scale() * similarity + (self.config.joint_weight if weight is None else weight) * joint
