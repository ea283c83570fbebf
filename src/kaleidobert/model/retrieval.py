"""Image-text retrieval: contrastive vectors for recall, the joint entry to re-rank (SEED: FIG. 1, ITR, TIR).

Some photos are near to every text, and some texts to every photo: hubs, which come first where they do not belong.
So the model keeps the vectors of some training pairs, and a photo or text is charged what it scores with those of
the other side: the inverted softmax (Smith et al., ICLR 2017; Bogolin et al., CVPR 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.modeling_outputs import ModelOutput

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.heads import MatchingHead
from kaleidobert.model.losses import contrastive_loss, draw_negatives, equal_texts, matching_loss
from kaleidobert.model.modeling import (
    ImageEntryOutput,
    JointEntryOutput,
    KaleidoBertModel,
    KaleidoBertPreTrainedModel,
    TextEntryOutput,
)

REFERENCES = ("reference_images", "reference_texts")  # vectors (R, V) of training pairs
LOGIT_SCALE = math.log(1 / 0.07)  # CLIP's first temperature


class MatchingOutput(NamedTuple):
    """loss and balanced accuracy of ITM; joint: hidden states of the n matching pairs."""

    loss: Tensor
    accuracy: Tensor
    joint: JointEntryOutput


@dataclass
class RetrievalOutput(ModelOutput):
    """scores (B,) combined, of each row's photo and text; loss, parts and accuracies when training."""

    loss: Tensor | None = None
    scores: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class KaleidoBertScoring(KaleidoBertPreTrainedModel):
    """The encoder, its matching head and the reference vectors: what pre-training and retrieval share."""

    reference_images: Tensor
    reference_texts: Tensor

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.matching = MatchingHead(config.encoder_config)
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))
        for name in REFERENCES:
            self.register_buffer(name, torch.zeros(config.reference_pairs, config.projection_size))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            initialization.constant_(self.logit_scale, LOGIT_SCALE)
            for name in REFERENCES:
                initialization.zeros_(getattr(self, name))

    def image_entry(self, pixel_values: Tensor) -> ImageEntryOutput:
        return self.kaleidobert.image_entry(pixel_values)

    def text_entry(self, input_ids: Tensor, attention_mask: Tensor) -> TextEntryOutput:
        return self.kaleidobert.text_entry(input_ids, attention_mask)

    def scale(self) -> Tensor:
        """1 / temperature of the contrastive scores, at most 100."""
        return self.logit_scale.exp().clamp(max=100)

    def image_hubness(self, vectors: Tensor) -> Tensor:
        """How near photos with these vectors (B, V) are to texts at large, (B,), in units of the cosine."""
        return self._hubness(vectors, self.reference_texts)

    def text_hubness(self, vectors: Tensor) -> Tensor:
        """How near texts with these vectors (B, V) are to photos at large, (B,), in units of the cosine."""
        return self._hubness(vectors, self.reference_images)

    def _hubness(self, vectors: Tensor, reference: Tensor) -> Tensor:
        """Log of the mean of exp(scale * cosine), over scale; 0 for a model whose references are not filled."""
        scale = self.scale()
        return (torch.logsumexp(scale * vectors.float() @ reference.T, dim=1) - math.log(len(reference))) / scale

    def weighted_sum(self, parts: dict[str, Tensor]) -> Tensor:
        """The total loss, equation 8, with ``config.loss_weights``; the plain sum where it names none."""
        weights = self.config.loss_weights
        return torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()

    def joint_scores(self, tokens: Tensor, attention_mask: Tensor, patches: Tensor) -> Tensor:
        """Match logits (B,) of embedded tokens (B, T, H) with embedded patches (B, P, H)."""
        joint = self.kaleidobert.joint_entry(tokens, attention_mask, patches)
        return self.matching(joint.tokens[:, 0]).float()

    def match(
        self,
        tokens: Tensor,
        attention_mask: Tensor,
        patches: Tensor,
        similarity: Tensor,
        text_group: Tensor,
        draws: Tensor,
        hard: bool,
    ) -> MatchingOutput:
        """ITM on n products: each with its own text, with a wrong text, and with a wrong photo.

        tokens (B, T, H) and attention_mask (B, T) of the batch, patches (n, P, H) of its first n products;
        similarity (B, B) scaled contrastive scores, a row an image; draws (2, n) pick the negatives, in
        proportion to exp(similarity) when ``hard``. Products with equal texts are never negatives.
        """
        n = len(patches)
        forbidden = equal_texts(text_group) | torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
        wrong_text = draw_negatives(similarity[:n].detach(), forbidden[:n], draws[0], hard)
        wrong_photo = draw_negatives(similarity.T[:n, :n].detach(), forbidden[:n, :n], draws[1], hard)
        rows = torch.arange(n, device=tokens.device)
        texts, photos = torch.cat([rows, wrong_text, rows]), torch.cat([rows, rows, wrong_photo])
        # index_select, as plain indexing adds gradients in any order: the same run would end with other weights
        joint = self.kaleidobert.joint_entry(
            tokens.index_select(0, texts), attention_mask[texts], patches.index_select(0, photos)
        )
        matches = torch.arange(3 * n, device=tokens.device) < n
        valid = torch.cat([rows >= 0, ~forbidden[:n].all(dim=1), ~forbidden[:n, :n].all(dim=1)])
        logits = self.matching(joint.tokens[:, 0]).float()
        right = (logits > 0) == matches
        return MatchingOutput(
            loss=matching_loss(logits[valid], matches[valid].float()),
            accuracy=(right[:n].float().mean() + right[n:][valid[n:]].float().mean()) / 2,
            joint=JointEntryOutput(tokens=joint.tokens[:n], patches=joint.patches[:n]),
        )

    def similarity(self, cosine: Tensor, hubness: Tensor) -> Tensor:
        """What vectors alone rank by: the cosine less ``hubness_weight`` times the hubness of photo and text."""
        return cosine - self.config.hubness_weight * hubness

    def combined_scores(self, similarity: Tensor, joint: Tensor) -> Tensor:
        """What the search application ranks by: similarity / temperature + joint_weight * match logit."""
        return self.scale() * similarity + self.config.joint_weight * joint


