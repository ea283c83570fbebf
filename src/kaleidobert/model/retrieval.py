"""Image-text retrieval: contrastive vectors for recall, the joint entry to re-rank (SEED: FIG. 1, ITR, TIR)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import ModelOutput

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.losses import contrastive_loss
from kaleidobert.scoring.pair_scorer import KaleidoBertScoring, query_inputs


@dataclass
class RetrievalOutput(ModelOutput):
    """scores (B,) combined, of each row's photo and text; loss, parts and accuracies when training."""

    loss: Tensor | None = None
    scores: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class KaleidoBertForRetrieval(KaleidoBertScoring):
    """Ranks photos for a text and texts for a photo; loads pre-training runs and fine-tuned runs alike."""

    _keys_to_ignore_on_load_unexpected = [
        r"^pretext\.",
        r"^negatives$",
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
        text_only: Tensor | None = None,
        kept_patches: Tensor | None = None,
        query_ids: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> RetrievalOutput:
        """Photos (B, 3, S, S) and their own row's texts (B, T).

        With ``text_group`` (B,), ``draws`` (2, n) and ``text_only`` (B,), as the collator makes them, the losses are
        returned: contrastive and LM on the whole batch and ITM with hard negatives on its first n products. Of photos
        ``kept_patches`` (B, K) are seen, or all; of texts, LM reads all, and the others query_ids, query_mask (B, Q).
        """
        if text_group is None:
            image = self.encode_image(pixel_values)
            text = self.encode_text(input_ids, attention_mask)
            joint = self.joint_scores(input_ids, attention_mask, image.patches)
            hubness = self.image_hubness(image.vectors) + self.text_hubness(text.vectors)
            similarity = self.similarity((image.vectors * text.vectors).sum(dim=-1), hubness)
            return RetrievalOutput(scores=self.combined_scores(similarity, joint))
        image = self.kaleidobert.encode_image(pixel_values, kept_patches)
        query_ids, query_mask = query_inputs(input_ids, attention_mask, query_ids, query_mask)
        text = self.kaleidobert.encode_text(query_ids, query_mask)
        shard = BatchShard.here(self.training)
        images, texts, groups = map(shard.gather, (image.vectors, text.vectors, text_group))
        parts = {"contrastive": contrastive_loss(images, texts, self.scale(), groups)}
        accuracies: dict[str, Tensor] = {}
        if draws is not None and len(patches := shard.gather(image.patches[: draws.shape[1]])) >= 2:
            tokens, mask = shard.gather(text.tokens), shard.gather(query_mask)
            similarity = self.scale() * images @ texts.T
            matched = self.match(tokens, mask, patches, similarity, groups, draws, shard=shard)
            parts["ITM"], accuracies["ITM"] = matched.loss, matched.accuracy
            if text_only is not None and self.config.loss_weights.get("LM", 1.0):
                parts["LM"] = self.captioning_loss(input_ids, attention_mask, image.patches, text_only, shard)
        return RetrievalOutput(loss=self.weighted_sum(parts), parts=parts, accuracies=accuracies)
