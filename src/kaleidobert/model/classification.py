"""Category and sub-category recognition (patent: CR, SUBR) from photo, text or both."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F
from transformers.utils.generic import can_return_tuple

from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import ClassHead
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.model.outputs import (
    KaleidoBertImageOutput,
    KaleidoBertOutput,
    KaleidoBertTextOutput,
    KaleidoBertTrainingOutput,
)
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

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertTrainingOutput:
        """Photos (B, 3, S, S), texts (B, T) or both; labels (B,), -100 where the class is unknown.

        An unknown class does not enter the loss and counts as wrong in the accuracy.
        """
        flags = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        encoded = self._encode(pixel_values, input_ids, attention_mask, **flags)
        logits = self.classifier(encoded.pooler_output).float()
        output = KaleidoBertTrainingOutput(
            logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )
        if labels is None:
            return output
        total = F.cross_entropy(logits, labels, ignore_index=NO_LABEL, reduction="sum")
        loss = total / (labels != NO_LABEL).sum().clamp(min=1)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        output.loss, output.losses, output.accuracies = loss, {"classification": loss}, {"classification": accuracy}
        return output

    @property
    def class_names(self) -> list[str]:
        """The class of each column of the logits."""
        return [str(name) for _, name in sorted((self.config.id2label or {}).items())]

    def _encode(
        self, pixel_values: Tensor | None, input_ids: Tensor | None, attention_mask: Tensor | None, **flags: bool | None
    ) -> KaleidoBertImageOutput | KaleidoBertTextOutput | KaleidoBertOutput:
        """The encoder's output, whose pooler_output (B, H) is classified."""
        encoder, inputs = self.kaleidobert, self.config.inputs
        if inputs == "image" and pixel_values is not None:
            # not `get_image_features`, which would encode the mirror image too, for the embedding alone
            with encoder.recording(flags["output_hidden_states"], flags["output_attentions"]) as record:
                output = encoder.encode_image(pixel_values)
            output.hidden_states, output.attentions = record.states(), record.attentions()
            return output
        if inputs == "text" and input_ids is not None:
            return encoder.get_text_features(input_ids, attention_mask, **flags, return_dict=True)
        if inputs == "both" and pixel_values is not None and input_ids is not None:
            return encoder(pixel_values, input_ids, attention_mask, **flags, return_dict=True)
        raise ValueError(f"this classifier was trained on {inputs} inputs: pass them")