class KaleidoBertForRetrieval(KaleidoBertScoring):
    """Ranks photos for a text and texts for a photo; loads pre-training runs and fine-tuned runs alike."""

    _keys_to_ignore_on_load_unexpected = [
        r"^masked_tokens\.",
        r"^pretext\.",
        r"^hard_negatives$",
        r"^match_accuracy$",
    ]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        text_group: Tensor | None = None,
        draws: Tensor | None = None,
    ) -> RetrievalOutput:
        """Photos (B, 3, S, S) and their own row's texts (B, T).

        With ``text_group`` (B,) and ``draws`` (2, n), as the collator makes them, the losses are returned:
        contrastive on the whole batch and ITM with hard negatives on its first n products.
        """
        image = self.image_entry(pixel_values)
        text = self.text_entry(input_ids, attention_mask)
        if text_group is None:
            joint = self.joint_scores(text.tokens, attention_mask, image.patches)
            hubness = self.image_hubness(image.vectors) + self.text_hubness(text.vectors)
            similarity = self.similarity((image.vectors * text.vectors).sum(dim=-1), hubness)
            return RetrievalOutput(scores=self.combined_scores(similarity, joint))
        parts = {"contrastive": contrastive_loss(image.vectors, text.vectors, self.scale(), text_group)}
        accuracies: dict[str, Tensor] = {}
        if draws is not None and (n := draws.shape[1]) >= 2:
            similarity = self.scale() * image.vectors @ text.vectors.T
            matched = self.match(
                text.tokens, attention_mask, image.patches[:n], similarity, text_group, draws, hard=True
            )
            parts["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
        return RetrievalOutput(loss=self.weighted_sum(parts), parts=parts, accuracies=accuracies)
