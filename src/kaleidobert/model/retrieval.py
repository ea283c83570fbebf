"""Image-text retrieval: contrastive vectors for recall, the joint entry for re-ranking (SEED: FIG. 1, ITR, TIR)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.heads import MatchingHead
from kaleidobert.model.modeling import (
    ImageEntryOutput,
    KaleidoBertModel,
    KaleidoBertPreTrainedModel,
    TextEntryOutput,
)


class KaleidoBertForRetrieval(KaleidoBertPreTrainedModel):
    """The encoder with its matching head; loads pre-training runs and fine-tuned runs alike."""

    _keys_to_ignore_on_load_unexpected = [r"^masked_tokens\.", r"^pretext\.", r"^hard_negatives$", r"^match_accuracy$"]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.matching = MatchingHead(config.encoder_config)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.post_init()

    def image_entry(self, pixel_values: Tensor) -> ImageEntryOutput:
        return self.kaleidobert.image_entry(pixel_values)

    def text_entry(self, input_ids: Tensor, attention_mask: Tensor) -> TextEntryOutput:
        return self.kaleidobert.text_entry(input_ids, attention_mask)

    def scale(self) -> Tensor:
        """1 / temperature of the contrastive scores, at most 100."""
        return self.logit_scale.exp().clamp(max=100)

    def joint_scores(self, tokens: Tensor, attention_mask: Tensor, patches: Tensor) -> Tensor:
        """Match logits (B,) of embedded tokens (B, T, H) with embedded patches (B, P, H)."""
        joint = self.kaleidobert.joint_entry(tokens, attention_mask, patches)
        return self.matching(joint.tokens[:, 0]).float()

    def combined_scores(self, cosine: Tensor, joint: Tensor) -> Tensor:
        """What the search application ranks by: cosine / temperature + joint_weight * match logit."""
        return self.scale() * cosine + self.config.joint_weight * joint

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Combined scores (B,) of photos (B, 3, S, S) with their own row's text (B, T)."""
        image = self.image_entry(pixel_values)
        text = self.text_entry(input_ids, attention_mask)
        joint = self.joint_scores(text.tokens, attention_mask, image.patches)
        return self.combined_scores((image.vectors * text.vectors).sum(dim=-1), joint)
