"""The outputs of the models, as `ModelOutput`s of the library: fields by name or index, without those that are None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import Cache
from transformers.modeling_outputs import ModelOutput

ALWAYS: Any = None  # of fields that are always there: the library wants a default of None from all but the first


@dataclass
class KaleidoBertImageOutput(ModelOutput):
    """The encoded photos.

    image_embeds (B, V): unit vectors. last_hidden_state (B, P, H): of the image encoder. pooler_output (B, H): its mean
    over patches, which is projected to the embedding. patch_states (B, P, H): input of `encode_pair`. patch_features
    (B, P, D): standardised backbone features. hidden_states, attentions: of each layer, on request.
    """

    image_embeds: Tensor = ALWAYS
    last_hidden_state: Tensor = ALWAYS
    pooler_output: Tensor = ALWAYS
    patch_states: Tensor = ALWAYS
    patch_features: Tensor = ALWAYS
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertTextOutput(ModelOutput):
    """The encoded texts.

    text_embeds (B, V): unit vectors. last_hidden_state (B, T, H) and pooler_output (B, H): as for images. token_states
    (B, T, H): input of `encode_pair`. hidden_states, attentions: of each layer, on request.
    """

    text_embeds: Tensor = ALWAYS
    last_hidden_state: Tensor = ALWAYS
    pooler_output: Tensor = ALWAYS
    token_states: Tensor = ALWAYS
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertOutput(ModelOutput):
    """The encoded pairs.

    last_hidden_state (B, T + P, H): of tokens, then of patches. pooler_output (B, H): the state of the first token,
    [CLS]. hidden_states and attentions, (B, heads, T + P, T + P), are those of every layer; below ``fusion_layer`` they
    combine both modalities, which do not attend to each other there.
    """

    last_hidden_state: Tensor = ALWAYS
    pooler_output: Tensor = ALWAYS
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertTrainingOutput(ModelOutput):
    """The result of one training or validation step.

    loss: the weighted sum. losses: by name. accuracies: of the classification objectives. references: outside training,
    the losses and accuracies of predictors without any knowledge of the product. logits: of objectives that have them.
    hidden_states, attentions: of each layer, on request.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None
    references: dict[str, Tensor] | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertCaptioningOutput(KaleidoBertTrainingOutput):
    """Logits (B, T, vocabulary) of the next token at each position; past_key_values to continue from."""

    past_key_values: Cache | None = None


@dataclass
class KaleidoBertRetrievalOutput(KaleidoBertTrainingOutput):
    """Scaled cosines (N, M) and (M, N), ITM logits (B,) of the matching pairs, and the embeddings."""

    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    itm_logits: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
