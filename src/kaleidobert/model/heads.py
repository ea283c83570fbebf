"""Prediction heads on the encoder's hidden states."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.activations import ACT2FN


def projection(bert: BertConfig) -> nn.Sequential:
    """BERT's head transform: linear layer, activation, LayerNorm; (..., H) -> (..., H)."""
    return nn.Sequential(
        nn.Linear(bert.hidden_size, bert.hidden_size),
        ACT2FN[bert.hidden_act],
        nn.LayerNorm(bert.hidden_size, eps=bert.layer_norm_eps),
    )


class MatchingHead(nn.Module):
    """ITM: [CLS] hidden state (B, H) -> match logit (B,); its sigmoid is the match probability."""

    def __init__(self, bert: BertConfig) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.score = nn.Linear(bert.hidden_size, 1)

    def forward(self, cls: Tensor) -> Tensor:
        return self.score(self.transform(cls)).squeeze(-1)


class ClassHead(nn.Module):
    """Recognition: pooled hidden states (B, H) -> logits (B, C)."""

    def __init__(self, bert: BertConfig, classes: int) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.dropout = nn.Dropout(bert.hidden_dropout_prob)
        self.out = nn.Linear(bert.hidden_size, classes)

    def forward(self, states: Tensor) -> Tensor:
        return self.out(self.dropout(self.transform(states)))


class MaskedTokenHead(nn.Module):
    """AMLM and LM: hidden states (M, H) -> logits (M, vocabulary); the decoder is tied to the word embeddings."""

    def __init__(self, bert: BertConfig) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.decoder = nn.Linear(bert.hidden_size, bert.vocab_size)

    @torch.no_grad()
    def start_from_frequencies(self, counts: Sequence[int]) -> None:
        """Predict tokens by their frequency at first: counts of each token, to which 1 is added.

        The bias alone would take thousands of Adam's steps to learn this.
        """
        smoothed = torch.tensor(counts, dtype=torch.float) + 1
        self.decoder.bias.copy_((smoothed / smoothed.sum()).log())

    def forward(self, states: Tensor) -> Tensor:
        return self.decoder(self.transform(states))


class LevelHead(nn.Module):
    """Pretext classification of a whole level: its patches' hidden states (B, p, H) -> logits (B, classes)."""

    def __init__(self, bert: BertConfig, patches: int, classes: int) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.out = nn.Linear(patches * bert.hidden_size, classes)

    def forward(self, states: Tensor) -> Tensor:
        return self.out(self.transform(states).flatten(1))


class PatchHead(nn.Module):
    """Pretext prediction for each patch of a level: hidden states (B, p, H) -> (B, p, size)."""

    def __init__(self, bert: BertConfig, size: int) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.out = nn.Linear(bert.hidden_size, size)

    def forward(self, states: Tensor) -> Tensor:
        return self.out(self.transform(states))
