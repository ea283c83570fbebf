"""Trains the alignment generator's captioner on a catalogue's own photos and texts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerFast,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from kaleidobert.alignment.captioner import Captioner, CaptionerConfig
from kaleidobert.alignment.generator import GRIDS, LEAST_LIFT
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertImageProcessor, KaleidoBertProcessor
from kaleidobert.model.image_processing import to_pixel_values
from kaleidobert.model.initial import image_sizes, load_backbone
from kaleidobert.model.tokenizer import train_tokenizer
from kaleidobert.pretrained import PACKAGED
from kaleidobert.training.augmentation import augment, draw_augmentation
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.runs import common_arguments, write_history
from kaleidobert.training.settings import override
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.trainer import TimedTrainer

PARTS = ("cross_entropy", "doubly_stochastic", "word_evidence")  # of the captioner's loss
HIGHLIGHTS = ("cross_entropy", "word_evidence")


class AlignSettings(BaseModel):
    """Settings of the captioner's training and of the alignment. ``captioner`` holds `CaptionerConfig`'s arguments.

    ``lstm_samples``: samples of each batch that go through the LSTM, from progress ``lstm_from`` on; until then only
    the word evidence is trained, at half the cost. ``patience``: validations without a lower loss after which training
    stops. ``image``: a checkpoint whose backbone the captioner has, and keeps as it is: efficientnet-lite0,
    efficientnet-lite2, or any on the Hub. ``evaluate_every``: in steps. ``maps``: see `AlignmentGenerator`.
    ``on_product``: whether maps are restricted to the product.
    """

    model_config = ConfigDict(extra="forbid")

    captioner: dict[str, Any] = {}
    image: str | None = None
    vocabulary: PositiveInt = 4000
    max_length: int = Field(default=64, ge=3)
    batch_size: PositiveInt = 64
    lstm_samples: PositiveInt = 24
    lstm_from: float = Field(default=0.4, ge=0, le=1)
    epochs: PositiveFloat = 60
    learning_rate: PositiveFloat = 2e-3
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=50, ge=0)
    bf16: bool = True
    evaluate_every: PositiveInt = 100
    evaluation_products: PositiveInt = 512
    patience: PositiveInt = 5
    seed: int = 0
    levels: list[PositiveInt] = list(GRIDS)
    least_lift: float = Field(default=LEAST_LIFT, ge=0)
    beams: PositiveInt = 3
    maps: Literal["attentions", "evidence"] = "attentions"
    on_product: bool = True


def align_settings(overrides: Sequence[str] = ()) -> AlignSettings:
    """The defaults with ``key=value`` overrides. Raises ``InputError`` for an unknown key or an invalid value."""
    values: dict[str, Any] = {}
    override(values, overrides)
    return validated_settings(values, "--set ")


def validated_settings(values: dict[str, Any], source: str) -> AlignSettings:
    """Settings from a dictionary. Raises ``InputError`` that begins with ``source`` and the first invalid key."""
    try:
        return AlignSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{source}{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


class CaptionerCollator:
    """A batch of photos and whole texts: pixel_values (B, 3, S, S), input_ids and attention_mask (B, T).

    Each product has one view, random if ``augmented``, else the first. Random numbers depend on the seed and the
    batch's indices alone.
    """

    def __init__(
        self, catalogue: PreparedDataset, tokenizer: PreTrainedTokenizerFast, seed: int, augmented: bool
    ) -> None:
        self.catalogue = catalogue
        self.tokenizer = tokenizer
        self.seed = seed
        self.augmented = augmented

    def __call__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, *indices])
        chosen = np.asarray(indices)
        views = self.catalogue.first_view[chosen]
        if self.augmented:
            views = rng.integers(views, self.catalogue.first_view[chosen + 1])
        pixels = to_pixel_values(torch.from_numpy(self.catalogue.pixels[views]))
        if self.augmented:
            pixels = augment(pixels, torch.from_numpy(np.stack([draw_augmentation(rng) for _ in indices])))
        texts = [self.catalogue.texts[index] for index in indices]
        encoded = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return {
            "pixel_values": pixels,
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
        }


class _Stopping(EarlyStoppingCallback):
    """Early stopping from ``lstm_from`` on; before, the LSTM's part of the validation loss is meaningless.

    The last step is always validated and saved, so that it may be chosen as the best.
    """

    def __init__(self, patience: int, budget: TimeBudget, lstm_from: float) -> None:
        super().__init__(patience)
        self.budget = budget
        self.lstm_from = lstm_from

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        if control.should_training_stop or state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True

    def on_evaluate(self, *arguments: Any, **keywords: Any) -> None:
        if self.budget.progress() >= self.lstm_from:
            super().on_evaluate(*arguments, **keywords)


class CaptionerTrainer(TimedTrainer):
    """Trains a captioner; its LSTM, on ``lstm_samples`` of a batch, from progress ``lstm_from`` on."""

    def __init__(
        self, *, budget: TimeBudget, lstm_samples: int, lstm_from: float, patience: int, **kwargs: Any
    ) -> None:
        stopping = _Stopping(patience, budget, lstm_from)
        super().__init__(budget=budget, title="captioner", highlights=HIGHLIGHTS, callbacks=[stopping], **kwargs)
        self.lstm_samples = lstm_samples
        self.lstm_from = lstm_from

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        samples = self.lstm_samples if self.budget.progress() >= self.lstm_from else 0
        outputs = model(**inputs, lstm_samples=samples if model.training else None)
        parts = {name: getattr(outputs, name) for name in PARTS}
        self.record(model.training, {name: value for name, value in parts.items() if value is not None})
        return (outputs.loss, outputs) if return_outputs else outputs.loss


def train_captioner(
    data: str | Path,
    out: Path,
    image_processor: KaleidoBertImageProcessor,
    settings: AlignSettings,
    reading: Reading = BY_DEFAULT,
    max_minutes: float | None = None,
) -> dict[str, float]:
    """Train a captioner on the train split and write it, with processor and tokenizer, into ``out``.

    The checkpoint with the lowest validation loss is kept. Returns its loss, and the steps and minutes of training.
    """
    set_seed(settings.seed)
    train = prepare(data, "train", image_processor, reading)
    validation = prepare(data, "validation", image_processor, reading).head(settings.evaluation_products)
    tokenizer = train_tokenizer(train.texts, "wordpiece", settings.vocabulary, settings.max_length)
    captioner = _captioner(image_processor.image_size, tokenizer, settings)
    arguments = common_arguments(
        out,
        settings,
        len(train),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
    )
    out.mkdir(parents=True, exist_ok=True)
    trainer = CaptionerTrainer(
        model=captioner,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=CaptionerCollator(train, tokenizer, settings.seed, augmented=True),
        evaluation_collator=CaptionerCollator(validation, tokenizer, settings.seed, augmented=False),
        lstm_samples=settings.lstm_samples,
        lstm_from=settings.lstm_from if captioner.config.word_evidence else 0.0,
        patience=settings.patience,
        budget=TimeBudget(max_minutes),
        logs=out / "logs",
    )
    trainer.train()
    last = trainer.last_validation(changed=True)  # to the best weights
    KaleidoBertProcessor(image_processor, tokenizer).save_pretrained(out)
    captioner.save_pretrained(out)
    write_history(trainer, out)
    shutil.rmtree(out / "checkpoints")
    figures = {"steps": trainer.state.global_step, "minutes": round(trainer.budget.seconds() / 60, 2)}
    return {"validation_loss": last["eval_loss"], "validation_cross_entropy": last["eval_cross_entropy"], **figures}


def _captioner(image_size: int, tokenizer: PreTrainedTokenizerFast, settings: AlignSettings) -> Captioner:
    fixed = {
        "image_size": image_size,
        "vocab_size": len(tokenizer),
        "longest_caption": settings.max_length,
        "start_token_id": tokenizer.cls_token_id,
        "end_token_id": tokenizer.sep_token_id,
    }
    unknown = set(settings.captioner) - (set(signature(CaptionerConfig).parameters) - {"kwargs", *fixed})
    if unknown:
        raise InputError(f"--set captioner.{min(unknown)}: no such setting, or it follows from the data")
    if settings.image is None:
        return Captioner(CaptionerConfig(**settings.captioner, **fixed))
    sizes = image_sizes(settings.image)
    if settings.image in PACKAGED:
        sizes["backbone_config"]["out_features"] = ["stage5"]  # stride 16: its last stages are too coarse
    chosen = sizes | {"standardised": True}
    captioner = Captioner(CaptionerConfig(**chosen | settings.captioner, **fixed))
    load_backbone(captioner.backbone, settings.image)
    captioner.keep_backbone()
    return captioner
