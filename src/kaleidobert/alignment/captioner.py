"""The captioner of the alignment generator: Show, Attend and Tell (Xu et al. 2015; patent: FIG. 5, SAT 504).

A backbone's feature map gives L = h * w annotation vectors. Before each token an LSTM attends to them (soft
attention, section 4.2); the context vector, gated by beta, predicts the next token together with the LSTM's state and
the previous token (deep output, section 3.1.2). The input is the locked portion, which pre-training cuts into patches,
so attention maps are in the locked portion's coordinates.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.utils import ModelOutput

import kaleidobert.vision.efficientnet_lite  # noqa: F401  # known to AutoBackbone
from kaleidobert.errors import InputError

STRIDE_8 = {"embedding_size": 32, "hidden_sizes": [32, 96], "depths": [1, 2], "out_features": ["stage2"]}
STRIDE_16 = {"embedding_size": 32, "hidden_sizes": [32, 64, 96], "depths": [1, 1, 2], "out_features": ["stage3"]}
LARGE_IMAGE = 160  # side in pixels from which the default backbone has one more stage
MIN_MAP_SIDE = 7  # cells a side: a coarser map cannot separate the patches of a 5 x 5 grid


class CaptionerConfig(PretrainedConfig):
    """Configuration of a `Captioner`.

    backbone_config: any `transformers` backbone; by default a small ResNet without pre-trained weights, with feature
        maps of 10 x 10 cells for locked portions of 80 pixels and of 14 x 14 for 224.
    standardised: whether annotation vectors are standardised, as a trained backbone's, which is kept, need it.
    image_size: side of the locked portion in pixels.
    doubly_stochastic: weight of the regulariser that spreads a text's attention over the photo (section 4.2.1).
    word_evidence: weight of the objective by which single locations predict words; 0 is the paper's model.
    """

    model_type = "kaleidobert-captioner"
    sub_configs = {"backbone_config": AutoConfig}

    def __init__(
        self,
        backbone_config: dict | PretrainedConfig | None = None,
        image_size: int = 80,
        vocab_size: int = 4000,
        embedding_size: int = 128,
        hidden_size: int = 192,
        attention_size: int = 64,
        dropout: float = 0.2,
        doubly_stochastic: float = 0.02,
        word_evidence: float = 1.0,
        standardised: bool = False,
        longest_caption: int = 64,
        start_token_id: int = 2,
        end_token_id: int = 3,
        image_mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        image_std: Sequence[float] = IMAGENET_DEFAULT_STD,
        **kwargs: Any,
    ) -> None:
        if backbone_config is None:
            backbone_config = {"layer_type": "basic", **(STRIDE_16 if image_size >= LARGE_IMAGE else STRIDE_8)}
        if isinstance(backbone_config, dict):
            backbone_config = AutoConfig.for_model(**{"model_type": "resnet", **backbone_config})
        self.backbone_config = backbone_config
        self.image_size = image_size
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.attention_size = attention_size
        self.dropout = dropout
        self.doubly_stochastic = doubly_stochastic
        self.word_evidence = word_evidence
        self.standardised = standardised
        self.longest_caption = longest_caption
        self.start_token_id = start_token_id
        self.end_token_id = end_token_id
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)
        super().__init__(**kwargs)


class Annotations(NamedTuple):
    """A photo's annotation vectors (B, L, D), their attention keys (B, L, A), and the feature map's (h, w)."""

    vectors: Tensor
    keys: Tensor
    shape: tuple[int, int]

    def repeat(self, times: int) -> Annotations:
        """Each photo ``times`` times, once for each beam."""
        return Annotations(self.vectors.repeat_interleave(times, 0), self.keys.repeat_interleave(times, 0), self.shape)


class LSTMState(NamedTuple):
    """Hidden state and cell, both (B, H)."""

    hidden: Tensor
    cell: Tensor

    def select(self, rows: Tensor) -> LSTMState:
        return LSTMState(self.hidden[rows], self.cell[rows])


@dataclass
class CaptionerOutput(ModelOutput):
    """``attentions`` (B, T - 1, h, w): map t is the attention with which token t + 1 is predicted; each sums to 1.

    ``evidence``, of the same shape: see `Captioner.evidence_maps`; None in training.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None  # (B, T - 1, V)
    attentions: Tensor | None = None
    evidence: Tensor | None = None
    cross_entropy: Tensor | None = None  # per token
    doubly_stochastic: Tensor | None = None
    word_evidence: Tensor | None = None


