"""A run's data, objectives, sizes, steps and training time, from the files in its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kaleidobert.errors import InputError
from kaleidobert.files import read_json
from kaleidobert.model.configuration import KaleidoBertConfig
from kaleidobert.model.losses import DOWNSTREAM_LOSSES
from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.training.data_summary import load_data_summary
from kaleidobert.training.runs import HISTORY_FILE, whole_checkpoints
from kaleidobert.training.settings import RunSettings, load_run_settings
from kaleidobert.training.time_budget import checkpoint_seconds

REFERENCES = ("_chance", "_copy", "_blind")  # predictors that know nothing of products, see `model.pretext_tasks`
NOT_OBJECTIVES = frozenset("step epoch loss train_loss grad_norm learning_rate total_flos guided data_wait".split())


@dataclass(frozen=True)
class RunSummary:
    """A finished run, or one in training. ``history``: the logged figures, one dict per log."""

    run: Path
    settings: RunSettings
    history: list[dict[str, Any]]

    @classmethod
    def load(cls, run: Path) -> RunSummary:
        """Raises ``InputError`` where the folder holds no run."""
        history = load_history(run)
        return cls(run, load_run_settings(run), history)

    @cached_property
    def config(self) -> KaleidoBertConfig:
        return KaleidoBertConfig(**self.settings.model)

    @property
    def objectives(self) -> dict[str, float]:
        """The weight of each loss that was logged; those of levels that share a task by level."""
        weights = self.settings.objectives.weights
        names = dict.fromkeys(name for row in self.history if "loss" in row for name in row)
        if not names:  # a run too short to log a training step: the losses of its validation
            validated = (name.removeprefix("eval_") for row in self.history for name in row)
            names = dict.fromkeys(
                name for name in validated if objective_of(name) in (*pretraining_losses(), *DOWNSTREAM_LOSSES)
            )
        losses = [name for name in names if name not in NOT_OBJECTIVES and not name.endswith("_accuracy")]
        return {name: weights.get(name, weights.get(objective_of(name), 1.0)) for name in losses}

    @property
    def steps(self) -> int:
        return max((row["step"] for row in self.history), default=0)

    @property
    def products_seen(self) -> int:
        """Products in all batches; a product counts once per epoch."""
        training = self.settings.training
        return self.steps * training.batch_size * training.gradient_accumulation

    @property
    def seconds(self) -> float | None:
        """Training time, including that before a resume; None where it was not recorded."""
        checkpoints = whole_checkpoints(self.run)
        if checkpoints:
            return checkpoint_seconds(checkpoints[-1])
        return next((row["train_runtime"] for row in reversed(self.history) if "train_runtime" in row), None)

    def facts(self) -> dict[str, str]:
        """A few words each on data, objectives, sizes and training."""
        return {
            "data": describe_data(load_data_summary(self.run)),
            "objectives (weights)": ", ".join(f"{name} {weight:g}" for name, weight in self.objectives.items()),
            **self.sizes(),
        }

    def sizes(self) -> dict[str, str]:
        """A few words each on the sizes of the model and of its training."""
        encoder, training = self.config.encoder_config, self.settings.training
        image, tokenizer = f"{self.config.image_size} × {self.config.image_size} pixels", self.settings.tokenizer
        return {
            "encoder": f"{encoder.num_hidden_layers} layers of {encoder.hidden_size} units, "
            f"{encoder.num_attention_heads} heads, cross-modal from layer {self.config.fusion_layer}",
            "photos": f"{image}, {len(self.config.levels)} levels, {self.config.backbone_config.model_type} backbone",
            "texts": f"{tokenizer.kind} tokenizer, up to {tokenizer.max_length} tokens",
            "optimisation": f"batches of {training.batch_size * training.gradient_accumulation}, "
            f"learning rate {training.learning_rate:g}, seed {training.seed}",
            "training": f"{format_duration(self.seconds)}, {self.steps:,} steps, {self.products_seen:,} products seen",
        }


def load_history(run: Path) -> list[dict[str, Any]]:
    """The history of a finished run, or of the last checkpoint of one in training.

    Raises ``InputError`` where the folder holds neither.
    """
    if (run / HISTORY_FILE).is_file():
        return read_json(run / HISTORY_FILE, "delete it, and the report is of the last checkpoint")
    checkpoints = whole_checkpoints(run)
    if not checkpoints:
        raise InputError(f"{run}: no finished run and no checkpoint there; choose a folder of pretrain or finetune")
    state = read_json(checkpoints[-1] / "trainer_state.json", f"delete {checkpoints[-1]}")
    return state["log_history"]


def objective_of(name: str) -> str:
    """The objective of a figure's name without its level: "G2CM_3x3" -> "G2CM", "RR_2x2_accuracy" -> "RR"."""
    return re.sub(r"_\d+x\d+(_\d+)?$", "", name.removesuffix("_accuracy"))


def describe_data(summary: Mapping[str, Any] | None) -> str:
    """A catalogue's name and the sizes of its splits, from `load_data_summary`."""
    if summary is None:
        return "not recorded"
    sizes = [
        f"{size['products']:,} products ({size['photos']:,} photos) in {split}"
        for split, size in summary["splits"].items()
    ]
    return f"{summary['data']}: {', '.join(sizes)}"


def format_duration(seconds: float | None) -> str:
    """A duration as "40 s", "12 min" or "3 h 05 min"."""
    if seconds is None:
        return "time not recorded"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
