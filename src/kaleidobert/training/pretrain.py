"""Pre-training from any source of products to a run folder that every other command reads.

A run folder holds the model (`config.json`, `model.safetensors`), its processor and tokenizer, ``settings.yaml``,
``history.json`` (every logged figure), ``logs/`` (TensorBoard) and ``checkpoints/`` (to resume from).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from kaleidobert.errors import InputError
from kaleidobert.model import (
    KaleidoBertConfig,
    KaleidoBertForPreTraining,
    KaleidoBertImageProcessor,
    KaleidoBertProcessor,
)
from kaleidobert.model.processing import train_tokenizer
from kaleidobert.training.catalogue import Catalogue, prepare
from kaleidobert.training.collator import PreTrainingCollator
from kaleidobert.training.evaluate import fit_joint_weight
from kaleidobert.training.pace import Pace
from kaleidobert.training.settings import Settings, TrainingSettings
from kaleidobert.training.trainer import GroupedSampler, KaleidoBertTrainer

TOKENIZER_KINDS = ("wordpiece", "bpe", "unigram", "sentencepiece")


class PreTrainer(KaleidoBertTrainer):
    """Switches the joint objectives on once the contrastive phase is over; validation always has them."""

    def __init__(self, *, settings: TrainingSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        joint = not model.training or self.pace.progress() >= self.settings.joint_from
        inputs = inputs | {"joint_samples": self.settings.joint_samples if joint else 0}
        return super().compute_loss(model, inputs, return_outputs, **kwargs)


def pretrain(
    data: str | Path,
    out: Path,
    settings: Settings,
    columns: Mapping[str, str] | None = None,
    max_minutes: float | None = None,
    resume: bool = False,
) -> dict[str, float]:
    """Pre-train on ``data``'s train split and write the run folder ``out``; returns the last validation figures."""
    checkpoint = _checkpoint(out, resume)
    set_seed(settings.training.seed)
    config = KaleidoBertConfig(**settings.model)
    image_processor = KaleidoBertImageProcessor(config.image_size, config.saliency, config.keep_aspect)
    train = prepare(data, "train", image_processor, columns)
    validation = prepare(data, "validation", image_processor, columns)
    if len(train) < settings.training.batch_size:
        raise InputError(
            f"{data}: {len(train)} products to train on are less than one batch of {settings.training.batch_size}; "
            "lower it with --set training.batch_size=..."
        )
    tokenizer = _tokenizer(settings, train)
    config.encoder_config.vocab_size = len(tokenizer)
    config.encoder_config.pad_token_id = tokenizer.pad_token_id
    model = KaleidoBertForPreTraining(config)
    if settings.initial.bert:
        model.kaleidobert.load_bert(settings.initial.bert)
    if settings.initial.backbone:
        model.kaleidobert.load_backbone(settings.initial.backbone)

    out.mkdir(parents=True, exist_ok=True)
    settings.save(out)
    KaleidoBertProcessor(image_processor, tokenizer).save_pretrained(out)
    trainer = _trainer(model, train, validation, tokenizer, out, settings.training, max_minutes, checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = trainer.evaluate()
    trainer.save_model(str(out))
    (out / "history.json").write_text(json.dumps(trainer.state.log_history, indent=1))
    figures["joint_weight"] = fit_joint_weight(out, validation, settings.training.seed)
    return figures


def _checkpoint(out: Path, resume: bool) -> Path | None:
    last = get_last_checkpoint(str(out / "checkpoints")) if (out / "checkpoints").exists() else None
    if resume and last is None:
        raise InputError(f"{out}: no checkpoint to resume from; leave --resume out to start anew")
    if not resume and (last is not None or (out / "model.safetensors").exists()):
        raise InputError(f"{out}: there is a run already; add --resume to go on with it, or choose another --out")
    return Path(last) if last else None


def _tokenizer(settings: Settings, train: Catalogue) -> PreTrainedTokenizerFast:
    chosen = settings.tokenizer
    if chosen.kind in TOKENIZER_KINDS:
        return train_tokenizer(train.texts, chosen.kind, chosen.vocabulary, chosen.max_length)
    return AutoTokenizer.from_pretrained(chosen.kind, model_max_length=chosen.max_length)


def _trainer(
    model: KaleidoBertForPreTraining,
    train: Catalogue,
    validation: Catalogue,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    settings: TrainingSettings,
    max_minutes: float | None,
    checkpoint: Path | None,
) -> PreTrainer:
    transformers.logging.set_verbosity_error()
    levels = model.config.level_table
    collator = PreTrainingCollator(train, tokenizer, levels, settings.seed, augmented=True)
    clean = PreTrainingCollator(validation, tokenizer, levels, settings.seed, augmented=False)
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=min(settings.batch_size, 128),
        gradient_accumulation_steps=settings.gradient_accumulation,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_steps,
        bf16=settings.bf16,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, settings.evaluate_every // 4),
        eval_strategy="steps",
        eval_steps=settings.evaluate_every,
        save_steps=settings.evaluate_every,
        save_total_limit=2,
        prediction_loss_only=True,
        remove_unused_columns=False,
        dataloader_drop_last=True,
        disable_tqdm=True,
        report_to=[],
        seed=settings.seed,
    )
    return PreTrainer(
        settings=settings,
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation.head(settings.evaluation_products),
        data_collator=collator,
        evaluation_collator=clean,
        sampler=GroupedSampler(train.subcategories, settings.subcategory_group, settings.seed),
        pace=Pace.resumed(checkpoint, max_minutes) if checkpoint else Pace(max_minutes),
        title="pre-training",
        logs=out / "logs",
    )
