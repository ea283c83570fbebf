"""The run folder of pre-training and fine-tuning: checkpoints, resuming, the library's arguments, saving.

It holds the model (`config.json`, `model.safetensors`), its processor and tokenizer, ``settings.yaml``, ``data.json``,
``history.json`` (every logged figure), ``logs/`` (TensorBoard) and ``checkpoints/`` (to resume from). The CLI adds
``ranking.json``, ``memory.safetensors``, ``README.md`` (the model card) and ``evaluation/``.

Where `torchrun` starts several processes, only the main one writes the run folder and the cache of prepared photos.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainingArguments

from kaleidobert.data.reading import Reading
from kaleidobert.errors import InputError
from kaleidobert.files import write_whole
from kaleidobert.main_process import is_main_process
from kaleidobert.model import KaleidoBertImageProcessor, KaleidoBertModel, KaleidoBertProcessor
from kaleidobert.model.objectives import Objectives
from kaleidobert.model.unfinished import is_unfinished, mark_finished, mark_unfinished
from kaleidobert.training.data_summary import save_data_summary
from kaleidobert.training.dataset import PreparedDataset, prepare
from kaleidobert.training.settings import RUN_SETTINGS, RunSettings, TrainingSettings
from kaleidobert.training.time_budget import EARLIER_BUDGET_FILE, TIME_BUDGET_FILE
from kaleidobert.training.trainer import TimedTrainer

HISTORY_FILE = "history.json"
# How long processes wait for the main one, which may prepare photos for hours; if it fails, torchrun ends them.
PROCESS_TIMEOUT = timedelta(days=2)


def processes() -> PartialState:
    """The group of processes that train this run: only this one, unless `torchrun` started several."""
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PROCESS_TIMEOUT)
    atexit.register(state.destroy_process_group)
    return state


def last_checkpoint(out: Path, resume: bool) -> Path | None:
    """The last complete checkpoint to resume from; None if the run starts from scratch.

    It starts from scratch in a new folder and, with or without ``resume``, where a run was killed before its first
    checkpoint was complete. Raises ``InputError`` if a run would be overwritten, cannot be resumed, or is missing.
    """
    complete = whole_checkpoints(out)
    unfinished = is_unfinished(out)
    finished = (out / "model.safetensors").exists() and not unfinished
    if not complete and any((each / EARLIER_BUDGET_FILE).exists() for each in _checkpoints(out)):
        raise InputError(
            f"{out}: its checkpoints are of an earlier version of kaleidobert and cannot be resumed; "
            "finish the run with that version, or train again with another --out"
        )
    if not resume and (complete or finished):
        raise InputError(f"{out}: there is a run already; add --resume to continue it, or choose another --out")
    if resume and not complete and finished:
        raise InputError(f"{out}: a finished run without checkpoints cannot be continued; choose another --out")
    if resume and not complete and not unfinished and not (out / RUN_SETTINGS).exists():
        raise InputError(f"{out}: no checkpoint to resume from; leave --resume out to start from scratch")
    return complete[-1] if complete else None


@contextmanager
def begin_run(out: Path) -> Iterator[None]:
    """Mark the run as unfinished until `finish_run` is through; in the main process only.

    Where data or settings are refused inside, the folder is left as it was, and a new one is deleted again.
    """
    unfinished = is_unfinished(out)
    if is_main_process():
        mark_unfinished(out)
    try:
        yield
    except InputError:
        if is_main_process() and not unfinished:
            mark_finished(out)
            if not any(out.iterdir()):
                out.rmdir()
        raise


def prepare_splits(
    data: str | Path, processor: KaleidoBertImageProcessor, reading: Reading
) -> tuple[PreparedDataset, PreparedDataset]:
    """The train and validation splits, prepared by the main process and read from its cache by the others."""
    with processes().main_process_first():
        return prepare(data, "train", processor, reading), prepare(data, "validation", processor, reading)


def start_run(
    out: Path,
    checkpoint: Path | None,
    settings: RunSettings,
    processor: KaleidoBertProcessor,
    data: str | Path,
    train: PreparedDataset,
    validation: PreparedDataset,
) -> None:
    """Write settings, processor and data summary into the run folder, before training; in the main process only."""
    if not is_main_process():
        return
    out.mkdir(parents=True, exist_ok=True)
    clear_remains(out, checkpoint)
    settings.save(out)
    save_data_summary(out, data, train=train, validation=validation)
    if checkpoint is None:
        processor.save_pretrained(out)


def freeze(model: KaleidoBertModel, settings: TrainingSettings) -> None:
    """Keep the parts of the model that are not to be trained as they are."""
    if settings.freeze_backbone:
        model.freeze_backbone()
    model.freeze(
        settings.frozen_stages,
        settings.frozen_depthwise,
        settings.frozen_batch_norm,
        settings.frozen_embeddings,
        settings.frozen_layers,
    )


def learning_rate_of(settings: TrainingSettings, layers: int, name: str) -> float:
    """The peak learning rate of the parameter ``name`` of a model whose BERT has this many layers.

    Rates decay from the top layer of BERT down, its embeddings being below the lowest (Sun et al., "How to Fine-Tune
    BERT for Text Classification?", CCL 2019).
    """
    if "patch_encoder.backbone." in name and settings.backbone_learning_rate:
        return settings.backbone_learning_rate
    layer = re.search(r"\bbert\.(?:encoder\.layer\.(\d+)\.|embeddings\.)", name)
    if layer is None:
        return settings.learning_rate
    below = layers - 1 - int(layer[1] or -1)
    return (settings.text_learning_rate or settings.learning_rate) * settings.layer_decay**below


def clear_remains(out: Path, checkpoint: Path | None) -> None:
    """Delete incomplete checkpoints of a killed process, and the logs of a run that starts from scratch."""
    for folder in _checkpoints(out):
        if not _is_complete(folder):
            shutil.rmtree(folder)
    if checkpoint is None:
        shutil.rmtree(out / "logs", ignore_errors=True)


def whole_checkpoints(out: Path) -> list[Path]:
    """A run's complete checkpoints, the latest last."""
    return sorted(filter(_is_complete, _checkpoints(out)), key=_step)


def _checkpoints(out: Path) -> list[Path]:
    return list((out / "checkpoints").glob("checkpoint-*"))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_complete(checkpoint: Path) -> bool:
    """Whether the file that is written last is there (see `TimeBudget.on_save`)."""
    return (checkpoint / TIME_BUDGET_FILE).exists()


def training_arguments(
    out: Path, settings: TrainingSettings, products: int, objectives: Objectives | None = None
) -> TrainingArguments:
    """The library's arguments for a run folder.

    Raises ``InputError`` if there is less than one batch, or if the processes cannot have equal shares of it.
    """
    count = processes().num_processes
    if objectives and objectives.candidates and objectives.listed_products % count:
        raise InputError(
            f"objectives.listed_products {objectives.listed_products} cannot be divided among {count} processes; "
            "choose a multiple"
        )
    for name in ("batch_size", "joint_samples"):
        size = getattr(settings, name)
        if size % count:
            raise InputError(f"training.{name} {size} cannot be divided among {count} processes; choose a multiple")
    return common_arguments(
        out,
        settings,
        products,
        "training.",
        per_device_train_batch_size=settings.batch_size // count,
        per_device_eval_batch_size=min(settings.batch_size, 128),
        gradient_accumulation_steps=settings.gradient_accumulation,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else "cosine",
        save_total_limit=2,
        ddp_find_unused_parameters=True,  # before `joint_from` the heads and the upper layers have no gradients
        ddp_timeout=int(PROCESS_TIMEOUT.total_seconds()),
    )


class SharedTrainingSettings(Protocol):
    """The settings that all models' training has in common."""

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
    """The library's arguments that training of all models has in common, and ``others``.

    ``prefix``: of the settings' names in --set. Raises ``InputError`` if there is less than one batch.
    """
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if products < settings.batch_size:
        raise InputError(
            f"{products} products to train on are fewer than one batch of {settings.batch_size}; "
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
        label_names=["input_ids"],  # in every batch; without a label name the library computes no validation loss
        dataloader_drop_last=True,
        disable_tqdm=True,
        report_to=[],
        seed=settings.seed,
        **others,
    )


Finish = Callable[[Path], dict[str, Any]]  # what is done with a trained run folder; returns further figures


def nothing_more(_: Path) -> dict[str, Any]:
    """The `Finish` of a run that is finished once it is trained."""
    return {}


def finish_run(trainer: TimedTrainer, out: Path, checkpoint: Path | None, finish: Finish) -> dict[str, Any]:
    """Train, validate and save, then call ``finish``; returns the last validation figures and those that it adds.

    The run is finished when ``finish`` has returned: until then every command but the one that trains it refuses it.
    Only the main process calls it.
    """
    state = processes()
    if state.process_index:
        torch.manual_seed(trainer.args.seed + state.process_index)  # other dropout than the main process
    if checkpoint and trainer.budget.spent():
        trainer.load_trained(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    figures = trainer.last_validation()
    if state.is_main_process:
        trainer.save_model(str(out))
        write_history(trainer, out)
        figures |= finish(out)
        mark_finished(out)
    [figures] = broadcast_object_list([figures])
    return figures


def write_history(trainer: Trainer, out: Path) -> None:
    """Write every logged figure to ``HISTORY_FILE``."""
    write_whole(json.dumps(trainer.state.log_history, indent=1), out / HISTORY_FILE)
