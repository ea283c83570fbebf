"""Pre-training: contrastive, AMLM, ITM and one pretext task a level, summed (SEED: equations 1 to 8).

A step compares all pairs of the batch by their vectors, which is cheap, and sends the first n products through
the joint entry, corrupted and masked, which is dear: once with their own text, once with a wrong text and once
with a wrong photo. Masks and corruptions are applied alike to all three, or they would give ITM's label away;
only the matching pairs train the other objectives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization
from transformers.modeling_outputs import ModelOutput

from kaleidobert.levels import Level, level_slices
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.heads import MaskedTokenHead, PretextHead
from kaleidobert.model.losses import (
    NO_LABEL,
    TASK_LOSS,
    contrastive_loss,
    feature_divergence,
    masked_token_loss,
)
from kaleidobert.model.retrieval import KaleidoBertScoring
from kaleidobert.model.split import WHOLE, Split
from kaleidobert.vision.corruptions import (
    blank_patches,
    camouflage_patches,
    grey_cells,
    jigsaw_orders,
    permute_patches,
    rotate_cells,
)


@dataclass
class PreTrainingOutput(ModelOutput):
    """loss: the weighted sum; parts: each loss by name; accuracies: of ITM and the pretext classifications."""

    loss: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class KaleidoBertForPreTraining(KaleidoBertScoring):
    """`KaleidoBertForRetrieval`'s parts with the heads of the other objectives."""

    match_accuracy: Tensor
    hard_negatives: Tensor
    _tied_weights_keys = {"masked_tokens.decoder.weight": "kaleidobert.bert.embeddings.word_embeddings.weight"}

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        feature_size = self.kaleidobert.patch_encoder.feature_size
        self.masked_tokens = MaskedTokenHead(config.encoder_config)
        self.pretext = nn.ModuleDict(
            {
                str(index): PretextHead(config.encoder_config, level, feature_size)
                for index, level in enumerate(config.level_table)
                if level.task
            }
        )
        # Negatives turn from random to hard for good once pair accuracy has been good enough for a while.
        self.register_buffer("match_accuracy", torch.tensor(0.5))
        self.register_buffer("hard_negatives", torch.tensor(False))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.match_accuracy, 0.5)
            initialization.constant_(self.hard_negatives, False)

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
        hidden_patches: Tensor | None = None,
        draws: Tensor | None = None,
    ) -> PreTrainingOutput:
        """One step's losses on B products (field by field as `training.collator` makes them).

        pixel_values (B, 3, S, S); input_ids, attention_mask, masked_ids (B, T); text_group (B,) equal for equal
        texts. Of the first n products, which go through the joint entry (none where ``draws`` is None):
        token_labels (n, T), -100 where not hidden; level_labels (n, N), -100 for regressions; hidden_patches
        (n, P) bool; draws (2, n) uniform in [0, 1), which pick the negatives. In training under `torchrun`, B and
        n are this process's share of the batch (see `split`), and the losses averaged over processes the batch's.
        """
        image = self.kaleidobert.image_entry(pixel_values)
        text = self.kaleidobert.text_entry(input_ids, attention_mask)
        split = Split.here(self.training)
        images, texts, groups = map(split.gather, (image.vectors, text.vectors, text_group))
        parts = {"contrastive": contrastive_loss(images, texts, self.scale(), groups)}
        accuracies: dict[str, Tensor] = {}
        n = 0 if draws is None else draws.shape[1]
        if n * split.processes >= 2:
            joint = (masked_ids, token_labels, level_labels, hidden_patches, draws)
            if any(part is None for part in joint):
                raise ValueError(
                    "the joint objectives need masked_ids, token_labels, level_labels, hidden_patches, draws"
                )
            masked_ids, token_labels, level_labels, hidden_patches, draws = cast(tuple[Tensor, ...], joint)
            corrupted = self._corrupt(pixel_values[:n], image.features[:n], level_labels, hidden_patches, split)
            patches = self.kaleidobert.embed_patches(corrupted)
            tokens = self.kaleidobert.embed_tokens(masked_ids, attention_mask)
            similarity = self.scale() * images @ texts.T
            tokens, mask, patches = map(split.gather, (tokens, attention_mask, patches))
            hard = bool(self.hard_negatives)
            matched = self.match(tokens, mask, patches, similarity, groups, draws, hard, split)
            self._follow(matched.accuracy)
            parts["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
            parts["AMLM"] = self._masked_token_loss(matched.joint.tokens, token_labels, split)
            self._pretext(matched.joint.patches, image.features[:n], level_labels, hidden_patches, parts, accuracies)
        return PreTrainingOutput(loss=self.weighted_sum(parts), parts=parts, accuracies=accuracies)

    def _levels(self) -> list[tuple[int, Level, slice]]:
        levels = self.config.level_table
        return [(i, level, where) for i, (level, where) in enumerate(zip(levels, level_slices(levels), strict=True))]

    def _corrupt(
        self, pixels: Tensor, features: Tensor, labels: Tensor, hidden: Tensor, split: Split = WHOLE
    ) -> Tensor:
        """Every level's task applied: features (n, P, D) -> corrupted features (n, P, D)."""
        corrupted = []
        for index, level, where in self._levels():
            own, chosen = features[:, where], hidden[:, where]
            if level.task == "rotation":
                turned = rotate_cells(fit_grid(pixels, level.grid), level.grid, labels[:, index])
                own = self._corrupted_features(turned, level)
            elif level.task == "jigsaw":
                own = permute_patches(own, jigsaw_orders(level.patches).to(own.device)[labels[:, index]])
            elif level.task == "camouflage":
                everyone, all_chosen = split.gather(own), split.gather(chosen)
                source = torch.arange(len(everyone), device=own.device).roll(1)
                own = camouflage_patches(everyone, all_chosen, source)[split.rows]
            elif level.task == "grey":
                grey = self._corrupted_features(grey_cells(pixels, level.grid, chosen), level)
                own = torch.where(chosen.unsqueeze(-1), grey, own)
            elif level.task == "blank":
                own = blank_patches(own, chosen)
            corrupted.append(own)
        return torch.cat(corrupted, dim=1)

    def _corrupted_features(self, pixels: Tensor, level: Level) -> Tensor:
        encoder = self.kaleidobert.patch_encoder
        with frozen_statistics(encoder):
            features = encoder(pixels, [level])
        return F.layer_norm(features.float(), features.shape[-1:])

    def _follow(self, accuracy: Tensor) -> None:
        """Keep a running pair accuracy, and turn to hard negatives once it is good enough."""
        if self.training and torch.isfinite(accuracy):
            self.match_accuracy.lerp_(accuracy.detach(), 0.02)
            self.hard_negatives.logical_or_(self.match_accuracy > self.config.hard_negatives_from)

    def _masked_token_loss(self, states: Tensor, labels: Tensor, split: Split = WHOLE) -> Tensor:
        chosen = labels != NO_LABEL
        loss = masked_token_loss(self.masked_tokens(states[chosen]).float(), labels[chosen])
        return loss * split.weight(labels[chosen])

    def _pretext(
        self,
        states: Tensor,
        features: Tensor,
        labels: Tensor,
        hidden: Tensor,
        parts: dict[str, Tensor],
        accuracies: dict[str, Tensor],
    ) -> None:
        for index, level, where in self._levels():
            if not level.task:
                continue
            name = TASK_LOSS[level.task]
            output = self.pretext[str(index)](states[:, where]).float()
            if level.labels:
                loss = F.cross_entropy(output, labels[:, index])
                accuracies[name] = (output.argmax(dim=1) == labels[:, index]).float().mean()
            else:
                chosen = hidden[:, where]
                loss = feature_divergence(output[chosen], features[:, where][chosen], self.config.kl_temperature)
                loss = loss * Split.here(self.training).weight(output[chosen])
            parts[name] = parts[name] + loss if name in parts else loss  # one task may serve several levels


def fit_grid(pixels: Tensor, grid: int) -> Tensor:
    """Enlarge (B, C, S, S) to the next side that the grid divides, so that cells can be turned exactly."""
    side = pixels.shape[-1]
    fitted = -(-side // grid) * grid
    return pixels if fitted == side else F.interpolate(pixels, (fitted, fitted), mode="bilinear")


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[Any]:
    """Corrupted photos are encoded with the batch statistics of whole ones, and leave them alone."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
