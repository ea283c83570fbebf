"""What the models return, as the library's `ModelOutput`s: fields by name or index, left out where they are None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import Cache
from transformers.modeling_outputs import ModelOutput

ALWAYS: Any = None  # of fields that are always there: the library wants a default of None from all but the first


@dataclass
class KaleidoBertImageOutput(ModelOutput):
    """Photos alone.

    image_embeds (B, V): unit vectors. last_hidden_state (B, P, H): of the uni-modal layers. pooler_output (B, H): its
    mean over patches, of which the embedding is a projection. patch_states (B, P, H): what `encode_pair` takes.
    patch_features (B, P, D): standardised backbone features. hidden_states, attentions: of each layer, on request.
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
    """Texts alone: text_embeds (B, V), token_states (B, T, H) for `encode_pair`; the rest as for images."""

    text_embeds: Tensor = ALWAYS
    last_hidden_state: Tensor = ALWAYS
    pooler_output: Tensor = ALWAYS
    token_states: Tensor = ALWAYS
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertOutput(ModelOutput):
    """Pairs through the single stream.

    last_hidden_state (B, T + P, H): tokens, then patches; pooler_output (B, H): the state of the first token, [CLS].
    hidden_states and attentions, (B, heads, T + P, T + P), of every layer; below ``fusion_layer``, where the two sides
    do not see each other, they are put together.
    """

    last_hidden_state: Tensor = ALWAYS
    pooler_output: Tensor = ALWAYS
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertTrainingOutput(ModelOutput):
    """One training or validation step.

    loss: the weighted sum. losses: each objective by name. accuracies: of those that classify. references: outside
    training, what predictors reach that know nothing about the product. logits: of tasks that have them.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None
    references: dict[str, Tensor] | None = None


@dataclass
class KaleidoBertCaptioningOutput(KaleidoBertTrainingOutput):
    """logits (B, T, vocabulary) of the token after each, and ``past_key_values`` to go on from."""

    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class KaleidoBertRetrievalOutput(KaleidoBertTrainingOutput):
    """Scaled cosines (N, M) and (M, N), ITM logits (B,) of each row's own pair, and the embeddings."""

    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    itm_logits: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
