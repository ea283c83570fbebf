"""The Kaleido-BERT encoder: one BERT over text tokens and kaleidoscope patches (patent: FIG. 3).

`encode_image` and `encode_text` encode one modality alone and return embeddings; `encode_pair` fuses both. With
``fusion_layer`` k > 0, the lower k layers process each modality separately and `encode_pair` continues from their
states, so that re-ranking runs only the upper layers; k = 0 is the published single stream.

`layers.py` runs BERT's layers, with masks and caches.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertModel, PreTrainedModel, initialization
from transformers.utils.generic import can_return_tuple

from kaleidobert.levels import patch_locations
from kaleidobert.model.cached_features import cached_features, is_cached
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.embeddings import IMAGE_SEGMENT, PatchEmbeddings
from kaleidobert.model.layers import (
    LayerRecord,
    PrefixCache,
    attend_to_prefix,
    by_length,
    decode,
    decode_pairs,
    encode_prefix,
    has_attention,
    new_layers,
    recording,
    run_image_layers,
    run_layers,
)
from kaleidobert.model.outputs import KaleidoBertImageOutput, KaleidoBertOutput, KaleidoBertTextOutput
from kaleidobert.vision.backbones import PatchEncoder, backbone_parts, depthwise_parts

MODEL_CARD = "README.md"  # of a run folder, as `evaluation.model_card` writes it


class KaleidoBertPreTrainedModel(PreTrainedModel):
    """The base class of all models: configuration, initial weights, and supported features of the library."""

    config_class = KaleidoBertConfig
    base_model_prefix = "kaleidobert"
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise what a checkpoint lacks, as `from_pretrained` creates modules on the meta device."""
        super()._init_weights(module)
        if isinstance(module, PatchEncoder):
            initialization.copy_(module.mean, torch.tensor(self.config.image_mean).view(1, 3, 1, 1))
            initialization.copy_(module.std, torch.tensor(self.config.image_std).view(1, 3, 1, 1))
        elif isinstance(module, PatchEmbeddings):
            initialization.copy_(module.locations, torch.from_numpy(patch_locations(self.config.level_table)))

    def _upload_modified_files(self, working_dir: str | PathLike[Any], *args: Any, **kwargs: Any) -> Any:
        """`push_to_hub` also uploads the model card of the run folder that the model was loaded from."""
        run = self.config._name_or_path
        if run and (Path(run) / "config.json").is_file() and (Path(run) / MODEL_CARD).is_file():
            shutil.copy(Path(run) / MODEL_CARD, Path(working_dir) / MODEL_CARD)
        return super()._upload_modified_files(working_dir, *args, **kwargs)

    def set_attn_implementation(self, attn_implementation: str | dict, allow_all_kernels: bool = False) -> None:
        """As in the library; a single name applies to the encoder, and to the backbone if it has attention."""
        if isinstance(attn_implementation, str):
            parts = {"": attn_implementation, "encoder_config": attn_implementation}
            if has_attention(self.config.backbone_config):
                parts["backbone_config"] = attn_implementation
            attn_implementation = parts
        super().set_attn_implementation(attn_implementation, allow_all_kernels)


