"""A trained start: a text encoder's and an image backbone's weights from published checkpoints, by name or folder.

Names are those of the packaged weights (`kaleidobert.pretrained`), or of models on the Hugging Face Hub. Texts: BERT,
and models of its layers under other names. Images: any `transformers` backbone, and the vision tower of
a CLIP or SigLIP.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModel, BaseImageProcessor, PretrainedConfig, PreTrainedModel

from kaleidobert.errors import InputError
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.pretrained import PACKAGED, packaged_weights
from kaleidobert.vision.efficientnet_lite import IMAGE_MEAN, IMAGE_STD, SCALES, EfficientNetLiteConfig, convert_weights
from kaleidobert.vision.vision_tower import TOWERS, VisionTowerBackbone, VisionTowerConfig

_LOGGER = logging.getLogger(__name__)
# Text checkpoints by model_type. All but BERT count positions from pad_token_id + 1 on.
TEXT_TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet")
# Sizes that a model takes from the checkpoint it starts from, and may not set otherwise.
TEXT_SIZES = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps")
UP_TO = ("num_hidden_layers", "max_position_embeddings")  # sizes of which a model may have fewer: the first ones
# Settings of a backbone that do not belong to its architecture, and may differ from its checkpoint's.
FREE = re.compile("out_.*|stage_names|.*drop.*|initializer_.*|layer.*_value|apply_layernorm|reshape_hidden_states")
MPNET_NAMES = {  # of a layer's parts, and BERT's
    "attention.attn.q": "attention.self.query",
    "attention.attn.k": "attention.self.key",
    "attention.attn.v": "attention.self.value",
    "attention.attn.o": "attention.output.dense",
    "attention.LayerNorm": "attention.output.LayerNorm",
}


def text_checkpoint(name_or_folder: str) -> str:
    """The folder of packaged weights, or the name as it is."""
    return str(packaged_weights(name_or_folder).parent) if name_or_folder in PACKAGED else name_or_folder


def text_sizes(name_or_folder: str) -> dict[str, Any]:
    """The settings of a model's ``encoder_config`` that a text checkpoint gives. Raises ``InputError``."""
    published = _config(text_checkpoint(name_or_folder))
    if published.model_type not in TEXT_TYPES:
        known = ", ".join(TEXT_TYPES)
        raise InputError(f"{name_or_folder}: its model_type is {published.model_type}, not one of {known}")
    sizes = {name: getattr(published, name) for name in (*TEXT_SIZES, *UP_TO)}
    return sizes | {"max_position_embeddings": sizes["max_position_embeddings"] - _first_position(published)}


def image_sizes(name_or_folder: str) -> dict[str, Any]:
    """The settings of a model that an image checkpoint gives: backbone_config, and, if known, image_mean, image_std.

    Raises ``InputError``.
    """
    published = _image_config(name_or_folder)
    sizes = {"backbone_config": {"model_type": published.model_type} | _architecture(published)}
    if name_or_folder in PACKAGED:
        return sizes | {"image_mean": list(IMAGE_MEAN), "image_std": list(IMAGE_STD)}
    return sizes | _normalisation(name_or_folder)


def with_sizes(model: Mapping[str, Any], text: str | None, image: str | None) -> dict[str, Any]:
    """The arguments of `KaleidoBertConfig` in ``model``, with the sizes of the checkpoints that it starts from.

    Where ``model`` has a hidden_size and a backbone's model_type, as in a run's settings, the checkpoints are not read.
    """
    found = dict(model)
    encoder, backbone = model.get("encoder_config") or {}, model.get("backbone_config") or {}
    if text and "hidden_size" not in encoder:
        found["encoder_config"] = text_sizes(text) | encoder
    if image and "model_type" not in backbone:
        sizes = image_sizes(image)
        found = sizes | found | {"backbone_config": sizes["backbone_config"] | backbone}
    return found


def load_text(model: KaleidoBertModel, name_or_folder: str, kept_tokens: list[int] | None = None) -> None:
    """Copy token embeddings and layers from a text checkpoint; raises ``InputError`` where the sizes differ.

    A model with fewer layers or positions gets the first ones. ``kept_tokens``: the checkpoint's ids of the model's
    tokens, where its vocabulary was trimmed (see `model.tokenizer.trim_vocabulary`). Where a checkpoint knows one
    segment or none, photos keep the new model's own; MPNet's bias by relative position has no counterpart in BERT and
    is left out, which a warning says.
    """
    own = model.bert.config
    for size, theirs in text_sizes(name_or_folder).items():
        mine = getattr(own, size)
        if size == "vocab_size" and kept_tokens is not None:
            continue
        if mine != theirs and not (size in UP_TO and mine < theirs):
            raise InputError(f"{name_or_folder}: its {size} is {theirs}, this model's is {mine}; they must be equal")
    published = _trained(AutoModel, text_checkpoint(name_or_folder), name_or_folder, add_pooling_layer=False)
    weights = _bert_weights(published, name_or_folder)
    if kept_tokens is not None:
        words = "embeddings.word_embeddings.weight"
        weights[words] = weights[words][kept_tokens]
    for name, tensor in model.bert.state_dict().items():
        if "token_type" in name:
            segments = weights.get(name, tensor[:0])
            tensor[: len(segments)] = segments[: len(tensor)]
        else:
            tensor.copy_(weights[name][: len(tensor)] if "position" in name else weights[name])


