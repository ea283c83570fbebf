"""What reads the encoder's hidden states. Each head serves one objective."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import BertConfig
from transformers.activations import ACT2FN

from kaleidobert.levels import Level


def projection(bert: BertConfig) -> nn.Sequential:
    """BERT's head transform: FC, activation, LayerNorm; (..., H) -> (..., H)."""
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
    """Recognition: what sums up a product (B, H) -> a logit a class (B, C)."""

    def __init__(self, bert: BertConfig, classes: int) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.dropout = nn.Dropout(bert.hidden_dropout_prob)
        self.out = nn.Linear(bert.hidden_size, classes)

    def forward(self, states: Tensor) -> Tensor:
        return self.out(self.dropout(self.transform(states)))


class MaskedTokenHead(nn.Module):
    """AMLM: hidden states (M, H) -> (M, vocabulary); the decoder is tied to the word embeddings."""

    def __init__(self, bert: BertConfig) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.decoder = nn.Linear(bert.hidden_size, bert.vocab_size)

    def forward(self, states: Tensor) -> Tensor:
        return self.decoder(self.transform(states))


class PretextHead(nn.Module):
    """One level's task: hidden states of the level's patches (B, n*n, H) -> what the task predicts.

    rotation, jigsaw: (B, classes) from all patches of the level; camouflage: one score a patch, (B, n*n);
    grey, blank: a feature a patch, (B, n*n, D).
    """

    def __init__(self, bert: BertConfig, level: Level, feature_size: int) -> None:
        super().__init__()
        self.transform = projection(bert)
        self.task = level.task
        if level.task in ("rotation", "jigsaw"):
            self.out = nn.Linear(level.patches * bert.hidden_size, level.labels)
        else:
            self.out = nn.Linear(bert.hidden_size, 1 if level.task == "camouflage" else feature_size)

    def forward(self, states: Tensor) -> Tensor:
        states = self.transform(states)
        if self.task in ("rotation", "jigsaw"):
            return self.out(states.flatten(1))
        return self.out(states).squeeze(-1) if self.task == "camouflage" else self.out(states)
