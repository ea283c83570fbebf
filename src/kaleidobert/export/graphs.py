"""The entries of a model as modules of tensors alone, to be traced: what a search asks of it, and nothing else.

Each has a name for people, ``axes``: its inputs in order, each with those of its dimensions that vary, ``outputs``, and
an example that it is traced with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kaleidobert.levels import patch_count
from kaleidobert.model.layers import PrefixCache
from kaleidobert.model.pair_model import KaleidoBertPairModel
from kaleidobert.vision.saliency.network import NetworkDetector

Axes = dict[str, dict[int, str]]
TEXTS: Axes = {"input_ids": {0: "texts", 1: "tokens"}, "attention_mask": {0: "texts", 1: "tokens"}}
ROWS, TOKENS = 2, 5  # of the examples that are traced


class TextEntry(nn.Module):
    """Token ids and mask (N, T) -> plain embeddings (N, V), and token states (N, T, H) for `MatchingEntry`."""

    name = "the text entry"
    axes: Axes = TEXTS
    outputs = ("text_embeds", "token_states")

    def __init__(self, model: KaleidoBertPairModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        found = self.model.get_text_features(input_ids, attention_mask)
        return found.text_embeds, found.token_states

    def example(self) -> tuple[Tensor, ...]:
        return _texts()


class ImageEntry(nn.Module):
    """Locked portions (N, 3, S, S) in [0, 1] -> plain embeddings (N, V) and patch states (N, P, H)."""

    name = "the image entry"
    axes: Axes = {"pixel_values": {0: "photos"}}
    outputs = ("image_embeds", "patch_states")

    def __init__(self, model: KaleidoBertPairModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        found = self.model.get_image_features(pixel_values)
        return found.image_embeds, found.patch_states

    def example(self) -> tuple[Tensor, ...]:
        side = self.model.config.image_size
        return (torch.rand(ROWS, 3, side, side),)


class PatchEntry(nn.Module):
    """Patch states (N, P, H) -> plain embeddings (N, V), and the contribution (N, P, V) of each patch."""

    name = "the projection of patches"
    axes: Axes = {"patch_states": {0: "photos"}}
    outputs = ("image_embeds", "contributions")

    def __init__(self, model: KaleidoBertPairModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, patch_states: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.kaleidobert.project_patches(patch_states)

    def example(self) -> tuple[Tensor, ...]:
        return (_states(self.model),)


class MatchingEntry(nn.Module):
    """Token states (N, T, H) with their mask (N, T), and patch states (N, P, H) -> ITM logits (N,) of the pairs."""

    name = "the joint entry (ITM)"
    axes: Axes = {
        "token_states": {0: "pairs", 1: "tokens"},
        "attention_mask": {0: "pairs", 1: "tokens"},
        "patch_states": {0: "pairs"},
    }
    outputs = ("itm_logits",)

    def __init__(self, model: KaleidoBertPairModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, token_states: Tensor, attention_mask: Tensor, patch_states: Tensor) -> Tensor:
        encoder = self.model.kaleidobert
        if self.model.config.itm_prefix:
            cache = encoder.encode_prefix(patch_states)
            pair = encoder.encode_text_with_prefix(token_states, attention_mask, cache)
        else:
            pair = encoder.encode_pair(token_states, attention_mask, patch_states)
        return self.model.itm_head(pair.pooler_output)

    def example(self) -> tuple[Tensor, ...]:
        ids, mask = _texts()
        with torch.no_grad():
            return self.model.kaleidobert.embed_tokens(ids, mask), mask, _states(self.model)


class CaptionEntry(nn.Module):
    """Token ids (N, T), patch states (N, P, H) and which of the texts see no photo (N,) -> log p (N, T - 1) of each
    token after the first, meaningless at padding."""

    name = "the joint entry (LM)"
    axes: Axes = {"input_ids": {0: "pairs", 1: "tokens"}, "patch_states": {0: "pairs"}, "text_only": {0: "pairs"}}
    outputs = ("token_log_likelihoods",)

    def __init__(self, model: KaleidoBertPairModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, patch_states: Tensor, text_only: Tensor) -> Tensor:
        encoder = self.model.kaleidobert
        cache: PrefixCache = encoder.encode_prefix(patch_states)
        states = encoder.decode_step(input_ids[:, :-1], cache, text_only)
        likelihoods = self.model.lm_head(states).log_softmax(dim=-1)  # (N, T - 1, vocabulary)
        return likelihoods.gather(2, input_ids[:, 1:, None]).squeeze(2)

    def example(self) -> tuple[Tensor, ...]:
        return _texts()[0], _states(self.model), torch.tensor([True, False])


class SaliencyEntry(nn.Module):
    """A photo as bytes (S, S, 3) -> its foreground (S, S) in [0, 1]."""

    name = "the foreground network"
    axes: Axes = {"photo": {}}
    outputs = ("mask",)

    def __init__(self, detector: NetworkDetector) -> None:
        super().__init__()
        self.network, self.side = detector.network, detector.side

    def forward(self, photo: Tensor) -> Tensor:
        return self.network(photo.permute(2, 0, 1)[None].float() / 255).mask[0].sigmoid()

    def example(self) -> tuple[Tensor, ...]:
        return (torch.zeros(self.side, self.side, 3, dtype=torch.uint8),)


Entry = TextEntry | ImageEntry | PatchEntry | MatchingEntry | CaptionEntry | SaliencyEntry


def _texts() -> tuple[Tensor, Tensor]:
    ids = torch.arange(ROWS * TOKENS).view(ROWS, TOKENS)
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    return ids, mask


def _states(model: KaleidoBertPairModel) -> Tensor:
    return torch.randn(ROWS, patch_count(model.config.level_table), model.config.encoder_config.hidden_size)
