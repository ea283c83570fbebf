from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.modeling_outputs import ModelOutput

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.losses import NEAREST, NO_LABEL, RANDOM, contrastive_loss, masked_token_loss, unigram_loss
from kaleidobert.model.pretext_objectives import (
    corrupt_levels,
    corrupt_photos,
    encoded,
    pretext_heads,
    pretext_losses,
    pretext_references,
)
from kaleidobert.scoring.pair_scorer import KaleidoBertScoring, query_inputs


@dataclass
class PreTrainingOutput(ModelOutput):
    """loss: the weighted sum; parts: each loss by name; accuracies: of ITM and the pretext classifications.

    references: outside training, what predictors reach that know nothing of products (see `model.pretext_objectives`).
    """

    loss: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None
    references: dict[str, Tensor] | None = None


class KaleidoBertForPreTraining(KaleidoBertScoring):
    """`KaleidoBertForRetrieval`'s parts with the heads of the other objectives."""

    match_accuracy: Tensor
    negatives: Tensor

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        feature_size = self.kaleidobert.patch_encoder.feature_size
        self.pretext = pretext_heads(config.level_table, config.encoder_config, feature_size)
        # The grade of ITM's negatives: one harder, for good, each time that pair accuracy has been good enough.
        self.register_buffer("match_accuracy", torch.tensor(0.5))
        self.register_buffer("negatives", torch.tensor(RANDOM))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.match_accuracy, 0.5)
            initialization.constant_(self.negatives, RANDOM)

    def get_output_embeddings(self) -> nn.Linear:
        return self.masked_tokens.decoder

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        text_group: Tensor,
        masked_ids: Tensor | None = None,
        token_labels: Tensor | None = None,
        level_labels: Tensor | None = None,
        masked_patches: Tensor | None = None,
        draws: Tensor | None = None,
        subcategory: Tensor | None = None,
        text_only: Tensor | None = None,
        kept_patches: Tensor | None = None,
        query_ids: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> PreTrainingOutput:
        """One step's losses on B products (field by field as `training.collators` makes them).

        pixel_values (B, 3, S, S), or the tables that stand for them (see `stored`); input_ids, attention_mask,
        masked_ids (B, T); text_group (B,) equal for equal texts. Of the first n products, which go through the joint
        entry (none where ``draws`` is None): token_labels (n, T), -100 where not hidden; level_labels (n, N), -100
        for regressions; masked_patches (n, P) bool; draws (2, n) uniform in [0, 1), which pick the negatives;
        subcategory (B,), equal for products of one, as ITM's negatives are graded: random, of the same sub-category,
        nearest by the vectors. LM is of the whole batch, without the photos of ``text_only`` (B,). ``kept_patches`` (B, K)
        are those that vectors and LM see, query_ids and query_mask (B, Q) what the texts' vectors are of. In training
        under `torchrun`, B and n are this process's share of the batch (see `shard`), and the losses averaged over
        processes the batch's.
        """
        image = self.kaleidobert.encode_image(pixel_values, kept_patches)
        text = self.kaleidobert.encode_text(*query_inputs(input_ids, attention_mask, query_ids, query_mask))
        shard = BatchShard.here(self.training)
        images, texts, groups = map(shard.gather, (image.vectors, text.vectors, text_group))
        parts = {"contrastive": contrastive_loss(images, texts, self.scale(), groups)}
        accuracies: dict[str, Tensor] = {}
        references: dict[str, Tensor] = {}
        n = 0 if draws is None else draws.shape[1]
        if n * shard.processes >= 2:
            joint = (masked_ids, token_labels, level_labels, masked_patches, draws)
            if any(part is None for part in joint):
                raise ValueError(
                    "the joint objectives need masked_ids, token_labels, level_labels, masked_patches, draws"
                )
            masked_ids, token_labels, level_labels, masked_patches, draws = cast(tuple[Tensor, ...], joint)
            corrupted = self._corrupt(pixel_values[:n], image.features[:n], level_labels, masked_patches, shard)
            patches = self.kaleidobert.embed_patches(corrupted)
            tokens = self.kaleidobert.embed_tokens(masked_ids, attention_mask)
            similarity = self.scale() * images @ texts.T
            tokens, mask, patches = map(shard.gather, (tokens, attention_mask, patches))
            kinds = None if subcategory is None else shard.gather(subcategory)
            grade = int(self.negatives)
            matched = self.match(tokens, mask, patches, similarity, groups, draws, grade, kinds, shard)
            self._follow(matched.accuracy)
            parts["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
            parts["AMLM"] = self._masked_token_loss(matched.joint.tokens, token_labels, shard)
            asked = (image.features[:n], level_labels, masked_patches, self.config.kl_temperature)
            levels = self.config.level_table
            losses, shares = pretext_losses(self.pretext, levels, matched.joint.patches, *asked, shard)
            parts, accuracies = parts | losses, accuracies | shares
            if text_only is not None and self.config.loss_weights.get("LM", 1.0):
                parts["LM"] = self.captioning_loss(input_ids, attention_mask, image.patches, text_only, shard)
            if not self.training:
                references = pretext_references(levels, corrupted, *asked)
                references["ITM_accuracy_chance"] = torch.tensor(0.5)
                labels = token_labels[token_labels != NO_LABEL]
                vocabulary = self.config.encoder_config.vocab_size
                references["AMLM_chance"] = unigram_loss(input_ids, attention_mask, labels, vocabulary)
                if "LM" in parts:
                    blind = torch.ones_like(text_group, dtype=torch.bool)
                    references["LM_blind"] = self.captioning_loss(input_ids, attention_mask, image.patches, blind)
        return PreTrainingOutput(
            loss=self.weighted_sum(parts), parts=parts, accuracies=accuracies, references=references
        )

    def _corrupt(
        self, pixels: Tensor, features: Tensor, labels: Tensor, hidden: Tensor, shard: BatchShard = WHOLE_BATCH
    ) -> Tensor:
        """Features (n, P, D) of what the joint entry sees."""
        encoder, levels = self.kaleidobert.patch_encoder, self.config.level_table
        if self.config.corruption == "levels":
            return corrupt_levels(encoder, levels, pixels, features, labels, hidden, shard)
        return encoded(encoder, corrupt_photos(levels, pixels, labels, hidden, encoder.mean, shard), levels)

    def _follow(self, accuracy: Tensor) -> None:
        """Keep a running pair accuracy; once it is good enough, negatives get harder and it starts anew."""
        if self.training and torch.isfinite(accuracy):
            self.match_accuracy.lerp_(accuracy.detach(), 0.02)
            if self.negatives < NEAREST and self.match_accuracy > self.config.hard_negatives_from:
                self.negatives.add_(1)
                self.match_accuracy.fill_(0.5)

    def _masked_token_loss(self, states: Tensor, labels: Tensor, shard: BatchShard = WHOLE_BATCH) -> Tensor:
        chosen = labels != NO_LABEL
        loss = masked_token_loss(self.masked_tokens(states[chosen]).float(), labels[chosen])
        return loss * shard.weight(labels[chosen])