class Captioner(PreTrainedModel):
    """Locked portions (B, 3, S, S), RGB in [0, 1] -> tokens, each with an attention map.

    Raises ``InputError`` if the backbone's feature map is coarser than 7 x 7.
    """

    config_class = CaptionerConfig
    base_model_prefix = "captioner"
    main_input_name = "pixel_values"

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__(config)
        self.backbone_kept = False
        self.backbone = AutoBackbone.from_config(config.backbone_config)
        features, hidden, embedding = self.backbone.channels[-1], config.hidden_size, config.embedding_size
        self.embedding = nn.Embedding(config.vocab_size, embedding)
        self.first_state = nn.Linear(features, 2 * hidden)
        self.keys = nn.Linear(features, config.attention_size)
        self.query = nn.Linear(hidden, config.attention_size)
        self.gate = nn.Linear(hidden, 1)
        # The LSTM's gates in two parts, so that the tokens' part is computed for all steps at once.
        self.from_token = nn.Linear(embedding, 4 * hidden)
        self.recurrent = nn.Linear(hidden + features, 4 * hidden, bias=False)
        self.from_hidden = nn.Linear(hidden, embedding)
        self.from_context = nn.Linear(features, embedding, bias=False)
        self.output = nn.Linear(embedding, config.vocab_size)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def keep_backbone(self) -> None:
        """Keep the backbone's weights and batch statistics as they are, also in training mode."""
        self.backbone_kept = True
        self.backbone.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Captioner:
        super().train(mode)
        if getattr(self, "backbone_kept", False):  # not yet set while the library builds a model
            self.backbone.eval()
        return self

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        lstm_samples: int | None = None,
        **_: Any,
    ) -> CaptionerOutput:
        """Teacher forcing with texts input_ids (B, T), attention_mask (B, T).

        lstm_samples: how many samples of the batch go through the LSTM, the slow part; by default all. The word
        evidence loss is always of the whole batch.
        """
        whole = self.annotate(pixel_values)
        evidence = self.evidence_loss(whole, input_ids, attention_mask)
        if lstm_samples == 0:
            return CaptionerOutput(loss=self.config.word_evidence * evidence, word_evidence=evidence)
        annotations = Annotations(whole.vectors[:lstm_samples], whole.keys[:lstm_samples], whole.shape)
        input_ids, targets = input_ids[:lstm_samples], attention_mask[:lstm_samples, 1:].bool()
        state, embedded = self.initial_state(annotations), self.embedding(input_ids[:, :-1])  # (B, T - 1, E)
        hidden, contexts, maps = [], [], []
        for inputs in self.from_token(embedded).unbind(1):  # (B, 4 H) each
            state, context, attention = self.step(inputs, annotations, state)
            hidden.append(state.hidden)
            contexts.append(context)
            maps.append(attention)
        logits = self.token_logits(embedded, torch.stack(hidden, 1), torch.stack(contexts, 1))
        attentions = torch.stack(maps, 1)  # (B, T - 1, L)
        cross_entropy = F.cross_entropy(logits[targets].float(), input_ids[:, 1:][targets])
        regulariser = doubly_stochastic(attentions, targets)
        weighted = self.config.doubly_stochastic * regulariser + self.config.word_evidence * evidence
        evidence_maps = None if self.training else self.evidence_maps(annotations.vectors, input_ids[:, 1:])
        return CaptionerOutput(
            loss=cross_entropy + weighted,
            logits=logits,
            attentions=attentions.unflatten(2, annotations.shape),
            evidence=None if evidence_maps is None else evidence_maps.unflatten(2, annotations.shape),
            cross_entropy=cross_entropy,
            doubly_stochastic=regulariser,
            word_evidence=evidence,
        )

    def evidence_loss(self, annotations: Annotations, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Cross-entropy of each text's tokens among all tokens of the batch, predicted from single locations.

        Multiple-instance learning (Fang et al. 2015, From Captions to Visual Concepts): a token's logit is the
        log-mean-exp over locations of the logits that the deep output gives each location's vector alone, so that
        the locations that show a word learn to predict it.
        """
        candidates, columns_of = torch.unique(input_ids[:, 1:], return_inverse=True)
        present = torch.zeros(len(input_ids), len(candidates), device=input_ids.device)
        rows, columns = attention_mask[:, 1:].nonzero(as_tuple=True)
        present[rows, columns_of[rows, columns]] = 1
        evidence = self.from_context(annotations.vectors) @ self.output.weight[candidates].T  # (B, L, C)
        pooled = evidence.float().logsumexp(1) - math.log(evidence.shape[1]) + self.output.bias[candidates]
        return -(present * pooled.log_softmax(1)).sum() / present.sum()

    def evidence_maps(self, vectors: Tensor, token_ids: Tensor) -> Tensor:
        """(B, T, L), each summing to 1: the logits of tokens (B, T) from each location's vector (B, L, D) alone.

        Unlike attention, which precedes the token and covers all that may come next, these maps are given the token.
        """
        evidence = self.output.weight[token_ids] @ self.from_context(vectors).transpose(1, 2)
        return torch.softmax(evidence.float(), dim=2)

    def annotate(self, pixel_values: Tensor) -> Annotations:
        """The backbone's feature map as annotation vectors, in row-major order."""
        mean, std = (
            pixel_values.new_tensor(values).view(1, 3, 1, 1)
            for values in (self.config.image_mean, self.config.image_std)
        )
        normalised = ((pixel_values - mean) / std).contiguous(memory_format=torch.channels_last)
        features = self.backbone(normalised).feature_maps[-1]
        height, width = features.shape[2:]
        if min(height, width) < MIN_MAP_SIDE:
            raise InputError(
                f"the captioner's feature map is {height} x {width}, too coarse for the 5 x 5 grid; "
                f"use a backbone with {MIN_MAP_SIDE} x {MIN_MAP_SIDE} cells or more"
            )
        vectors = features.flatten(2).transpose(1, 2)  # (B, L, D)
        if self.config.standardised:
            vectors = F.layer_norm(vectors.float(), vectors.shape[-1:])
        return Annotations(vectors, self.keys(vectors), (height, width))

    def initial_state(self, annotations: Annotations) -> LSTMState:
        """The LSTM's first state, predicted from the mean annotation vector."""
        return LSTMState(*torch.tanh(self.first_state(annotations.vectors.mean(1))).chunk(2, dim=1))

    def step(self, inputs: Tensor, annotations: Annotations, state: LSTMState) -> tuple[LSTMState, Tensor, Tensor]:
        """Attend, then update the LSTM: the next state, the gated context (B, D), the attention (B, L).

        inputs (B, 4 H): ``from_token`` of the previous token. The energies are scaled dot products; the paper's
        small network took about a fifth of the training time.
        """
        query = self.query(state.hidden).unsqueeze(2) / self.config.attention_size**0.5
        attention = torch.softmax(torch.bmm(annotations.keys, query).squeeze(2).float(), dim=1)
        context = torch.bmm(attention.to(annotations.vectors.dtype).unsqueeze(1), annotations.vectors).squeeze(1)
        context = torch.sigmoid(self.gate(state.hidden)) * context
        gates = inputs + self.recurrent(torch.cat([state.hidden, context], dim=1))
        forget, write, output = torch.sigmoid(gates[:, : 3 * self.config.hidden_size]).chunk(3, dim=1)
        cell = forget * state.cell + write * torch.tanh(gates[:, 3 * self.config.hidden_size :])
        return LSTMState(output * torch.tanh(cell), cell), context, attention

    def token_logits(self, embedded: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        """Logits (..., V) of the next token."""
        mixed = embedded + self.from_hidden(self.dropout(hidden)) + self.from_context(context)
        return self.output(self.dropout(mixed))

    def fingerprint(self) -> str:
        """A hash of weights and pixel normalisation, which identifies the captioner that an alignment was made with."""
        pixels = (self.config.image_size, self.config.image_mean, self.config.image_std)
        digest = hashlib.sha256(repr(pixels).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def doubly_stochastic(attentions: Tensor, targets: Tensor) -> Tensor:
    """How unevenly a text's attention is spread over the photo (section 4.2.1, equation 14), a mean over the batch.

    attentions (B, T, L), targets (B, T) bool. In the paper, attention to each of the L locations should sum to 1 over
    the T tokens, which is impossible for T < L; here it should sum to T / L.
    """
    weights = targets.unsqueeze(2)
    coverage = (attentions * weights).sum(1) * attentions.shape[2] / weights.sum(1)
    return (coverage - 1).square().mean()


AutoConfig.register(CaptionerConfig.model_type, CaptionerConfig)
