"""Fine-tuning a pre-trained run end to end for a downstream task (SEED: ITR, TIR)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from kaleidobert.errors import InputError
from kaleidobert.model import load_run
from kaleidobert.model.split import Split
from kaleidobert.training.catalogue import prepare
from kaleidobert.training.collator import PairCollator
from kaleidobert.training.pace import Pace
from kaleidobert.training.runs import clear_remains, finish_run, last_checkpoint, processes, training_arguments
from kaleidobert.training.settings import RUN_SETTINGS, Settings, load_settings
from kaleidobert.training.trainer import GroupedSampler, KaleidoBertTrainer

# What differs from pre-training: a gentler rate, and batches of few sub-categories, whose negatives are hard.
RETRIEVAL_DEFAULTS = (
    *("training.learning_rate=2e-4", "training.warmup_steps=20"),
    *("training.subcategory_group=32", "training.epochs=10"),
)


def retrieval_settings(run: Path, overrides: list[str] | tuple[str, ...] = ()) -> Settings:
    """The pre-training run's settings with fine-tuning's defaults and then the caller's ``key=value`` pairs."""
    if not (run / RUN_SETTINGS).exists():
        raise InputError(f"{run}: no {RUN_SETTINGS} there; give the folder that pretrain wrote")
    return load_settings(str(run / RUN_SETTINGS), [*RETRIEVAL_DEFAULTS, *overrides])


def finetune_retrieval(
    data: str | Path,
    model_folder: Path,
    out: Path,
    settings: Settings,
    columns: Mapping[str, str] | None = None,
    max_minutes: float | None = None,
    resume: bool = False,
) -> dict[str, float]:
    """Fine-tune on whole pairs: contrastive, and ITM with hard negatives; returns the last validation figures."""
    checkpoint = last_checkpoint(out, resume)
    training = settings.training
    model, processor = load_run(model_folder)
    state = processes()
    with state.main_process_first():
        train = prepare(data, "train", processor.image_processor, columns)
        validation = prepare(data, "validation", processor.image_processor, columns)
    arguments = training_arguments(out, training, len(train))
    if state.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        clear_remains(out, checkpoint)
        settings.save(out)
        processor.save_pretrained(out)
    collate = partial(
        PairCollator,
        tokenizer=processor.tokenizer,
        seed=training.seed,
        joint_samples=training.joint_samples,
        strength=training.augmentation,
    )
    trainer = KaleidoBertTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation.head(training.evaluation_products),
        data_collator=collate(train, augmented=True, split=Split.here()),
        evaluation_collator=collate(validation, augmented=False),
        sampler=GroupedSampler(train.subcategories, training.subcategory_group, training.seed),
        pace=Pace.resumed(checkpoint, max_minutes) if checkpoint else Pace(max_minutes),
        title="fine-tuning",
        logs=out / "logs",
    )
    return finish_run(trainer, out, checkpoint, processor.tokenizer, train, validation)
