"""Pre-training with the seven objectives of the publication, a contrastive one and LM (patent: equations 1 to 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import initialization

from kaleidobert.levels import Level
from kaleidobert.model.candidates import ListInputs, fitting_pairs, itm_negatives, own_rows
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.losses import (
    NEAREST,
    NO_LABEL,
    RANDOM,
    contrastive_loss,
    draw_negatives,
    masked_token_loss,
    unigram_loss,
)
from kaleidobert.model.objectives import LENDERS, Objectives
from kaleidobert.model.outputs import KaleidoBertTrainingOutput
from kaleidobert.model.pair_model import KaleidoBertPairModel, query_inputs
from kaleidobert.model.pretext_objectives import (
    borrowed,
    corrupt_levels,
    corrupt_photos,
    encoded,
    pretext_heads,
    pretext_losses,
    pretext_references,
)
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS, borrowing

Losses = dict[str, Tensor]


class JointBatch(NamedTuple):
    """The first n products of a batch, which the joint objectives use; fields as in `forward`."""

    masked_ids: Tensor
    token_labels: Tensor
    level_labels: Tensor
    masked_patches: Tensor
    negative_draws: Tensor
    lender_draws: Tensor


class KaleidoBertForPreTraining(KaleidoBertPairModel):
    """The pair model with a head for each level's pretext task."""

    match_accuracy: Tensor
    negatives: Tensor

    def __init__(self, config: KaleidoBertConfig, objectives: Objectives | None = None) -> None:
        super().__init__(config, objectives)
        feature_size = self.kaleidobert.patch_encoder.feature_size
        self.pretext_heads = pretext_heads(config.level_table, config.encoder_config, feature_size)
        # Difficulty of ITM's negatives: raised, never lowered, whenever pair accuracy is high enough.
        self.register_buffer("match_accuracy", torch.tensor(0.5))
        self.register_buffer("negatives", torch.tensor(RANDOM))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.match_accuracy, 0.5)
            initialization.constant_(self.negatives, RANDOM)

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
        negative_draws: Tensor | None = None,
        lender_draws: Tensor | None = None,
        subcategory: Tensor | None = None,
        text_only: Tensor | None = None,
        visible_patches: Tensor | None = None,
        query_ids: Tensor | None = None,
        query_mask: Tensor | None = None,
        facts: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> KaleidoBertTrainingOutput:
        """The losses of one batch of B products, as `training.collators` makes it.

        All products: pixel_values (B, 3, S, S), or cached features in their place; input_ids, attention_mask and
        masked_ids (B, T); text_group (B,), equal for equal texts; visible_patches (B, K), the patches that embeddings,
        LM and listwise ITM use; query_ids and query_mask (B, Q), the shortened texts that embeddings and listwise ITM
        use; facts and asked (B, F), see `losses.also_fitting`; text_only (B,) bool, texts whose photo is hidden from
        LM, without which LM is not trained.

        The first n, for the joint objectives (none without ``negative_draws``): token_labels (n, T), -100 where not
        masked; level_labels (n, N), -100 for tasks on patches; masked_patches (n, P) bool; negative_draws (2, n) and
        lender_draws (n,), uniform in [0, 1); subcategory (B,), equal within a sub-category. ITM's negatives and the
        lenders of patches are random, of the same sub-category, or nearest by embeddings.

        Under `torchrun`, B and n are this process's share of the batch (see `distributed`), and the losses averaged
        over processes are those of the whole batch.
        """
        encoder, weight, shard = self.kaleidobert, self.objectives.weight, BatchShard.here(self.training)
        losses: Losses = {}
        accuracies: Losses = {}
        references: Losses = {}
        images, patches, similarity, listed = None, None, None, None
        if self._needs_embeddings():
            image = encoder.encode_image(pixel_values, visible_patches)
            query_ids, query_mask = query_inputs(input_ids, attention_mask, query_ids, query_mask)
            text = encoder.encode_text(query_ids, query_mask)
            images, texts = shard.gather(image.image_embeds), shard.gather(text.text_embeds)
            also_fit = fitting_pairs(text_group, facts, asked, shard)
            features, patches, similarity = image.patch_features, image.patch_states, self.scale() * images @ texts.T
            if weight("contrastive"):
                losses["contrastive"] = contrastive_loss(images, texts, self.scale(), also_fit)
            same_text = fitting_pairs(text_group, None, None, shard)
            listed = ListInputs(text.token_states, query_mask, similarity, also_fit, same_text)
        else:
            features = encoder.patch_features(pixel_values)
        n = 0 if negative_draws is None else negative_draws.shape[1]
        if n * shard.processes >= 2:
            parts = (masked_ids, token_labels, level_labels, masked_patches, negative_draws, lender_draws)
            if any(part is None for part in parts):
                raise ValueError("the joint objectives need " + ", ".join(JointBatch._fields))
            joint = JointBatch(*parts)  # type: ignore[arg-type]  # none of them is None
            if self._needs_single_stream():
                kinds = None if subcategory is None else shard.gather(subcategory)
                lenders = self._lenders(images, kinds, joint.lender_draws, shard) if borrowing(self.levels) else None
                corrupted = self._corrupt(pixel_values[:n], features[:n], joint, lenders, shard)
                states, length = self._single_stream(
                    joint, attention_mask, corrupted, similarity, text_group, kinds, losses, accuracies, shard
                )
                if weight("AMLM"):
                    losses["AMLM"] = self._masked_token_loss(states[:, :length], joint.token_labels, shard)
                inputs = (features[:n], joint.level_labels, joint.masked_patches, self.objectives.kl_temperature)
                found = pretext_losses(self.pretext_heads, self.levels, states[:, length:], *inputs, shard)
                losses, accuracies = losses | found[0], accuracies | found[1]
                if not self.training:
                    references |= pretext_references(self.levels, corrupted, *inputs)
                    references |= self._references(input_ids, attention_mask, joint)
        listed = listed if n * shard.processes >= 2 and self.ranks_lists else None
        if listed or (text_only is not None and weight("LM")):
            patches = encoder.embed_patches(features, visible_patches) if patches is None else patches
            pairs = input_ids, attention_mask, patches
            found = self.prefix_losses(*pairs, text_only, listed, shard)
            losses, accuracies = losses | found[0], accuracies | found[1]
            if not self.training and text_only is not None and weight("LM"):
                found = self.prefix_losses(*pairs, torch.ones_like(text_only))
                references["LM_blind"] = found[0]["LM"]
        return KaleidoBertTrainingOutput(
            loss=self.objectives.total(losses), losses=losses, accuracies=accuracies, references=references
        )

    @property
    def levels(self) -> Sequence[Level]:
        """The table of levels, without a task where its loss has weight 0."""
        return active_levels(self.config.level_table, self.objectives)

    def _needs_embeddings(self) -> bool:
        """Whether a loss compares them, or draws other products by their likeness."""
        weight, objectives = self.objectives.weight, self.objectives
        negatives = weight("ITM") and int(self.negatives) == NEAREST
        lenders = LENDERS[objectives.lender] == NEAREST and borrowing(self.levels)
        return bool(weight("contrastive") or negatives or lenders or self.ranks_lists)

    def _needs_single_stream(self) -> bool:
        weight = self.objectives.weight
        return bool(
            (weight("ITM") and not self.lists_itm) or weight("AMLM") or any(level.task for level in self.levels)
        )

    def _single_stream(
        self,
        joint: JointBatch,
        attention_mask: Tensor,
        corrupted: Tensor,
        similarity: Tensor | None,
        text_group: Tensor,
        subcategory: Tensor | None,
        losses: Losses,
        accuracies: Losses,
        shard: BatchShard,
    ) -> tuple[Tensor, int]:
        """Last states (n, T + P, H) of the matching pairs, and T; adds the ITM loss if it is binary."""
        patches = self.kaleidobert.embed_patches(corrupted)
        tokens = self.kaleidobert.embed_tokens(joint.masked_ids, attention_mask)
        tokens, mask, patches = map(shard.gather, (tokens, attention_mask, patches))
        if not self.objectives.weight("ITM") or self.lists_itm:
            rows = own_rows(len(patches), shard, patches.device)
            return self.encode_pairs(tokens, mask, patches, rows, rows), tokens.shape[1]
        grade, draws = int(self.negatives), joint.negative_draws
        same = fitting_pairs(text_group, None, None, shard)
        negatives = itm_negatives(similarity, same, draws, len(patches), grade, subcategory, shard)
        matched = self.match(tokens, mask, patches, negatives, shard)
        self._follow(matched.accuracy)
        losses["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
        return matched.states, tokens.shape[1]

    def _references(self, input_ids: Tensor, attention_mask: Tensor, joint: JointBatch) -> Losses:
        """ITM and AMLM of predictors without any knowledge of the product."""
        found: Losses = {}
        if self.objectives.weight("ITM"):
            found["ITM_accuracy_chance"] = torch.tensor(1 / (self.objectives.candidates if self.lists_itm else 2))
        if self.objectives.weight("AMLM"):
            labels = joint.token_labels[joint.token_labels != NO_LABEL]
            vocabulary = self.config.encoder_config.vocab_size
            found["AMLM_chance"] = unigram_loss(input_ids, attention_mask, labels, vocabulary)
        return found

    def _lenders(self, images: Tensor | None, subcategory: Tensor | None, draws: Tensor, shard: BatchShard) -> Tensor:
        """The product that lends patches to each of this process's n joint products: indices (n,), never its own.

        images (B, V): the whole batch's embeddings, if there are any; subcategory (B,); draws (n,) in [0, 1).
        """
        count = len(draws) * shard.processes
        rows = own_rows(count, shard, draws.device)
        itself = torch.eye(count, dtype=torch.bool, device=draws.device)[rows]
        grade = LENDERS[self.objectives.lender]
        similarity = torch.zeros(itself.shape, device=draws.device)
        if images is not None and grade == NEAREST:
            similarity = (self.scale() * images[rows] @ images[:count].T).detach()
        unlike = None if subcategory is None else subcategory[rows, None] != subcategory[None, :count]
        return draw_negatives(similarity, itself, draws, grade, unlike)

    def _corrupt(
        self, pixels: Tensor, features: Tensor, joint: JointBatch, lenders: Tensor | None, shard: BatchShard
    ) -> Tensor:
        """The corrupted patch features (n, P, D)."""
        encoder, levels = self.kaleidobert.patch_encoder, self.levels
        labels, masked, by_level = joint.level_labels, joint.masked_patches, self.objectives.corruption == "levels"
        lent = None if lenders is None else borrowed(features if by_level else pixels, lenders, shard)
        if by_level:
            return corrupt_levels(encoder, levels, pixels, features, labels, masked, lent)
        return encoded(encoder, corrupt_photos(levels, pixels, labels, masked, encoder.mean, lent), levels)

    def _follow(self, accuracy: Tensor) -> None:
        """Update the running accuracy of ITM; at ``hard_negatives_from``, make negatives harder and restart it."""
        if self.training and torch.isfinite(accuracy):
            self.match_accuracy.lerp_(accuracy.detach(), 0.02)
            if self.negatives < NEAREST and self.match_accuracy > self.objectives.hard_negatives_from:
                self.negatives.add_(1)
                self.match_accuracy.fill_(0.5)

    def _masked_token_loss(self, states: Tensor, labels: Tensor, shard: BatchShard) -> Tensor:
        chosen = labels != NO_LABEL
        loss = masked_token_loss(self.lm_head(states[chosen]).float(), labels[chosen])
        return loss * shard.weight(labels[chosen])


def active_levels(levels: Sequence[Level], objectives: Objectives) -> tuple[Level, ...]:
    """The table of levels, without a task where its loss has weight 0."""
    wanted = [level.task and objectives.weight(PRETEXT_TASKS[level.task].abbreviation) for level in levels]
    return tuple(level if each else Level(level.grid) for level, each in zip(levels, wanted, strict=True))
