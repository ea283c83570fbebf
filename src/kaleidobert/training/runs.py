"""The run folder, which pre-training and fine-tuning share.

It holds the model (`config.json`, `model.safetensors`), its processor and tokenizer, ``settings.yaml``,
``history.json`` (every logged figure), ``logs/`` (TensorBoard) and ``checkpoints/`` (to resume from).

Several processes, started by `torchrun`, train one run: the main one alone writes it, and the photos' cache.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainingArguments

from kaleidobert.errors import InputError
from kaleidobert.training.settings import RUN_SETTINGS, TrainingSettings
from kaleidobert.training.time_budget import TIME_BUDGET_FILE

# Others wait for the main process while it prepares photos, which may take hours; if it fails, torchrun ends them.
PATIENCE = timedelta(days=2)


def processes() -> PartialState:
    """The processes that train this run together: this one alone, unless `torchrun` started several."""
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    atexit.register(state.destroy_process_group)
    return state


def is_main_process() -> bool:
    """Whether this is the process that writes, of those that `torchrun` started; alone, it is."""
    return os.environ.get("RANK", "0") == "0"


def last_checkpoint(out: Path, resume: bool) -> Path | None:
    """The last whole checkpoint to go on from, or None: the run starts anew.

    It does so where nothing is lost: in a new folder, and, resumed or not, in one whose run was killed before its
    first checkpoint was whole. Raises ``InputError`` where a run would be overwritten or is missing.
    """
    whole = whole_checkpoints(out)
    finished = (out / "model.safetensors").exists()
    if not resume and (whole or finished):
        raise InputError(f"{out}: there is a run already; add --resume to go on with it, or choose another --out")
    if resume and not whole and finished:
        raise InputError(f"{out}: a finished run without checkpoints, which cannot go on; choose another --out")
    if resume and not whole and not (out / RUN_SETTINGS).exists():
        raise InputError(f"{out}: no checkpoint to resume from; leave --resume out to start anew")
    return whole[-1] if whole else None


def clear_remains(out: Path, checkpoint: Path | None) -> None:
    """Delete what a killed process left half-written, and the logs of a run that starts anew."""
    for folder in _checkpoints(out):
        if not _is_whole(folder):
            shutil.rmtree(folder)
    if checkpoint is None:
        shutil.rmtree(out / "logs", ignore_errors=True)


def whole_checkpoints(out: Path) -> list[Path]:
    """A run's checkpoints that were written to their end, the latest last."""
    return sorted(filter(_is_whole, _checkpoints(out)), key=_step)


def _checkpoints(out: Path) -> list[Path]:
    return list((out / "checkpoints").glob("checkpoint-*"))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_whole(checkpoint: Path) -> bool:
    """Its last file is there (see `TimeBudget.on_save`)."""
    return (checkpoint / TIME_BUDGET_FILE).exists()


def training_arguments(out: Path, settings: TrainingSettings, products: int) -> TrainingArguments:
    """The library's arguments for a run folder. Raises ``InputError`` where there is less than one batch."""
    count = processes().num_processes
    for name, size in (("batch_size", settings.batch_size), ("joint_samples", settings.joint_samples)):
        if size % count:
            raise InputError(f"training.{name} {size} cannot be shared out among {count} processes; choose a multiple")
    return common_arguments(
        out,
        settings,
        products,
        "training.",
        per_device_train_batch_size=settings.batch_size // count,
        per_device_eval_batch_size=min(settings.batch_size, 128),
        gradient_accumulation_steps=settings.gradient_accumulation,
        save_total_limit=2,
        ddp_find_unused_parameters=True,  # before `joint_from` the heads and the upper layers have no gradients
        ddp_timeout=int(PATIENCE.total_seconds()),
    )


class SharedTrainingSettings(Protocol):
    """What every training's settings say."""

    batch_size: int
    epochs: float
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    bf16: bool
    evaluate_every: int
    seed: int


def common_arguments(
    out: Path, settings: SharedTrainingSettings, products: int, prefix: str = "", **others: Any
) -> TrainingArguments:
    """The library's arguments that all trainings share, and ``others``. ``prefix``: of the settings' names in --set.

    Raises ``InputError`` where there is less than one batch.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if products < settings.batch_size:
        raise InputError(
            f"{products} products to train on are less than one batch of {settings.batch_size}; "
            f"lower it with --set {prefix}batch_size=..."
        )
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
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
        prediction_loss_only=True,
        remove_unused_columns=False,
        label_names=["input_ids"],  # what every batch has; without a label the library measures no validation loss
        dataloader_drop_last=True,
        disable_tqdm=True,
        report_to=[],
        seed=settings.seed,
        **others,
    )


def finish_run(
    trainer: Trainer, out: Path, checkpoint: Path | None, save: Callable[[Trainer, Path], dict[str, float]]
) -> dict[str, float]:
    """Train to the end, validate and save; returns the last validation figures and those that saving adds.

    ``save`` is `save_run`, or what does so and more; the main process alone calls it.
    """
    state = processes()
    if state.process_index:
        torch.manual_seed(trainer.args.seed + state.process_index)  # not the main process's dropout again
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = trainer.evaluate()
    if state.is_main_process:
        figures |= save(trainer, out)
    [figures] = broadcast_object_list([figures])
    return figures


def save_run(trainer: Trainer, out: Path) -> dict[str, float]:
    """Write the model and the history; adds no figures."""
    trainer.save_model(str(out))
    (out / "history.json").write_text(json.dumps(trainer.state.log_history, indent=1))
    return {}
