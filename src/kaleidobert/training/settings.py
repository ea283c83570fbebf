"""Settings of a run: a preset or another YAML file, with ``key=value`` overrides; each run folder holds its own."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import yaml
from huggingface_hub.errors import StrictDataclassError
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from kaleidobert.errors import InputError
from kaleidobert.files import parse_yaml, write_whole
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.initial import with_sizes
from kaleidobert.model.loading import load_config
from kaleidobert.model.objectives import Objectives

PRESETS = Path(__file__).parents[1] / "configs"
RUN_SETTINGS = "settings.yaml"
# Settings that belonged to KaleidoBertConfig up to format 1 of runs, and their present places.
MOVED = {
    "loss_weights": "objectives.weights",
    **{name: f"objectives.{name}" for name in ("corruption", "kl_temperature", "hard_negatives_from")},
    "freeze_backbone": "training.freeze_backbone",
}
REMOVED = ("ranked_samples",)  # former settings of ``training``, which runs still have


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TokenizerSettings(_Strict):
    """``kind``: wordpiece, bpe, unigram or sentencepiece, trained on the catalogue; or a tokenizer's name or folder.

    A run that starts from a text checkpoint has that checkpoint's tokenizer, whatever the ``kind``. ``vocabulary``: of
    a trained tokenizer, and of a checkpoint's WordPiece, which is fitted to the catalogue; null keeps a checkpoint's
    as it is.
    ``max_length``: of a text in tokens, [CLS] and [SEP] included.
    """

    kind: str = "wordpiece"
    vocabulary: PositiveInt | None = 8000
    max_length: int = Field(default=64, ge=3)


class InitialSettings(_Strict):
    """Checkpoints to start from, by name or folder, which also set the model's sizes.

    ``text``: of BERT: minilm-l6, or any on the Hub. ``image``: of the backbone: efficientnet-lite0, efficientnet-lite2,
    or any on the Hub. ``run``: an earlier run, for its tokenizer and all its weights. Earlier
    settings call the first two ``bert`` and ``backbone``.
    """

    run: str | None = None
    text: str | None = Field(default=None, validation_alias=AliasChoices("text", "bert"))
    image: str | None = Field(default=None, validation_alias=AliasChoices("image", "backbone"))


class TrainingSettings(_Strict):
    """How a run trains. ``joint_from``: share of the run without the joint objectives; ``lm_from``: without LM.

    ``align_minutes``: how long a run without --align trains a captioner first, to align words with patches for guided
    masking; 0: masking is random.
    ``batch_size`` and ``joint_samples`` count the products of all processes together. Of a batch, the contrastive
    objective and LM use all products, the joint objectives the first ``joint_samples``.
    ``optimizer``: adamw, whose weight decay is apart from the gradient, or adam, where it is part of it (as published).
    ``schedule``: after ``warmup_steps``, a cosine down to zero or a constant rate.
    ``freeze_backbone``: do not train the image backbone, as in the publication's pre-training. Of a trained start,
    ``backbone_learning_rate`` is the backbone's and ``text_learning_rate`` BERT's, which ``layer_decay`` multiplies at
    each layer from the top down. These parts can be kept as they are: ``frozen_stages`` of the backbone, with its stem;
    its depthwise convolutions (``frozen_depthwise``) and batch statistics (``frozen_batch_norm``); token embeddings
    (``frozen_embeddings``) and the lowest ``frozen_layers`` of BERT.
    ``augmentation``: strength; 0 only mirrors photos. ``patch_dropout``: share of a photo's patches dropped from its
    embedding and from LM. ``word_dropout``: mean share of a text's words dropped from its embedding.
    ``short_queries``: share of the products whose embedding learns a short query made of the product's own facts in
    place of its text (see `data.short_queries`).
    ``subcategory_group``: a batch consists of groups of this many products of one sub-category; ``similar_group``, in
    fine-tuning: of groups of this many photos with similar embeddings in the pre-trained run.
    ``workers``: processes that make the batches of each process that trains; null: none without a GPU, up to eight with
    one.
    """

    batch_size: PositiveInt = 256
    gradient_accumulation: PositiveInt = 1
    epochs: PositiveFloat = 40
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=100, ge=0)
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "constant"] = "cosine"
    bf16: bool = True
    align_minutes: float = Field(default=0.0, ge=0)
    joint_samples: int = Field(default=16, ge=0)
    joint_from: float = Field(default=0.6, ge=0, le=1)
    lm_from: float = Field(default=0.0, ge=0, le=1)
    freeze_backbone: bool = False
    backbone_learning_rate: PositiveFloat | None = None
    text_learning_rate: PositiveFloat | None = None
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    frozen_stages: int = Field(default=0, ge=0)
    frozen_depthwise: bool = False
    frozen_batch_norm: bool = False
    frozen_embeddings: bool = False
    frozen_layers: int = Field(default=0, ge=0)
    augmentation: float = Field(default=1.0, ge=0, le=2)
    patch_dropout: float = Field(default=0.0, ge=0, lt=1)
    word_dropout: float = Field(default=0.0, ge=0, le=0.5)
    short_queries: float = Field(default=0.0, ge=0, le=1)
    subcategory_group: PositiveInt = 1
    similar_group: PositiveInt = 1
    evaluate_every: PositiveInt = 100
    evaluation_products: PositiveInt = 512
    workers: int | None = Field(default=None, ge=0)
    seed: int = 0


class RunSettings(_Strict):
    """All settings of a run. ``model``: the arguments of `KaleidoBertConfig`.

    ``finetuning``: settings of ``training`` for fine-tuning, in place of its defaults (see `finetune.TASKS`).
    """

    model: dict[str, Any]
    objectives: Objectives = Objectives()
    tokenizer: TokenizerSettings = TokenizerSettings()
    initial: InitialSettings = InitialSettings()
    training: TrainingSettings = TrainingSettings()
    finetuning: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_finetuning(self) -> RunSettings:
        TrainingSettings.model_validate(self.training.model_dump() | self.finetuning)
        return self

    def save(self, run: Path) -> None:
        write_whole(yaml.safe_dump(self.model_dump(), sort_keys=False), run / RUN_SETTINGS)


def load_run_settings(run: Path) -> RunSettings:
    """The settings of a run. Raises ``InputError`` where the folder is no run, or a run of another format."""
    if not (run / RUN_SETTINGS).exists():
        raise InputError(f"{run}: no {RUN_SETTINGS} there; give a run folder, written by pretrain or finetune")
    if (run / "config.json").exists():
        load_config(run)
    return load_settings(str(run / RUN_SETTINGS))


def load_settings(preset: str, overrides: list[str] | tuple[str, ...] = ()) -> RunSettings:
    """A preset by name (mini, small, base) or a YAML file, with overrides such as ``training.batch_size=64``.

    Raises ``InputError`` for an unknown preset, an unknown setting or an invalid value.
    """
    path = Path(preset) if Path(preset).suffix in (".yaml", ".yml") else PRESETS / f"{preset}.yaml"
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in PRESETS.glob("*.yaml")))
        raise InputError(f"no preset {preset!r}; use one of {names}, or the path of a YAML file")
    values = _yaml(path.read_text(), path.name)
    if not isinstance(values, dict):
        raise InputError(f"{path.name}: it holds no settings; see {PRESETS / 'mini.yaml'}")
    for name in REMOVED:
        (values.get("training") or {}).pop(name, None)
    override(values, overrides)
    try:
        settings = RunSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        own = first.get("ctx", {}).get("error")  # raised by a class of settings, which names them itself
        raise InputError(f"{path.name}: {own or '.'.join(map(str, first['loc'])) + ': ' + first['msg']}") from None
    settings.model = with_sizes(settings.model, settings.initial.text, settings.initial.image)
    if settings.initial.run and (Path(settings.initial.run) / RUN_SETTINGS).exists():
        settings.model = _with_settings_of(Path(settings.initial.run), settings.model)
    _check_model(settings.model, path.name)
    return settings


def override(values: dict[str, Any], overrides: Iterable[str]) -> None:
    """Set nested values in place, each given as ``key=value`` with dots between the parts of the key."""
    for each in overrides:
        key, found, text = each.partition("=")
        if not found:
            raise InputError(f"--set {each}: write key=value, for example training.batch_size=64")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {each}: {parent} has no settings below it")
        place[last] = _yaml(text, f"--set {each}")


def _with_settings_of(run: Path, model: dict[str, Any]) -> dict[str, Any]:
    """The model's settings, with those of an earlier run where they give none."""
    if (run / "config.json").exists():
        load_config(run)  # refuses other formats
    before = _yaml((run / RUN_SETTINGS).read_text(), str(run))["model"]
    parts = {
        name: before[name] | (model.get(name) or {})
        for name in ("encoder_config", "backbone_config")
        if before.get(name)
    }
    return before | model | parts


def _check_model(model: dict[str, Any], source: str) -> None:
    """Raise ``InputError`` for values that `KaleidoBertConfig` rejects, and for settings that it would ignore."""
    try:
        config = KaleidoBertConfig(**model)
    except InputError as error:
        raise InputError(f"{source}: model: {error}") from None
    except (AttributeError, TypeError, ValueError, StrictDataclassError) as error:
        raise InputError(f"{source}: model: {shorten(str(error), 200)}") from None
    known = {"model": set(signature(KaleidoBertConfig).parameters) - {"kwargs"}}
    for part in ("encoder_config", "backbone_config"):
        known[f"model.{part}"] = set(type(getattr(config, part))().to_dict())
    for place, keys in known.items():
        given = model if place == "model" else model.get(place.removeprefix("model.")) or {}
        unknown = set(given) - keys
        if unknown:
            moved = f"; use {MOVED[min(unknown)]}" if place == "model" and min(unknown) in MOVED else ""
            raise InputError(f"{source}: {place}.{min(unknown)}: no such setting{moved}")


def _yaml(text: str, source: str) -> Any:
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {shorten(str(error), 200)}") from None
