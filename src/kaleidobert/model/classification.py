"""Category and sub-category recognition (SEED: CR, SUBR) from photo, text or both."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import ClassHead
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.outputs import KaleidoBertTrainingOutput
from kaleidobert.model.retrieval import KaleidoBertForRetrieval


class KaleidoBertForClassification(KaleidoBertPreTrainedModel):
    """Predicts one class of ``config.id2label`` per product, from the inputs that ``config.inputs`` names.

    With both inputs it classifies the single stream's [CLS] state, with one of them the mean of its uni-modal states.
    Its encoder can be loaded from pre-training and retrieval runs.
    """

    _keys_to_ignore_on_load_unexpected = [
        *KaleidoBertForRetrieval._keys_to_ignore_on_load_unexpected,
        r"^itm_head\.",
        r"^lm_head\.",
        r"^logit_scale$",
    ]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.classifier = ClassHead(config.encoder_config, config.num_labels or 1)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> KaleidoBertTrainingOutput:
        """Photos (B, 3, S, S), texts (B, T) or both; labels (B,), -100 where the class is unknown.

        An unknown class does not enter the loss and counts as wrong in the accuracy.
        """
        logits = self.classifier(self.pooled(pixel_values, input_ids, attention_mask)).float()
        if labels is None:
            return KaleidoBertTrainingOutput(logits=logits)
        total = F.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
        loss = total / (labels != NO_LABEL).sum().clamp(min=1)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return KaleidoBertTrainingOutput(loss, logits, {"classification": loss}, {"classification": accuracy})

    @property
    def class_names(self) -> list[str]:
        """The class of each column of the logits."""
        return [str(name) for _, name in sorted((self.config.id2label or {}).items())]

    def pooled(self, pixel_values: Tensor | None, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor:
        """The pooled states (B, H) to classify."""
        inputs = self.config.inputs
        if inputs == "image" and pixel_values is not None:
            return self.kaleidobert.encode_image(pixel_values).pooler_output
        if input_ids is not None and attention_mask is not None:
            if inputs == "text":
                return self.kaleidobert.encode_text(input_ids, attention_mask).pooler_output
            if inputs == "both" and pixel_values is not None:
                return self.kaleidobert(pixel_values, input_ids, attention_mask).pooler_output
        raise ValueError(f"this classifier was trained on {inputs} inputs: pass them")
