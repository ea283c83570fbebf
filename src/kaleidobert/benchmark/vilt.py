"""`transformers`' ViLT, the single stream over words and linear patches, in the sizes of a Kaleido-BERT."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import ViltConfig, ViltModel
from transformers.models.vilt.modeling_vilt import ViltMLMHead

from kaleidobert.levels import patch_count
from kaleidobert.model import KaleidoBertConfig
from kaleidobert.model.losses import masked_token_loss, matching_loss

SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"),
)


class Normalised(nn.Module):
    """Photos (B, 3, S, S) in [0, 1], normalised by the preset's mean and standard deviation."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(config.image_mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config.image_std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std


class ViltStream(nn.Module):
    """A ViLT over texts, and photos of patches of ``patch`` pixels."""

    def __init__(self, config: KaleidoBertConfig, patch: int) -> None:
        super().__init__()
        sizes = {name: getattr(config.encoder_config, name) for name in SIZES}
        chosen = ViltConfig(**sizes, image_size=config.image_size, patch_size=patch, max_image_length=-1)
        self.normalised = Normalised(config)
        self.model = ViltModel(chosen)

    def photos(self, pixels: Tensor) -> Tensor:
        """Embedded patches (B, 1 + P, H), the same for every text."""
        whole = torch.ones(len(pixels), *pixels.shape[-2:], dtype=torch.long, device=pixels.device)
        return self.model.embeddings.visual_embed(self.normalised(pixels), whole, max_image_length=-1)[0]

    def forward(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Any:
        """Last states (B, T + 1 + P, H), and pooled ones, of pairs of texts (B, T) and embedded patches."""
        seen = torch.ones(photos.shape[:2], dtype=torch.long, device=photos.device)
        return self.model(input_ids=ids, attention_mask=mask, image_embeds=photos, pixel_mask=seen)


class ViltOutput(NamedTuple):
    loss: Tensor


class ViltForPreTraining(nn.Module):
    """ViLT's own objectives (Kim et al., ICML 2021): ITM, half of the texts with another photo, and masked words.

    Each is a pass of its own, as in its published training. Photos have as many patches as a Kaleido-BERT sees, or a
    few less.
    """

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__()
        columns = int((patch_count(config.level_table) - 1) ** 0.5)  # beside one more state for the whole photo
        self.stream = ViltStream(config, -(-config.image_size // columns))
        self.mlm_head = ViltMLMHead(self.stream.model.config)
        self.itm_head = nn.Linear(config.encoder_config.hidden_size, 1)

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, masked_ids: Tensor, **_: Any
    ) -> ViltOutput:
        photos = self.stream.photos(pixel_values)
        matches = torch.arange(len(photos), device=photos.device) % 2 == 0
        shown = torch.where(matches[:, None, None], photos, photos.roll(1, dims=0))
        pooled = self.stream(input_ids, attention_mask, shown).pooler_output
        itm = matching_loss(self.itm_head(pooled)[:, 0].float(), matches.float())
        hidden = masked_ids != input_ids
        states = self.stream(masked_ids, attention_mask, photos).last_hidden_state[:, : input_ids.shape[1]]
        return ViltOutput(itm + masked_token_loss(self.mlm_head(states[hidden]).float(), input_ids[hidden]))
