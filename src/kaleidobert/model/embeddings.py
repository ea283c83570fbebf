"""Patch embeddings (patent: embeddings). Token embeddings are the library's `BertEmbeddings` as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kaleidobert.levels import patch_locations
from kaleidobert.model.configuration import KaleidoBertConfig

IMAGE_SEGMENT = 1  # text is segment 0, which `BertEmbeddings` takes by default


class PatchEmbeddings(nn.Module):
    """LayerNorm(FC(feature) + FC(location) + segment): one class, whatever the level."""

    locations: Tensor

    def __init__(self, config: KaleidoBertConfig, feature_size: int) -> None:
        super().__init__()
        bert = config.encoder_config
        self.feature = nn.Linear(feature_size, bert.hidden_size)
        self.location = nn.Linear(5, bert.hidden_size)
        self.LayerNorm = nn.LayerNorm(bert.hidden_size, eps=bert.layer_norm_eps)
        self.dropout = nn.Dropout(bert.hidden_dropout_prob)
        locations = torch.from_numpy(patch_locations(config.level_table))
        self.register_buffer("locations", locations, persistent=False)  # (P, 5)

    def forward(self, features: Tensor, segment: Tensor) -> Tensor:
        """Standardised patch features (B, P, D) and the segment's embedding (H,) -> (B, P, H)."""
        features, locations = features.to(self.feature.weight.dtype), self.locations.to(self.feature.weight.dtype)
        return self.dropout(self.LayerNorm(self.feature(features) + self.location(locations) + segment))
