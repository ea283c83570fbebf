"""Captioning (SEED: FC): a text from a photo alone, word by word.

The encoder reads both ways; for this task it is masked as a sequence-to-sequence model (see `KaleidoBertModel.read`):
tokens are read after the photo, all at once in training or one by one, the same function of the same cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    SuppressTokensLogitsProcessor,
)
from transformers.modeling_outputs import ModelOutput

from kaleidobert.errors import InputError
from kaleidobert.model.classification import KaleidoBertForClassification
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.distributed import BatchShard
from kaleidobert.model.encoder import KaleidoBertModel, KaleidoBertPreTrainedModel
from kaleidobert.model.heads import MaskedTokenHead
from kaleidobert.model.losses import captioning_loss


@dataclass
class CaptioningOutput(ModelOutput):
    """loss, parts and accuracies: of each token after those before it."""

    loss: Tensor | None = None
    parts: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Limits:
    """How captions are searched.

    start, end: token ids that a text begins and ends with; forbidden: ids that are never said. ``beams``: 1 is greedy
    search. shortest, longest: tokens between start and end. ``length_penalty``: the power of the length that a
    caption's log probability is divided by. ``no_repeat``: the n of the n-grams that do not come twice; 0: any may.
    """

    start: int
    end: int
    forbidden: Sequence[int] = ()
    beams: int = 3
    shortest: int = 1
    longest: int = 62
    length_penalty: float = 1.0
    no_repeat: int = 3

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise InputError(f"beams is {self.beams}; use 1 or more")
        if not 0 <= self.shortest <= self.longest:
            raise InputError(f"captions of {self.shortest} to {self.longest} tokens are none; let shortest be less")

    def rules(self, device: torch.device) -> LogitsProcessorList:
        """What may be said next, as the library's processors of log probabilities."""
        rules = LogitsProcessorList()
        if self.forbidden:
            rules.append(SuppressTokensLogitsProcessor(list(self.forbidden), device=str(device)))
        rules.append(MinLengthLogitsProcessor(self.shortest + 1, self.end, device=str(device)))
        if self.no_repeat:
            rules.append(NoRepeatNGramLogitsProcessor(self.no_repeat))
        return rules


class KaleidoBertForCaptioning(KaleidoBertPreTrainedModel):
    """The encoder and pre-training's head over the vocabulary, which now tells the next token."""

    _tied_weights_keys = {"masked_tokens.decoder.weight": "kaleidobert.bert.embeddings.word_embeddings.weight"}
    _keys_to_ignore_on_load_unexpected = [
        *(key for key in KaleidoBertForClassification._keys_to_ignore_on_load_unexpected if "masked_tokens" not in key),
        r"^classifier\.",
    ]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        self.kaleidobert = KaleidoBertModel(config)
        self.masked_tokens = MaskedTokenHead(config.encoder_config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.masked_tokens.decoder

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> CaptioningOutput:
        """Photos (B, 3, S, S), texts (B, T): cross-entropy of each token, [SEP] included, after those before it."""
        states, tokens = self.kaleidobert.decode_texts(input_ids, attention_mask, self.look(pixel_values))
        logits, shard = self.masked_tokens(states).float(), BatchShard.here(self.training)
        loss = captioning_loss(logits, tokens) * shard.weight(tokens)
        accuracy = shard.mean(logits.argmax(dim=1) == tokens)
        return CaptioningOutput(loss, {"captioning": loss}, {"captioning": accuracy})

    def look(self, pixel_values: Tensor) -> DynamicCache:
        """What tokens see of the photos (B, 3, S, S)."""
        encoder = self.kaleidobert
        return encoder.look(encoder.embed_patches(encoder.patch_features(pixel_values)))

    @torch.no_grad()
    def generate(self, pixel_values: Tensor, limits: Limits) -> list[list[int]]:
        """Beam search: of each photo (B, 3, S, S) the token ids of the best caption, without start and end.

        Beams that ended stay as they are until all have.
        """
        photos, beams, device = len(pixel_values), limits.beams, pixel_values.device
        cache, rules = self.look(pixel_values), limits.rules(device)
        cache.batch_repeat_interleave(beams)
        tokens: Any = torch.full((photos * beams, 1), limits.start, device=device)
        scores = torch.full((photos, beams), float("-inf"), device=device)
        scores[:, 0] = 0.0  # all beams are the same at first
        first = torch.arange(photos, device=device).unsqueeze(1) * beams
        longest = min(limits.longest, self.config.encoder_config.max_position_embeddings - 1)
        for _ in range(longest):
            states = self.kaleidobert.read(tokens[:, -1:], cache)
            steps = rules(tokens, self.masked_tokens(states[:, -1]).float().log_softmax(dim=1))  # (B * K, V)
            ended = tokens[:, -1:] == limits.end
            steps = steps.masked_fill(ended, float("-inf"))
            steps[:, limits.end] = torch.where(ended[:, 0], 0.0, steps[:, limits.end])
            totals = scores.unsqueeze(2) + steps.unflatten(0, (photos, beams))  # (B, K, V)
            scores, best = totals.flatten(1).topk(beams)
            rows, said = (first + best // steps.shape[1]).flatten(), (best % steps.shape[1]).view(-1, 1)
            tokens = torch.cat([tokens[rows], said], dim=1)
            cache.reorder_cache(rows)
            if (said == limits.end).all():
                break
        lengths = (tokens[:, 1:] != limits.end).sum(dim=1)
        weighed = scores / (lengths.view_as(scores) + 1) ** limits.length_penalty
        winners = first.squeeze(1) + weighed.argmax(dim=1)
        return [ids[1 : 1 + length].tolist() for ids, length in zip(tokens[winners], lengths[winners], strict=True)]
