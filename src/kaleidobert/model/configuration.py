"""Configuration of a Kaleido-BERT: a BERT encoder, an image backbone and the table of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from transformers import AutoConfig, BertConfig, PretrainedConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from kaleidobert.errors import InputError
from kaleidobert.levels import CORRUPTIONS, PUBLISHED, TASKS, Level
from kaleidobert.model.losses import LOSSES

JOINT_SCORERS = ("matching", "reading")
INPUTS = ("both", "image", "text")


class KaleidoBertConfig(PretrainedConfig):
    """Everything that `KaleidoBertModel` and its heads are built from.

    encoder_config: the transformer and its token embeddings, a `BertConfig` (published: 12 layers, 768, 12 heads).
    backbone_config: any `transformers` backbone (published: ResNet-50).
    levels: rows of the table of levels, each {"grid", "task", "masked"}.
    patch_features: "crops" (each patch encoded alone, as published) or "pyramid" (pooled from one pass).
    image_mean, image_std: what the backbone's pixels are normalised by, RGB in [0, 1].
    image_size, crop_size: side of the locked portion and, for crops, of each patch, in pixels.
    keep_aspect, saliency: how the portion is cut (see `vision.patches`), and by which detector's mask: border-colour,
        network, none, a file of weights, or a segmentation checkpoint (see `vision.saliency.detectors`).
    freeze_backbone: take features as given, as published; otherwise it trains with the rest.
    fusion_layer: encoder layers below it see one modality at a time and end the uni-modal entries; 0 is the
        published single stream, whose uni-modal entries run the whole encoder on one side alone.
    joint_initializer_range: standard deviation of the first weights of the layers from ``fusion_layer`` on; None: that
        of ``encoder_config``. BERT's 0.02 is meant for 768 units; narrow layers are nearly silent with it.
    projection_size: length of the contrastive vectors.
    corruption: "levels" (every level by its own task at once, as published) or "photos" (one task a photo, in its
        pixels, so that no level shows what another hides; see `model.pretext_tasks`).
    kl_temperature: of the softmax over standardised features in the two KL objectives.
    loss_weights: one a loss by name, 1 where not given (published: the plain sum).
    hard_negatives_from: pair accuracy of ITM at which its negatives turn harder: from random ones to those of the same
        sub-category, and from these to the nearest by the vectors.
    mirror: a photo's vector is the mean of its own and of its mirror image's, outside training.
    memory_pairs: training pairs whose vectors the model keeps (see `scoring.cross_modal_memory`), 0 before the end of training.
    memory_neighbours, memory_weight: how many of them enhance a vector, and how much, the latter fitted on
        validation data, as is hubness_weight: how much of its hubness a photo or text is charged.
    memory_looks, memory_tokens: of each pair, too, the length of the photo's look and how many tokens of the text (see
        `scoring.layout_memory`), 0 before the end of training.
    layout_neighbours: how many training photos that look alike a photo reminds of; neighbour_word_weight: how much of each word's
        probability their texts tell; neighbour_pmi_weight: of what text and photo remind of alike, beside joint_scorer's
        score; both weights fitted on validation data.
    joint_weight: weight of the joint model's score beside the contrastive score where a text asks for photos, as in a
        search, and joint_weight_itr where a photo asks for texts (None: the same); both fitted on validation data.
    joint_scorer: what that score is: "matching", ITM's logit, or "reading", how much a photo helps to read the text
        (see `scoring.pair_scorer`); the better one on validation data.
    prior_weight: of log p(text) in "reading", fitted on validation data.
    calibration: what makes probabilities of scores, fitted on validation data (see `scoring.calibration`).
    task: what a run was fine-tuned for, where that is not retrieval: category or subcategory, whose classes are
        id2label and label2id, or captioning.
    inputs: what tells a product's class: both photo and text, the image alone, or the text alone.
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
        freeze_backbone: bool = False,
        fusion_layer: int = 0,
        joint_initializer_range: float | None = None,
        projection_size: int = 256,
        corruption: str = "levels",
        kl_temperature: float = 1.0,
        loss_weights: dict[str, float] | None = None,
        hard_negatives_from: float = 0.7,
        mirror: bool = False,
        memory_pairs: int = 0,
        memory_neighbours: int = 5,
        memory_weight: float = 0.0,
        hubness_weight: float = 0.0,
        memory_looks: int = 0,
        memory_tokens: int = 0,
        layout_neighbours: int = 50,
        neighbour_word_weight: float = 0.0,
        neighbour_pmi_weight: float = 0.0,
        joint_weight: float = 1.0,
        joint_weight_itr: float | None = None,
        joint_scorer: str = "matching",
        prior_weight: float = 1.0,
        calibration: dict[str, Any] | None = None,
        task: str = "",
        inputs: str = "both",
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder_config, dict):
            encoder_config = BertConfig(**encoder_config)
        if isinstance(backbone_config, dict):
            backbone_config = AutoConfig.for_model(**{"model_type": "resnet", **backbone_config})
        self.encoder_config = encoder_config or BertConfig()
        self.backbone_config = backbone_config or AutoConfig.for_model("resnet", out_features=["stage4"])
        self.levels = levels or [asdict(level) for level in PUBLISHED]
        self.patch_features = patch_features
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)
        self.image_size = image_size
        self.crop_size = crop_size
        self.keep_aspect = keep_aspect
        self.saliency = saliency
        self.freeze_backbone = freeze_backbone
        self.fusion_layer = fusion_layer
        self.joint_initializer_range = joint_initializer_range
        self.projection_size = projection_size
        self.corruption = corruption
        self.kl_temperature = kl_temperature
        self.loss_weights = loss_weights or {}
        self.hard_negatives_from = hard_negatives_from
        self.mirror = mirror
        self.memory_pairs = memory_pairs
        self.memory_neighbours = memory_neighbours
        self.memory_weight = memory_weight
        self.hubness_weight = hubness_weight
        self.memory_looks = memory_looks
        self.memory_tokens = memory_tokens
        self.layout_neighbours = layout_neighbours
        self.neighbour_word_weight = neighbour_word_weight
        self.neighbour_pmi_weight = neighbour_pmi_weight
        self.joint_weight = joint_weight
        self.joint_weight_itr = joint_weight_itr
        self.joint_scorer = joint_scorer
        self.prior_weight = prior_weight
        self.calibration = calibration or {}
        self.task = task
        self.inputs = inputs
        self.tie_word_embeddings = True
        self._check()
        super().__init__(**kwargs)

    def _check(self) -> None:
        if self.patch_features not in ("crops", "pyramid"):
            raise InputError(f"patch_features is {self.patch_features!r}; use 'crops' or 'pyramid'")
        if self.corruption not in CORRUPTIONS:
            raise InputError(f"corruption is {self.corruption!r}; use 'levels' or 'photos'")
        if self.joint_scorer not in JOINT_SCORERS:
            raise InputError(f"joint_scorer is {self.joint_scorer!r}; use {' or '.join(JOINT_SCORERS)}")
        if self.inputs not in INPUTS:
            raise InputError(f"inputs is {self.inputs!r}; use {', '.join(INPUTS)}")
        if not 0 <= self.fusion_layer < self.encoder_config.num_hidden_layers:
            layers = self.encoder_config.num_hidden_layers
            raise InputError(f"fusion_layer is {self.fusion_layer}; use 0 to {layers - 1}, below the encoder's layers")
        for name in ("image_size", "crop_size", "projection_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; use a whole number above 0")
        unknown = set(self.loss_weights) - set(LOSSES)
        if unknown:
            raise InputError(f"loss_weights: no loss {min(unknown)!r}; use {', '.join(LOSSES)}")
        self._check_levels()

    def _check_levels(self) -> None:
        for row in self.levels:
            if set(row) - {"grid", "task", "masked"}:
                raise InputError(f"level {row}: unknown settings; use grid, task and masked")
        for level in self.level_table:
            if level.task not in (None, *TASKS):
                raise InputError(f"level {level.grid}: no task {level.task!r}; use one of {', '.join(TASKS)}, or null")
            if level.task == "camouflage" and level.masked != 1:
                raise InputError(
                    f"level {level.grid}: camouflage hides one patch, masked is {level.masked}; set it to 1"
                )
            if level.masked > level.patches:
                raise InputError(f"level {level.grid}: cannot mask {level.masked} of {level.patches} patches")

    @property
    def level_table(self) -> tuple[Level, ...]:
        return tuple(Level(**level) for level in self.levels)
