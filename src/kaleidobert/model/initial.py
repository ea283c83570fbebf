"""Initialise parts of a model from published checkpoints, by name or folder."""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel

from kaleidobert.errors import InputError
from kaleidobert.model.encoder import KaleidoBertModel

# Settings of a BERT or of a backbone that a published checkpoint must share with the model that starts from it.
SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "layer_type", "embedding_size", "hidden_sizes", "depths"),
)


def load_bert(model: KaleidoBertModel, name_or_folder: str) -> None:
    """Copy encoder and token embeddings from a BERT checkpoint of the same sizes; raises ``InputError``."""
    _copy_weights(model.bert, name_or_folder, add_pooling_layer=False)


def load_backbone(model: KaleidoBertModel, name_or_folder: str) -> None:
    """Copy the image backbone from a checkpoint of the same sizes, such as ResNet-50; raises ``InputError``."""
    backbone = model.patch_encoder.backbone
    _copy_weights(backbone, name_or_folder, out_features=backbone.out_features)


def _copy_weights(part: PreTrainedModel, name_or_folder: str, **kwargs: Any) -> None:
    try:
        published = AutoConfig.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise InputError(f"{name_or_folder}: no checkpoint there ({' '.join(str(error).split())})") from error
    for size in ("model_type", *SIZES):
        theirs, own = getattr(published, size, None), getattr(part.config, size, None)
        if theirs != own:
            raise InputError(f"{name_or_folder}: its {size} is {theirs}, this model's is {own}; they must be equal")
    try:
        loaded: Any = type(part).from_pretrained(name_or_folder, output_loading_info=True, **kwargs)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{name_or_folder}: weights cannot be loaded ({' '.join(str(error).split())})") from error
    trained, report = loaded
    if report["missing_keys"]:
        raise InputError(f"{name_or_folder}: weights are missing, among them {min(report['missing_keys'])}")
    part.load_state_dict(trained.state_dict())