class KaleidoBertModel(KaleidoBertPreTrainedModel):
    """The encoder, without heads (`heads.py`) and losses (`losses.py`)."""

    _keys_to_ignore_on_load_unexpected = [
        *(rf"^{name}\." for name in ("itm_head", "lm_head", "pretext_heads", "classifier")),
        *(rf"^{name}$" for name in ("logit_scale", "negatives", "match_accuracy")),
    ]

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        bert = config.encoder_config
        if not has_attention(config.backbone_config):
            config.backbone_config._attn_implementation = "eager"
        self.patch_encoder = PatchEncoder(
            config.backbone_config,
            config.patch_features,
            config.crop_size,
            config.image_mean,
            config.image_std,
        )
        if bert._attn_implementation is None and not torch.cuda.is_available():
            # On CPUs the fused kernel's backward pass takes three times as long at some seventy tokens.
            bert._attn_implementation = "eager"
        self.bert = BertModel(bert, add_pooling_layer=False)
        if config.joint_initializer_range:
            for module in self.bert.encoder.layer[config.fusion_layer :].modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=config.joint_initializer_range)
        self.patch_embeddings = PatchEmbeddings(config, self.patch_encoder.feature_size)
        self.image_layers = new_layers(bert, config.image_layers or 0)
        self.image_projection = nn.Linear(bert.hidden_size, config.projection_size)
        self.text_projection = nn.Linear(bert.hidden_size, config.projection_size)
        self.backbone_frozen = self.statistics_frozen = False
        self.post_init()

    def freeze_backbone(self) -> None:
        """Keep the backbone's weights and batch statistics as they are, also in training mode."""
        self.backbone_frozen = True
        self.train(self.training)

    def freeze(
        self,
        stages: int = 0,
        depthwise: bool = False,
        batch_norm: bool = False,
        embeddings: bool = False,
        layers: int = 0,
    ) -> None:
        """Keep parts of a trained start as they are.

        stages: the backbone's stem and this many stages, unless 0. depthwise: its depthwise convolutions, whose
        gradients are slow on CPUs. batch_norm: its batch statistics. embeddings, layers: of tokens, and the lowest
        layers of BERT.
        """
        backbone = self.patch_encoder.backbone
        frozen = backbone_parts(backbone)[: stages + 1] if stages else []
        frozen += depthwise_parts(backbone) if depthwise else []
        frozen += [self.bert.embeddings] if embeddings else []
        for part in (*frozen, *self.bert.encoder.layer[:layers]):
            part.requires_grad_(False)
        self.statistics_frozen = batch_norm
        self.train(self.training)

    def train(self, mode: bool = True) -> KaleidoBertModel:
        super().train(mode)
        if getattr(self, "backbone_frozen", False):
            self.patch_encoder.eval().requires_grad_(False)
        if getattr(self, "statistics_frozen", False):
            for part in self.patch_encoder.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def get_input_embeddings(self) -> nn.Embedding:
        return self.bert.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.bert.set_input_embeddings(value)

    # The two sides

    def patch_features(self, pixel_values: Tensor) -> Tensor:
        """Locked portions (B, 3, S, S), or cached features in their place -> standardised features (B, P, D)."""
        if is_cached(pixel_values):
            return cached_features(pixel_values, self.config.level_table)
        return self.patch_encoder.standardised(self.patch_encoder(pixel_values, self.config.level_table))

    def embed_patches(self, features: Tensor, kept: Tensor | None = None) -> Tensor:
        """Patch features (B, P, D) -> patch states (B, P, H), or (B, K, H) of the patches ``kept`` (B, K)."""
        inputs = self._patch_inputs(features, kept)
        if self.config.image_layers is None:
            return run_layers(self.bert, inputs, None, 0, self.config.fusion_layer)
        return run_image_layers(self.image_layers, inputs)

    def embed_tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (B, T) -> token states (B, T, H)."""
        return run_layers(self.bert, self.bert.embeddings(input_ids), attention_mask, 0, self.config.fusion_layer)

    def encode_image(self, pixel_values: Tensor, kept: Tensor | None = None) -> KaleidoBertImageOutput:
        """Encode locked portions (B, 3, S, S) alone, from all patches or the ones ``kept`` (B, K).

        Dropping patches follows FLIP (Li et al., CVPR 2023).
        """
        features = self.patch_features(pixel_values)
        patches = self.embed_patches(features, kept)
        last = self.image_states(patches)
        pooled = last.mean(dim=1)
        return KaleidoBertImageOutput(self.project_image(pooled), last, pooled, patches, features)

    def image_states(self, patch_states: Tensor) -> Tensor:
        """Patch states (B, P, H) -> last states (B, P, H) of the image encoder."""
        ended = self.config.fusion_layer or self.config.image_layers is not None
        return patch_states if ended else run_layers(self.bert, patch_states, None, 0, None)

    def project_image(self, pooled: Tensor) -> Tensor:
        """Mean last states (B, H) -> embeddings (B, V), unit vectors."""
        return F.normalize(self.image_projection(pooled).float(), dim=-1)

    def project_patches(self, patch_states: Tensor) -> tuple[Tensor, Tensor]:
        """Patch states (B, P, H) -> embeddings (B, V), without the mirror image, and each patch's share (B, P, V)."""
        states = self.image_states(patch_states)
        return self.project_image(states.mean(dim=1)), (states @ self.image_projection.weight.T).float()

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> KaleidoBertTextOutput:
        """Encode texts (B, T) alone; attention_mask (B, T) is 0 at padding."""
        tokens = self.embed_tokens(input_ids, attention_mask)
        last = tokens if self.config.fusion_layer else run_layers(self.bert, tokens, attention_mask, 0, None)
        weights = attention_mask.unsqueeze(-1).to(last.dtype)
        pooled = (last * weights).sum(dim=1) / weights.sum(dim=1)
        embeds = F.normalize(self.text_projection(pooled).float(), dim=-1)
        return KaleidoBertTextOutput(embeds, last, pooled, tokens)

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertImageOutput:
        """Encode photos, pixel_values (B, 3, S, S) in [0, 1], under the library's name for this.

        With ``config.mirror``, the embedding is the mean of those of the photo and of its mirror image.
        """
        with self.recording(output_hidden_states, output_attentions) as record:
            output = self.encode_image(pixel_values)
        if self.config.mirror and not self.training:
            mirrored = self.encode_image(pixel_values.flip(-1)).image_embeds
            output.image_embeds = F.normalize(output.image_embeds + mirrored, dim=-1)
        output.hidden_states, output.attentions = record.states(), record.attentions()
        return output

    @can_return_tuple
    def get_text_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertTextOutput:
        """Encode texts, input_ids (B, T), under the library's name for this. Default mask: no padding."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        with self.recording(output_hidden_states, output_attentions) as record:
            output = self.encode_text(input_ids, mask)
        output.hidden_states, output.attentions = record.states(), record.attentions()
        return output

    # The single stream

    def encode_pair(self, token_states: Tensor, attention_mask: Tensor, patch_states: Tensor) -> KaleidoBertOutput:
        """Fuse token states (B, T, H), with their attention_mask (B, T), and patch states (B, P, H)."""
        seen = F.pad(attention_mask, (0, patch_states.shape[1]), value=1)  # (B, T + P)
        stream = torch.cat([token_states, patch_states], dim=1)  # (B, T + P, H)
        last = run_layers(self.bert, stream, seen, self.config.fusion_layer, None)
        return KaleidoBertOutput(last, last[:, 0])

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> KaleidoBertOutput:
        """Photos (B, 3, S, S) and their texts (B, T) through the single stream."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        with self.recording(output_hidden_states, output_attentions) as patches:
            patch_states = self.embed_patches(self.patch_features(pixel_values))
        with self.recording(output_hidden_states, output_attentions) as tokens:
            token_states = self.embed_tokens(input_ids, mask)
        with self.recording(output_hidden_states, output_attentions) as joint:
            output = self.encode_pair(token_states, mask, patch_states)
        output.hidden_states, output.attentions = joint.after(tokens, patches, token_states, patch_states)
        return output

    def recording(self, hidden_states: bool | None, attentions: bool | None) -> AbstractContextManager[LayerRecord]:
        """Record the hidden states and attentions of BERT's layers, by default those that the configuration names."""
        hidden_states = self.config.output_hidden_states if hidden_states is None else hidden_states
        attentions = self.config.output_attentions if attentions is None else attentions
        return recording(self.bert, bool(hidden_states), bool(attentions), self.image_layers)

    def encode_text_with_prefix(
        self, token_states: Tensor, attention_mask: Tensor, cache: PrefixCache
    ) -> KaleidoBertOutput:
        """Fuse token states (N, T, H) with the patches (N, P) of a new cache, which do not attend to the tokens.

        A photo's patches are then encoded once for all texts, by `encode_prefix`. The result holds the tokens alone,
        and their mean.
        """
        last = attend_to_prefix(self.bert, token_states, attention_mask, cache, self.config.fusion_layer)
        weights = attention_mask.unsqueeze(-1).to(last.dtype)
        return KaleidoBertOutput(last, (last * weights).sum(dim=1) / weights.sum(dim=1))

    # Text after a photo, token by token

    def encode_prefix(self, patch_states: Tensor) -> PrefixCache:
        """Keys and values of patch states (B, P, H) in the fusion layers, for tokens to attend to."""
        return encode_prefix(self.bert, patch_states, self.config.fusion_layer)

    def decode_step(self, input_ids: Tensor, cache: PrefixCache, text_only: Tensor | None = None) -> Tensor:
        """Last states (B, T, H) of tokens (B, T), which attend to the patches and to earlier tokens.

        Extends the cache. The mask is that of a sequence-to-sequence model (UniLM: Dong et al. 2019; VLP: Zhou et al.
        2020): patches attend to patches only, so `encode_prefix` computes them once. Below ``fusion_layer``, tokens
        attend to tokens only. ``text_only`` (B,) bool: texts that do not attend to their photo.
        """
        return decode(self.bert, input_ids, cache, self.config.fusion_layer, text_only)

    def decode_texts(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        cache: PrefixCache,
        text_only: Tensor | None = None,
        photos: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`decode_step` for whole texts (B, T), padded on the right, after the photos of a new cache.

        ``photos`` (B,): each text's row of the cache; by default one row for each text.
        Returns the last states (M, H) of all tokens but padding and the last of each text, and the token ids (M,) that
        follow them.
        """
        followed = attention_mask[:, 1:].bool()
        places = torch.arange(followed.numel(), device=followed.device).view(followed.shape)
        states, order = [], []
        for rows, length in by_length(attention_mask.sum(dim=1)):
            blind = None if text_only is None else text_only[rows]
            own = cache.rows(rows if photos is None else photos[rows])
            found = self.decode_step(input_ids[rows, : length - 1], own, blind)
            states.append(found[followed[rows, : length - 1]])
            order.append(places[rows, : length - 1][followed[rows, : length - 1]])
        return torch.cat(states).index_select(0, torch.cat(order).argsort()), input_ids[:, 1:][followed]

    def decode_pairs(
        self, input_ids: Tensor, attention_mask: Tensor, cache: PrefixCache, texts: Tensor, photos: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`decode_texts` for N pairs, given by the rows (N,) of texts (B, T) and of the cache's photos.

        Returns states (M, H) and tokens (M,), and the pair (M,) of each, in any order.
        """
        states, tokens, pairs = [], [], []
        for rows, length in by_length(attention_mask.sum(dim=1)[texts], 128):
            chosen, which = texts[rows].unique(return_inverse=True)
            found = decode_pairs(
                self.bert, input_ids[chosen, : length - 1], cache, which, photos[rows], self.config.fusion_layer
            )
            followed = attention_mask[texts[rows], 1:length].bool()
            states.append(found[followed])
            tokens.append(input_ids[texts[rows], 1:length][followed])
            pairs.append(rows[:, None].expand_as(followed)[followed])
        return torch.cat(states), torch.cat(tokens), torch.cat(pairs)

    def _patch_inputs(self, features: Tensor, kept: Tensor | None) -> Tensor:
        segment = self.bert.embeddings.token_type_embeddings.weight[IMAGE_SEGMENT]
        embedded = self.patch_embeddings(features, segment)
        return embedded if kept is None else embedded.gather(1, kept.unsqueeze(-1).expand(-1, -1, embedded.shape[-1]))
