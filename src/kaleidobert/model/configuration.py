"""Configuration of a Kaleido-BERT: a BERT encoder, an image backbone and the table of levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from transformers import AutoConfig, BertConfig, PretrainedConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.model.pretext_tasks import PRETEXT_TASKS

INPUTS = ("both", "image", "text")
FORMAT = 2  # raised when a run's files change their meaning


def check_format(model: str, found: int, run: str = "RUN") -> None:
    """Raise ``InputError``, with the command that helps, for files of another format."""
    if found != FORMAT:
        raise InputError(
            f"{model} was made by {'an earlier' if found < FORMAT else 'a later'} version of kaleidobert: "
            f"convert it with kaleidobert migrate {run} --out NEW, or train it again"
        )


class KaleidoBertConfig(PretrainedConfig):
    """Architecture and pre-processing of a model: what `KaleidoBertModel` and its heads are built from.

    Nothing here changes after training. Objectives belong to the training settings (`model.objectives`), fitted
    ranking weights to ``ranking.json`` (`scoring.ranking`), the retrieval memory to ``memory.safetensors``.

    encoder_config: the transformer and its token embeddings, a `BertConfig` (published: 12 layers, 768, 12 heads).
    backbone_config: any `transformers` backbone (published: ResNet-50).
    levels: rows of the table of levels, each {"grid", "task", "masked"}.
    patch_features: "crops" (each patch encoded alone, as published) or "pyramid" (pooled from one pass).
    image_mean, image_std: the backbone's normalisation of RGB pixels in [0, 1].
    image_size, crop_size: side of the locked portion and, for crops, of each patch, in pixels.
    keep_aspect, saliency: how the portion is cut (see `vision.patches`), and by which detector's mask (see
        `vision.saliency.detectors`).
    fusion_layer: encoder layers below it see one modality at a time and end the uni-modal encoders; 0 is the
        published single stream, whose uni-modal encoders run all layers on one side alone.
    image_layers: layers of the image side's own in place of the shared ones below ``fusion_layer``; a trained backbone
        needs none (0). None: the layers are shared.
    itm_prefix: in ITM patches attend to patches alone, so that each photo is encoded once for all texts that are
        scored against it; published: patches and tokens attend to each other.
    joint_initializer_range: standard deviation of the initial weights of the layers from ``fusion_layer`` on; None:
        that of ``encoder_config``. BERT's 0.02 is meant for 768 units; narrow layers are nearly silent with it.
    projection_size: length of the embeddings.
    mirror: outside training, a photo's embedding is the mean of its own and of its mirror image's.
    task: what a run was fine-tuned for, where that is not retrieval: category or subcategory, whose classes are
        id2label and label2id, or captioning.
    inputs: what a classifier sees: both photo and text, the image alone, or the text alone.
    format: of the run's files; other formats are refused (see `model.loading`).
    """

    model_type = "kaleidobert"
    sub_configs = {"encoder_config": BertConfig, "backbone_config": AutoConfig}

    def __init__(
        self,
        encoder_config: dict | BertConfig | None = None,
        backbone_config: dict | PretrainedConfig | None = None,
        levels: list[dict] | None = None,
        patch_features: str = "pyramid",
        image_mean: Sequence[float] = IMAGENET_DEFAULT_MEAN,
        image_std: Sequence[float] = IMAGENET_DEFAULT_STD,
        image_size: int = 224,
        crop_size: int = 64,
        keep_aspect: bool = True,
        saliency: str = "border-colour",
        fusion_layer: int = 0,
        image_layers: int | None = None,
        itm_prefix: bool = False,
        joint_initializer_range: float | None = None,
        projection_size: int = 256,
        mirror: bool = False,
        task: str = "",
        inputs: str = "both",
        format: int = FORMAT,
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder_config, dict):
            encoder_config = BertConfig(**encoder_config)
        if isinstance(backbone_config, dict):
            backbone_config = AutoConfig.for_model(**{"model_type": "resnet", **backbone_config})
        self.encoder_config = encoder_config or BertConfig()
        self.backbone_config = backbone_config or AutoConfig.for_model("resnet", out_features=["stage4"])
        self.levels = [asdict(level) for level in PUBLISHED] if levels is None else levels
        self.patch_features = patch_features
        self.image_mean = _three_numbers("image_mean", image_mean)
        self.image_std = _three_numbers("image_std", image_std)
        self.image_size = image_size
        self.crop_size = crop_size
        self.keep_aspect = keep_aspect
        self.saliency = saliency
        self.fusion_layer = fusion_layer
        self.image_layers = image_layers
        self.itm_prefix = itm_prefix
        self.joint_initializer_range = joint_initializer_range
        self.projection_size = projection_size
        self.mirror = mirror
        self.task = task
        self.inputs = inputs
        self.format = format
        self.tie_word_embeddings = True
        self._check()
        super().__init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in the library. Raises ``InputError`` for a saved configuration of another format."""
        saved = "transformers_version" in config_dict
        check_format("this model", config_dict.get("format", 1 if saved else FORMAT))
        return super().from_dict(config_dict, **kwargs)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Any:  # noqa: ARG002
        """The part that holds the vocabulary, where the library looks for its size."""
        return self.encoder_config

    def to_diff_dict(self) -> dict[str, Any]:
        """What config.json holds: what differs from the defaults, and always the format."""
        return super().to_diff_dict() | {"format": self.format}

    def _check(self) -> None:
        if self.patch_features not in ("crops", "pyramid"):
            raise InputError(f"patch_features is {self.patch_features!r}; use 'crops' or 'pyramid'")
        if self.inputs not in INPUTS:
            raise InputError(f"inputs is {self.inputs!r}; use {', '.join(INPUTS)}")
        for name in ("image_size", "crop_size", "projection_size"):
            _check_count(name, getattr(self, name))
        for name in ("keep_aspect", "itm_prefix", "mirror"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; use true or false")
        if min(self.image_std) <= 0:
            raise InputError(f"image_std is {self.image_std}; use three numbers above 0")
        spread = self.joint_initializer_range
        if spread is not None and not (_is_number(spread) and spread >= 0):
            raise InputError(f"joint_initializer_range is {spread!r}; use a number from 0 up, or null")
        self._check_patch_size()
        self._check_encoder()
        self._check_levels()

    def _check_patch_size(self) -> None:
        """A backbone that cuts photos into patches leaves out what remains at the right and at the bottom."""
        name = "crop_size" if self.patch_features == "crops" else "image_size"
        size = getattr(self.backbone_config, "patch_size", None)
        if isinstance(size, int) and getattr(self, name) % size:
            raise InputError(f"{name} is {getattr(self, name)}; use a multiple of the backbone's patch_size, {size}")

    def _check_encoder(self) -> None:
        bert = self.encoder_config
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
            _check_count(f"encoder_config.{name}", getattr(bert, name))
        if bert.hidden_size % bert.num_attention_heads:
            raise InputError(
                f"encoder_config.hidden_size is {bert.hidden_size}; use a multiple of num_attention_heads, "
                f"{bert.num_attention_heads}"
            )
        if self.image_layers is not None and (type(self.image_layers) is not int or self.image_layers < 0):
            raise InputError(f"image_layers is {self.image_layers!r}; use a whole number from 0 up, or null")
        layers = bert.num_hidden_layers
        if type(self.fusion_layer) is not int or not 0 <= self.fusion_layer < layers:
            raise InputError(
                f"fusion_layer is {self.fusion_layer!r}; use 0 to {layers - 1}, below the encoder's layers"
            )

    def _check_levels(self) -> None:
        if self.levels == []:
            raise InputError("levels is empty; give at least one level, or null for the published table")
        for row in self.levels:
            if set(row) - {"grid", "task", "masked"}:
                raise InputError(f"level {row}: unknown settings; use grid, task and masked")
            _check_count(f"level {row}: grid", row.get("grid"))
            masked = row.get("masked", 0)
            if type(masked) is not int or masked < 0:
                raise InputError(f"level {row}: masked is {masked!r}; use a whole number of patches, from 0 up")
        for level in self.level_table:
            if level.task not in (None, *PRETEXT_TASKS):
                names = ", ".join(PRETEXT_TASKS)
                raise InputError(f"level {level.grid}: no task {level.task!r}; use one of {names}, or null")
            if level.task:
                PRETEXT_TASKS[level.task].check(level)
            if level.masked > level.patches:
                raise InputError(f"level {level.grid}: cannot mask {level.masked} of {level.patches} patches")

    @property
    def level_table(self) -> tuple[Level, ...]:
        return tuple(Level(**level) for level in self.levels)


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise InputError(f"{name} is {value!r}; use a whole number above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _three_numbers(name: str, values: Any) -> list[float]:
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(map(_is_number, values)):
        raise InputError(f"{name} is {values!r}; use three numbers, one for each of red, green and blue")
    return list(values)
