"""The models of `peers.py`: `transformers` classes, each with a score for pairs of a text and a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BertModel,
    ResNetModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    VisualBertConfig,
    VisualBertModel,
)
from transformers.modeling_outputs import ModelOutput

from kaleidobert.benchmark.vilt import SIZES, Normalised, ViltStream
from kaleidobert.levels import Level
from kaleidobert.model import KaleidoBertConfig
from kaleidobert.model.losses import (
    RANDOM,
    SAME_SUBCATEGORY,
    also_fitting,
    contrastive_loss,
    draw_negatives,
    matching_loss,
)
from kaleidobert.vision.backbones import PatchEncoder

GRID = 5  # of VisualBERT, the finest of the preset's levels


@dataclass
class PeerOutput(ModelOutput):
    """What `KaleidoBertTrainer` minimises and logs."""

    loss: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    accuracies: dict[str, Tensor] | None = None


class PooledResNet(ResNetModel):
    """A ResNet whose pooled output is (B, D), as the dual encoder expects, instead of (B, D, 1, 1)."""

    def forward(self, pixel_values: Tensor, **_: Any) -> Any:
        output = super().forward(pixel_values)
        output.pooler_output = output.pooler_output.flatten(1)
        return output


class Clip(nn.Module):
    """A dual encoder, scored by cosine."""

    def __init__(self, config: KaleidoBertConfig, patch: int, harder_from: float) -> None:  # noqa: ARG002
        super().__init__()
        text, vision = config.encoder_config, config.backbone_config
        vision.hidden_size = vision.hidden_sizes[-1]
        both = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=config.projection_size)
        self.normalised = Normalised(config)
        self.model = VisionTextDualEncoderModel(both, vision_model=PooledResNet(vision), text_model=BertModel(text))

    def photos(self, pixels: Tensor) -> Tensor:
        pooled = self.model.vision_model(pixel_values=self.normalised(pixels)).pooler_output
        return F.normalize(self.model.visual_projection(pooled).float(), dim=-1)

    def texts(self, ids: Tensor, mask: Tensor) -> Tensor:
        pooled = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(self.model.text_projection(pooled).float(), dim=-1)

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        return (self.texts(ids, mask) * photos).sum(dim=-1)

    def forward(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, text_group: Tensor, **_: Any
    ) -> PeerOutput:
        scale = self.model.logit_scale.exp().clamp(max=100)
        vectors = self.photos(pixel_values), self.texts(input_ids, attention_mask)
        loss = contrastive_loss(*vectors, scale, also_fitting(text_group))
        return PeerOutput(loss=loss, losses={"contrastive": loss})


class SingleStream(nn.Module):
    """Trained by image-text matching (ITM) alone; ``pair_scores`` are its logits."""

    accuracy: Tensor
    grade: Tensor

    def __init__(self, hidden_size: int, std: float, harder_from: float) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)
        nn.init.normal_(self.score.weight, std=std)
        nn.init.zeros_(self.score.bias)
        self.harder_from = harder_from
        self.register_buffer("accuracy", torch.tensor(0.5))
        self.register_buffer("grade", torch.tensor(RANDOM))

    def photos(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        text_group: Tensor,
        subcategory: Tensor,
        negative_draws: Tensor,
        **_: Any,
    ) -> PeerOutput:
        rows = torch.arange(len(pixel_values), device=pixel_values.device)
        forbidden = also_fitting(text_group) | torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        unlike = subcategory[:, None] != subcategory[None, :]
        flat = torch.zeros(forbidden.shape, device=rows.device)
        wrong_text, wrong_photo = (
            draw_negatives(flat, forbidden, draw, int(self.grade), unlike) for draw in negative_draws
        )
        texts, photos = torch.cat([rows, wrong_text, rows]), torch.cat([rows, rows, wrong_photo])
        logits = self.pair_scores(
            input_ids[texts], attention_mask[texts], self.photos(pixel_values).index_select(0, photos)
        )
        matches = torch.arange(len(texts), device=rows.device) < len(rows)
        valid = torch.cat([rows >= 0, ~forbidden.all(dim=1), ~forbidden.all(dim=1)])
        loss = matching_loss(logits[valid], matches[valid].float())
        right = ((logits > 0) == matches).float()
        accuracy = (right[matches].mean() + right[~matches & valid].mean()) / 2
        if self.training:
            self.accuracy.lerp_(accuracy.detach(), 0.02)
            if self.grade < SAME_SUBCATEGORY and self.accuracy > self.harder_from:
                self.grade.fill_(SAME_SUBCATEGORY)
        return PeerOutput(loss=loss, losses={"ITM": loss}, accuracies={"ITM": accuracy})


class Vilt(SingleStream):
    """One stream over words and linear image patches."""

    def __init__(self, config: KaleidoBertConfig, patch: int, harder_from: float) -> None:
        text = config.encoder_config
        super().__init__(text.hidden_size, text.initializer_range, harder_from)
        self.stream = ViltStream(config, patch)

    def photos(self, pixels: Tensor) -> Tensor:
        return self.stream.photos(pixels)

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        return self.score(self.stream(ids, mask, photos).pooler_output)[:, 0].float()


class VisualBert(SingleStream):
    """One stream over words and one grid of backbone features; the backbone is trained as well."""

    def __init__(self, config: KaleidoBertConfig, patch: int, harder_from: float) -> None:  # noqa: ARG002
        text = config.encoder_config
        super().__init__(text.hidden_size, text.initializer_range, harder_from)
        self.encoder = PatchEncoder(
            config.backbone_config, "pyramid", config.crop_size, config.image_mean, config.image_std
        )
        sizes = {name: getattr(text, name) for name in SIZES}
        self.model = VisualBertModel(VisualBertConfig(**sizes, visual_embedding_dim=self.encoder.feature_size))

    def photos(self, pixels: Tensor) -> Tensor:
        features = self.encoder(pixels, [Level(GRID)])
        return F.layer_norm(features.float(), features.shape[-1:])

    def pair_scores(self, ids: Tensor, mask: Tensor, photos: Tensor) -> Tensor:
        seen = torch.ones(photos.shape[:2], dtype=torch.long, device=photos.device)
        output = self.model(input_ids=ids, attention_mask=mask, visual_embeds=photos, visual_attention_mask=seen)
        return self.score(output.pooler_output)[:, 0].float()


PEERS = {"clip": Clip, "vilt": Vilt, "visualbert": VisualBert}
