"""The Kaleido-BERT encoder: one BERT over text tokens and kaleidoscope patches, with three entries.

``encode_image`` and ``encode_text`` see one side alone and give contrastive vectors; ``encode_pair`` sees both.
With ``fusion_layer`` k > 0 the lower k layers serve the uni-modal entries and the joint entry starts from
their states, so re-ranking costs only the upper layers; k = 0 is the published single stream (SEED: FIG. 3).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, BertModel, DynamicCache, PreTrainedModel, initialization
from transformers.masking_utils import create_bidirectional_mask

from kaleidobert.errors import InputError
from kaleidobert.levels import patch_count, patch_locations
from kaleidobert.model.cached_features import cached_features, is_cached
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.embeddings import IMAGE_SEGMENT, PatchEmbeddings
from kaleidobert.vision.backbones import PatchEncoder

# Settings that change what the same weights compute.
SHAPING_SETTINGS = (
    *("levels", "patch_features", "image_mean", "image_std", "image_size", "crop_size"),
    *("keep_aspect", "saliency", "fusion_layer", "projection_size", "mirror", "memory_neighbours", "memory_weight"),
)
# Settings of a BERT or of a backbone that a published checkpoint must share with the model that starts from it.
SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "layer_type", "embedding_size", "hidden_sizes", "depths"),
)


class ImageOutput(NamedTuple):
    """vectors (B, V), unit length; patches (B, P, H), what the joint entry takes; features (B, P, D).

    summary (B, H): the mean of the last states, which the vectors are a projection of.
    """

    vectors: Tensor
    patches: Tensor
    features: Tensor
    summary: Tensor


class TextOutput(NamedTuple):
    """vectors (B, V), unit length; tokens (B, T, H), what the joint entry takes; summary (B, H) as for images."""

    vectors: Tensor
    tokens: Tensor
    summary: Tensor


class PairOutput(NamedTuple):
    """tokens (B, T, H) and patches (B, P, H): hidden states of the last layer; tokens[:, 0] is [CLS]."""

    tokens: Tensor
    patches: Tensor


class KaleidoBertPreTrainedModel(PreTrainedModel):
    config_class = KaleidoBertConfig
    base_model_prefix = "kaleidobert"
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """`from_pretrained` builds on the meta device: what a checkpoint does not hold gets its value here."""
        super()._init_weights(module)
        if isinstance(module, PatchEncoder):
            initialization.copy_(module.mean, torch.tensor(self.config.image_mean).view(1, 3, 1, 1))
            initialization.copy_(module.std, torch.tensor(self.config.image_std).view(1, 3, 1, 1))
        elif isinstance(module, PatchEmbeddings):
            initialization.copy_(module.locations, torch.from_numpy(patch_locations(self.config.level_table)))

    def fingerprint(self) -> str:
        """16 hex digits over every weight and the sizes that give them meaning; stored with an index."""
        settings = {name: getattr(self.config, name) for name in SHAPING_SETTINGS}
        settings["num_attention_heads"] = self.config.encoder_config.num_attention_heads
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


class KaleidoBertModel(KaleidoBertPreTrainedModel):
    """The encoder with its three entries; heads live in `heads.py`, losses in `losses.py`."""

    def __init__(self, config: KaleidoBertConfig) -> None:
        super().__init__(config)
        bert = config.encoder_config
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
        self.image_projection = nn.Linear(bert.hidden_size, config.projection_size)
        self.text_projection = nn.Linear(bert.hidden_size, config.projection_size)
        self.post_init()
        self.train()

    def train(self, mode: bool = True) -> KaleidoBertModel:
        """A frozen backbone stays frozen, its batch statistics too, also after `from_pretrained`."""
        super().train(mode)
        if self.config.freeze_backbone:
            self.patch_encoder.eval().requires_grad_(False)
        return self

    def get_input_embeddings(self) -> nn.Embedding:
        return self.bert.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.bert.set_input_embeddings(value)

    def load_bert(self, name_or_folder: str) -> None:
        """Start encoder and token embeddings from a published BERT checkpoint of the same sizes."""
        _start_from(self.bert, name_or_folder, add_pooling_layer=False)

    def load_backbone(self, name_or_folder: str) -> None:
        """Start the image backbone from a published checkpoint, for example ResNet-50."""
        backbone = self.patch_encoder.backbone
        _start_from(backbone, name_or_folder, out_features=backbone.out_features)

    def patch_features(self, pixel_values: Tensor) -> Tensor:
        """Locked portions (B, 3, S, S), or their tables, -> standardised patch features (B, P, D), every level."""
        if is_cached(pixel_values):
            return cached_features(pixel_values, self.config.level_table)
        features = self.patch_encoder(pixel_values, self.config.level_table)
        return F.layer_norm(features.float(), features.shape[-1:])

    def embed_patches(self, features: Tensor, kept: Tensor | None = None) -> Tensor:
        """Patch features (B, P, D) -> what the joint entry takes (B, P, H), or (B, K, H) of the ``kept`` (B, K)."""
        segment = self.bert.embeddings.token_type_embeddings.weight[IMAGE_SEGMENT]
        embedded = self.patch_embeddings(features, segment)
        if kept is not None:
            embedded = embedded.gather(1, kept.unsqueeze(-1).expand(-1, -1, embedded.shape[-1]))
        return self._layers(embedded, None, 0, self.config.fusion_layer)

    def embed_tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids (B, T) -> what the joint entry takes (B, T, H)."""
        return self._layers(self.bert.embeddings(input_ids), attention_mask, 0, self.config.fusion_layer)

    def encode_image(self, pixel_values: Tensor, kept: Tensor | None = None) -> ImageOutput:
        """Locked portions (B, 3, S, S) alone; of their patches ``kept`` (B, K), or all (FLIP: Li et al., CVPR 2023)."""
        features = self.patch_features(pixel_values)
        patches = self.embed_patches(features, kept)
        summary = self.image_states(patches).mean(dim=1)
        vectors = self.image_vectors(summary)
        return ImageOutput(vectors=vectors, patches=patches, features=features, summary=summary)

    def image_states(self, patches: Tensor) -> Tensor:
        """What the joint entry takes (B, P, H) -> the last states of the photo alone, whose mean is projected."""
        return patches if self.config.fusion_layer else self._layers(patches, None, 0, None)

    def image_vectors(self, summary: Tensor) -> Tensor:
        """The mean of a photo's last states (B, H) -> its plain contrastive vector (B, V)."""
        return F.normalize(self.image_projection(summary).float(), dim=-1)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> TextOutput:
        """Tokens (B, T) with their mask (1 for text, 0 for padding) alone."""
        tokens = self.embed_tokens(input_ids, attention_mask)
        states = tokens if self.config.fusion_layer else self._layers(tokens, attention_mask, 0, None)
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        summary = (states * weights).sum(dim=1) / weights.sum(dim=1)
        vectors = F.normalize(self.text_projection(summary).float(), dim=-1)
        return TextOutput(vectors=vectors, tokens=tokens, summary=summary)

    def encode_pair(self, tokens: Tensor, attention_mask: Tensor, patches: Tensor) -> PairOutput:
        """Embedded tokens (B, T, H) and patches (B, P, H) in one stream."""
        length = tokens.shape[1]
        seen = F.pad(attention_mask, (0, patches.shape[1]), value=1)  # (B, T + P)
        states = self._layers(torch.cat([tokens, patches], dim=1), seen, self.config.fusion_layer, None)
        return PairOutput(tokens=states[:, :length], patches=states[:, length:])

    def look(self, patches: Tensor) -> DynamicCache:
        """What tokens see of embedded patches (B, P, H) when they are read: keys and values in the joint layers."""
        states, cache = patches, DynamicCache()
        for layer in self.bert.encoder.layer[self.config.fusion_layer :]:
            states = layer(states, past_key_values=cache)
        return cache

    def read(self, input_ids: Tensor, cache: DynamicCache, text_only: Tensor | None = None) -> Tensor:
        """Last states (B, T, H) of tokens (B, T), each from the patches and the tokens before it; they join the cache.

        The joint entry masked as a sequence-to-sequence model (UniLM: Dong et al. 2019; VLP: Zhou et al. 2020): patches
        see each other alone, so ``look`` computes them once, and tokens follow, all at once or one by one. Below
        ``fusion_layer`` tokens see but tokens. ``text_only`` (B,) bool: texts that are read without their photo.
        """
        before, length = cache.get_seq_length(len(self.bert.encoder.layer) - 1), input_ids.shape[1]
        patches = min(before, patch_count(self.config.level_table)) if before else 0
        before -= patches
        states = self.bert.embeddings(input_ids, past_key_values_length=before)
        lowest = torch.finfo(states.dtype).min
        hidden = torch.ones(length, before + length, dtype=torch.bool, device=states.device).triu(before + 1)
        left = torch.zeros(hidden.shape, dtype=states.dtype, device=states.device)
        left = left.masked_fill(hidden, lowest)[None, None]  # (1, 1, T, before + T)
        both = F.pad(left, (patches, 0))  # (1, 1, T, P + before + T): patches came first, and are seen by all
        if text_only is not None:
            blind = (text_only.to(states.dtype) * lowest).view(-1, 1, 1, 1).expand(-1, 1, length, patches)
            both = torch.cat([blind, left.expand(len(blind), -1, -1, -1)], dim=-1)
        for index, layer in enumerate(self.bert.encoder.layer):
            states = layer(states, left if index < self.config.fusion_layer else both, past_key_values=cache)
        return states

    def decode_texts(
        self, input_ids: Tensor, attention_mask: Tensor, cache: DynamicCache, text_only: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What whole texts (B, T) say after each of their tokens, in one row of M: states (M, H), next tokens (M,).

        Texts are padded on the right, so no token sees padding; see ``read`` for the other two.
        """
        said = attention_mask[:, 1:].bool()
        return self.read(input_ids[:, :-1], cache, text_only)[said], input_ids[:, 1:][said]

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> PairOutput:
        """Photos (B, 3, S, S) and their texts (B, T) through the joint entry."""
        patches = self.embed_patches(self.patch_features(pixel_values))
        return self.encode_pair(self.embed_tokens(input_ids, attention_mask), attention_mask, patches)

    def _layers(self, states: Tensor, attention_mask: Tensor | None, first: int, last: int | None) -> Tensor:
        layers = self.bert.encoder.layer[first:last]
        seen = None
        if len(layers) and attention_mask is not None:
            bert = self.config.encoder_config
            seen = create_bidirectional_mask(bert, inputs_embeds=states, attention_mask=attention_mask)
        for layer in layers:
            states = layer(states, seen)
        return states


def _start_from(part: PreTrainedModel, name_or_folder: str, **kwargs: Any) -> None:
    """Copy a published checkpoint's weights. Raises ``InputError`` where it is none, or its sizes are others."""
    try:
        published = AutoConfig.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise InputError(f"{name_or_folder}: no checkpoint there ({' '.join(str(error).split())})") from error
    for size in ("model_type", *SIZES):
        theirs, own = getattr(published, size, None), getattr(part.config, size, None)
        if theirs != own:
            raise InputError(f"{name_or_folder}: its {size} is {theirs}, this model's is {own}; they must be equal")
    loaded: Any = type(part).from_pretrained(name_or_folder, output_loading_info=True, **kwargs)
    trained, report = loaded
    if report["missing_keys"]:
        raise InputError(f"{name_or_folder}: weights are missing, among them {min(report['missing_keys'])}")
    part.load_state_dict(trained.state_dict())
