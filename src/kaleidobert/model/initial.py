"""A trained start: BERT and image-backbone weights from published checkpoints, by name or folder.

Names are those of the packaged weights (`kaleidobert.pretrained`), or of models on the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, BertConfig, BertModel, PretrainedConfig, PreTrainedModel

from kaleidobert.errors import InputError
from kaleidobert.model.encoder import KaleidoBertModel
from kaleidobert.pretrained import PACKAGED, packaged_weights
from kaleidobert.vision.efficientnet_lite import IMAGE_MEAN, IMAGE_STD, SCALES, EfficientNetLiteConfig, convert_weights

# Sizes that a model takes from the checkpoint it starts from, and may not set otherwise.
TEXT_SIZES = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps")
IMAGE_SIZES = ("layer_type", "embedding_size", "hidden_sizes", "depths", "width", "depth")
UP_TO = ("num_hidden_layers", "max_position_embeddings")  # sizes of which a model may have fewer: the first ones


def text_checkpoint(name_or_folder: str) -> str:
    """The folder of packaged weights, or the name as it is."""
    return str(packaged_weights(name_or_folder).parent) if name_or_folder in PACKAGED else name_or_folder


def text_sizes(name_or_folder: str) -> dict[str, Any]:
    """The settings of a model's ``encoder_config`` that a text checkpoint gives. Raises ``InputError``."""
    published = _config(text_checkpoint(name_or_folder))
    if published.model_type != BertConfig.model_type:
        raise InputError(f"{name_or_folder}: its model_type is {published.model_type}, this model's is bert")
    return {name: getattr(published, name) for name in (*TEXT_SIZES, *UP_TO)}


def image_sizes(name_or_folder: str) -> dict[str, Any]:
    """The settings of a model that an image checkpoint gives: backbone_config, image_mean and image_std."""
    if name_or_folder in PACKAGED:
        return {
            "backbone_config": {"model_type": EfficientNetLiteConfig.model_type} | _lite_scales(name_or_folder),
            "image_mean": list(IMAGE_MEAN),
            "image_std": list(IMAGE_STD),
        }
    published = _config(name_or_folder)
    sizes = {name: getattr(published, name) for name in IMAGE_SIZES if hasattr(published, name)}
    return {"backbone_config": {"model_type": published.model_type} | sizes}


def with_sizes(model: Mapping[str, Any], text: str | None, image: str | None) -> dict[str, Any]:
    """The arguments of `KaleidoBertConfig` in ``model``, with the sizes of the checkpoints that it starts from.

    Where ``model`` has sizes already, as in a run's settings, the checkpoints are not read.
    """
    encoder, backbone = model.get("encoder_config") or {}, model.get("backbone_config") or {}
    sizes: dict[str, Any] = {}
    if text and "hidden_size" not in encoder:
        sizes["encoder_config"] = text_sizes(text) | encoder
    if image and not {"model_type", *IMAGE_SIZES} & set(backbone):
        found = image_sizes(image)
        sizes["backbone_config"] = found.pop("backbone_config") | backbone
        sizes = found | sizes
    return sizes | dict(model) | {name: value for name, value in sizes.items() if name.endswith("_config")}


def load_text(model: KaleidoBertModel, name_or_folder: str, kept_tokens: list[int] | None = None) -> None:
    """Copy token embeddings and layers from a BERT checkpoint; raises ``InputError`` where the sizes differ.

    A model with fewer layers or positions gets the first ones. ``kept_tokens``: the checkpoint's ids of the model's
    tokens, where its vocabulary was trimmed (see `model.tokenizer.trim_vocabulary`).
    """
    folder = text_checkpoint(name_or_folder)
    own = model.bert.config
    for size, theirs in text_sizes(name_or_folder).items():
        mine = getattr(own, size)
        if size == "vocab_size" and kept_tokens is not None:
            continue
        if mine != theirs and not (size in UP_TO and mine < theirs):
            raise InputError(f"{name_or_folder}: its {size} is {theirs}, this model's is {mine}; they must be equal")
    weights = _trained(BertModel, folder, name_or_folder, add_pooling_layer=False).state_dict()
    if kept_tokens is not None:
        words = "embeddings.word_embeddings.weight"
        weights[words] = weights[words][kept_tokens]
    for name, tensor in model.bert.state_dict().items():
        theirs = weights[name]
        tensor.copy_(theirs[: len(tensor)] if "position" in name else theirs)


def load_image(model: KaleidoBertModel, name_or_folder: str) -> None:
    """Copy the image backbone from a checkpoint of the same sizes; raises ``InputError``."""
    backbone = model.patch_encoder.backbone
    _check_equal(backbone.config, _image_config(name_or_folder), name_or_folder)
    if name_or_folder in PACKAGED:
        published = torch.load(packaged_weights(name_or_folder), weights_only=True, map_location="cpu")
        backbone.load_state_dict(convert_weights(published, backbone.config))
        return
    trained = _trained(type(backbone), name_or_folder, name_or_folder, out_features=backbone.out_features)
    backbone.load_state_dict(trained.state_dict())


def _lite_scales(name: str) -> dict[str, Any]:
    width, depth = SCALES[int(name[-1])]
    return {"width": width, "depth": depth}


def _image_config(name_or_folder: str) -> PretrainedConfig:
    if name_or_folder in PACKAGED:
        return EfficientNetLiteConfig(**_lite_scales(name_or_folder))
    return _config(name_or_folder)


def _check_equal(own: PretrainedConfig, published: PretrainedConfig, name_or_folder: str) -> None:
    for size in ("model_type", *IMAGE_SIZES):
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


def _trained(kind: type[PreTrainedModel], folder: str, name: str, **kwargs: Any) -> PreTrainedModel:
    try:
        loaded: Any = kind.from_pretrained(folder, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{name}: weights cannot be loaded ({' '.join(str(error).split())})") from error
    trained, report = loaded
    if report["missing_keys"]:
        raise InputError(f"{name}: weights are missing, among them {min(report['missing_keys'])}")
    return trained
