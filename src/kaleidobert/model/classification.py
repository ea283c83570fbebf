"""Category and sub-category recognition (SEED: CR, SUBR): a class for a product, from photo, text or both."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import ModelOutput

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import ClassHead
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.retrieval import KaleidoBertForRetrieval


@dataclass
class ClassificationOutput(ModelOutput):
    """logits (B, C); loss, parts and accuracies where labels were given."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class KaleidoBertForClassification(KaleidoBertPreTrainedModel):
    """One class of ``config.id2label`` for each product, from what ``config.inputs`` names.

    From both photo and text by the joint entry's [CLS] state; from one of them by that entry's summary. Loads the
    encoder of pre-training runs and of retrieval runs.
    """

    _keys_to_ignore_on_load_unexpected = [
        *KaleidoBertForRetrieval._keys_to_ignore_on_load_unexpected,
        r"^matching\.",
        r"^masked_tokens\.",
        r"^logit_scale$",
        r"^memory\.",
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
    ) -> ClassificationOutput:
        """Photos (B, 3, S, S) and texts (B, T), whichever are read; labels (B,), -100 where the class is unknown.

        An unknown class has no part in the loss, and counts as wrong in the accuracy.
        """
        logits = self.classifier(self.summary(pixel_values, input_ids, attention_mask)).float()
        if labels is None:
            return ClassificationOutput(logits=logits)
        total = F.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
        loss = total / (labels != NO_LABEL).sum().clamp(min=1)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return ClassificationOutput(loss, logits, {"classification": loss}, {"classification": accuracy})

    @property
    def class_names(self) -> list[str]:
        """What each column of the logits stands for."""
        return [str(name) for _, name in sorted((self.config.id2label or {}).items())]

    def summary(self, pixel_values: Tensor | None, input_ids: Tensor | None, attention_mask: Tensor | None) -> Tensor:
        """(B, H): what the head reads."""
        inputs = self.config.inputs
        if inputs == "image" and pixel_values is not None:
            return self.kaleidobert.encode_image(pixel_values).summary
        if input_ids is not None and attention_mask is not None:
            if inputs == "text":
                return self.kaleidobert.encode_text(input_ids, attention_mask).summary
            if inputs == "both" and pixel_values is not None:
                return self.kaleidobert(pixel_values, input_ids, attention_mask).tokens[:, 0]
        raise ValueError(f"this classifier reads {inputs}; give it that")