def load_image(model: KaleidoBertModel, name_or_folder: str) -> None:
    """Copy the image backbone from a checkpoint of the same sizes; raises ``InputError``."""
    load_backbone(model.patch_encoder.backbone, name_or_folder)


def load_backbone(backbone: Any, name_or_folder: str) -> None:
    """Copy a `transformers` backbone's weights from a checkpoint of the same sizes; raises ``InputError``."""
    _check_equal(backbone.config, _image_config(name_or_folder), name_or_folder)
    if name_or_folder in PACKAGED:
        published = torch.load(packaged_weights(name_or_folder), weights_only=True, map_location="cpu")
        backbone.load_state_dict(convert_weights(published, backbone.config))
        return
    if isinstance(backbone, VisionTowerBackbone):
        backbone.tower.load_state_dict(_trained(type(backbone.tower), name_or_folder, name_or_folder).state_dict())
        return
    trained = _trained(type(backbone), name_or_folder, name_or_folder, out_features=backbone.out_features)
    backbone.load_state_dict(trained.state_dict())


def _first_position(published: PretrainedConfig) -> int:
    return 0 if published.model_type == "bert" else published.pad_token_id + 1


def _bert_weights(published: PreTrainedModel, name_or_folder: str) -> dict[str, Tensor]:
    """The weights of a text checkpoint under BERT's names, its positions counted from 0."""
    weights = dict(published.state_dict())
    if published.config.model_type == "mpnet":
        _LOGGER.warning("%s: MPNet's relative position bias has no place in BERT's layers; left out", name_or_folder)
        for theirs, ours in MPNET_NAMES.items():
            weights = {name.replace(f".{theirs}.", f".{ours}."): value for name, value in weights.items()}
    positions = "embeddings.position_embeddings.weight"
    weights[positions] = weights[positions][_first_position(published.config) :]
    return weights


def _architecture(config: PretrainedConfig) -> dict[str, Any]:
    """What tells a backbone's configuration from others of its type, without ``FREE``."""
    if isinstance(config, VisionTowerConfig):
        return {"tower": {"model_type": config.tower.model_type} | _architecture(config.tower)}
    common, own = PretrainedConfig().to_dict(), config.to_diff_dict()
    return {name: own[name] for name in own if name not in common and not FREE.fullmatch(name)}


def _normalisation(name_or_folder: str) -> dict[str, list[float]]:
    """image_mean and image_std of a checkpoint that says how its photos are prepared; else nothing."""
    try:
        found, _ = BaseImageProcessor.get_image_processor_dict(name_or_folder)
    except (OSError, ValueError):
        return {}
    if not found.get("do_normalize", True):
        return {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    return {name: list(found[name]) for name in ("image_mean", "image_std") if found.get(name)}


def _image_config(name_or_folder: str) -> PretrainedConfig:
    if name_or_folder in PACKAGED:
        if not name_or_folder.startswith(EfficientNetLiteConfig.model_type):
            raise InputError(f"initial.image: {name_or_folder} has no image backbone; use it for initial.text")
        width, depth = SCALES[int(name_or_folder[-1])]
        return EfficientNetLiteConfig(width=width, depth=depth)
    published = _config(name_or_folder)
    if published.model_type in TOWERS:
        return VisionTowerConfig(published.vision_config)
    return VisionTowerConfig(published) if published.model_type in TOWERS.values() else published


def _check_equal(own: PretrainedConfig, published: PretrainedConfig, name_or_folder: str) -> None:
    if isinstance(own, VisionTowerConfig) and isinstance(published, VisionTowerConfig):
        own, published = own.tower, published.tower
    names = {name: None for each in (own, published) for name in _architecture(each)}
    for size in ("model_type", *names):
        theirs, mine = getattr(published, size, None), getattr(own, size, None)
        if theirs != mine:
            raise InputError(f"{name_or_folder}: its {size} is {theirs}, this model's is {mine}; they must be equal")


def _config(name_or_folder: str) -> PretrainedConfig:
    if Path(name_or_folder).suffix == ".pth":
        raise InputError(f"{name_or_folder}: give the name of a checkpoint or its folder")
    try:
        return AutoConfig.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise InputError(f"{name_or_folder}: no checkpoint there ({' '.join(str(error).split())})") from error


def _trained(kind: Any, folder: str, name: str, **kwargs: Any) -> PreTrainedModel:
    """A checkpoint's model. Raises ``InputError`` where weights are missing, except norms that only a backbone has."""
    try:
        trained, report = kind.from_pretrained(folder, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{name}: weights cannot be loaded ({' '.join(str(error).split())})") from error
    missing = [each for each in report["missing_keys"] if not each.startswith("hidden_states_norms.")]
    if missing:
        raise InputError(f"{name}: weights are missing, among them {min(missing)}")
    return trained
