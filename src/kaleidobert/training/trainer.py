"""`transformers.Trainer` with a budget in minutes and every component of the loss logged."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, TrainerState
from transformers.trainer_utils import SchedulerType

from kaleidobert.model.distributed import BatchShard, convert_sync_batchnorm
from kaleidobert.model.losses import NO_LABEL
from kaleidobert.training.collators import with_pixels
from kaleidobert.training.time_budget import MAX_WORKERS, TimeBudget
from kaleidobert.training.training_log import TrainingLog

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
TEXTS = {"input_ids": 0, "attention_mask": 0, "masked_ids": 0, "token_labels": NO_LABEL}  # with what pads them
QUERIES = {"query_ids": "input_ids", "query_mask": "attention_mask"}  # with what takes the place of missing ones
# see `TrainingLog`
HIGHLIGHTS = ("contrastive", "ITM", "LM", "PMI_accuracy", "classification_accuracy", "captioning_accuracy")


class _TensorBoard(TensorBoardCallback):
    """The library's callback, but its file stays open at the end of training, for the last validation."""

    def on_train_end(self, *_: Any, **__: Any) -> None:
        pass


class TimedTrainer(Trainer):
    """The library's trainer with a `TimeBudget`; logs the mean of each recorded figure beside the loss, and
    ``data_wait``, the share of the time that it waited for batches.

    ``title`` and ``highlights``: see `TrainingLog`. ``logs``: TensorBoard's folder.
    """

    def __init__(
        self,
        *,
        budget: TimeBudget,
        title: str,
        logs: Path,
        evaluation_collator: Callable,
        highlights: Sequence[str] = HIGHLIGHTS,
        callbacks: Sequence[TrainerCallback] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(callbacks=[budget, TrainingLog(budget, title, highlights), *callbacks], **kwargs)
        self.tensorboard = SummaryWriter(str(logs)) if self.is_world_process_zero() else None
        if self.tensorboard:
            self.add_callback(_TensorBoard(self.tensorboard))
        self.remove_callback(PrinterCallback)
        self.budget = budget
        self.evaluation_collator = evaluation_collator
        # Values since the last log, by name; of training batches under True, of validation batches under False.
        self.recorded: dict[bool, dict[str, list[Tensor]]] = {True: defaultdict(list), False: defaultdict(list)}
        self.waited, self.waited_since = 0.0, 0.0  # for batches, in seconds, since the last log or the first batch

    def get_batch_samples(self, *arguments: Any) -> Any:
        """As in the library; counts the time that it takes."""
        started = time.monotonic()
        self.waited_since = self.waited_since or started
        found = super().get_batch_samples(*arguments)
        self.waited += time.monotonic() - started
        return found

    def record(self, training: bool, figures: Mapping[str, Tensor]) -> None:
        """Keep a batch's figures (scalars) for the next log of training or validation."""
        for name, value in figures.items():
            self.recorded[training][name].append(value.detach())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each figure recorded since the last log, on validation data with the prefix ``eval_``."""
        training = "loss" in logs
        if training or "eval_loss" in logs:
            prefix = "" if training else "eval_"
            figures = self.recorded[training]
            means = torch.stack(
                [torch.stack(values).float().mean().to(self.args.device) for values in figures.values()]
            )
            means = self.accelerator.reduce(means, "mean")
            logs |= {prefix + name: mean for name, mean in zip(figures, means.tolist(), strict=True)}
            figures.clear()
        if training:
            now = time.monotonic()
            logs["data_wait"] = self.waited / (now - self.waited_since)
            self.waited, self.waited_since = 0.0, now
        super().log(logs, start_time)

    def last_validation(self, changed: bool = False) -> dict[str, float]:
        """Validate after the training, and close TensorBoard's file.

        Where the last step has been validated, these are its figures, unless the weights have ``changed`` since.
        """
        last = next((row for row in reversed(self.state.log_history) if "eval_loss" in row), None)
        if last and last["step"] == self.state.global_step and not changed:
            figures = {name: value for name, value in last.items() if name != "step"}
        else:
            figures = self.evaluate()
        if self.tensorboard:
            self.tensorboard.close()
        return figures

    def load_trained(self, checkpoint: Path) -> None:
        """Load a checkpoint whose run has no step left to do, with its history."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            constant = self.args.lr_scheduler_type == SchedulerType.CONSTANT_WITH_WARMUP
            chosen: Any = optimizer or self.optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                chosen, lambda step: self.budget.learning_rate_factor(step, warmup, constant)
            )
        return self.lr_scheduler

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Validation batches, by their own collator. All have the same size, as the contrastive loss grows with it."""
        dataset: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        size = min(self.args.eval_batch_size, len(dataset))
        return self.same_everywhere(DataLoader(dataset, size, collate_fn=self.evaluation_collator, drop_last=True))

    def same_everywhere(self, loader: DataLoader) -> DataLoader:
        """A loader that gives each process every batch; the library's default deals whole batches out to them."""
        return prepare_data_loader(loader, self.args.device, num_processes=1, process_index=0, put_on_device=True)


class KaleidoBertTrainer(TimedTrainer):
    """Trains any model whose output has ``loss``, ``losses`` and ``accuracies``; logs each of these by name.

    ``references``, the figures that trivial predictors reach, are logged as well where the output has them.

    ``learning_rate_of``: the peak rate of each parameter, by its name; by default that of the arguments.
    ``optimizer``: of ``OPTIMIZERS``. ``workers``: processes that make batches, by default `usual_workers`.

    The joint objectives are trained from progress ``joint_from`` on and LM from ``lm_from`` on; validation always has
    both. Under `torchrun` all processes iterate over the same batches: each computes its own rows of a
    training batch (see `BatchShard`), and all rows of a validation batch.
    """

    def __init__(
        self,
        *,
        sampler: Sampler,
        workers: int | None = None,
        learning_rate_of: Callable[[str], float] | None = None,
        optimizer: str = "adamw",
        joint_from: float = 0.0,
        lm_from: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if kwargs["args"].world_size > 1:
            convert_sync_batchnorm(kwargs["model"])
        super().__init__(**kwargs)
        self.sampler = sampler
        self.workers = usual_workers(self.args.world_size) if workers is None else workers
        self.learning_rate_of = learning_rate_of or (lambda _: self.args.learning_rate)
        self.chosen_optimizer = OPTIMIZERS[optimizer]
        self.joint_from, self.lm_from = joint_from, lm_from

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        inputs = of_one_length(with_pixels(inputs), BatchShard.here(model.training))
        guided = inputs.pop("guided", None)
        progress = self.budget.progress() if model.training else 1.0
        joint = progress >= self.joint_from
        inputs |= {} if joint else {"negative_draws": None}
        inputs |= {} if progress >= self.lm_from else {"text_only": None}
        outputs = model(**inputs)
        if guided is not None and joint:
            self.record(model.training, {"guided": guided.mean()})
        self.record(model.training, outputs.losses)
        accuracies = outputs.accuracies or {}
        self.record(model.training, {f"{name}_accuracy": value for name, value in accuracies.items()})
        self.record(model.training, getattr(outputs, "references", None) or {})
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:  # noqa: ARG002
        """Parts of a trained start have learning rates of their own; norms and biases have no weight decay."""
        if self.optimizer is None:
            trained: Any = self.model
            decays = set(self.get_decay_parameter_names(trained))
            groups: dict[tuple[float, bool], list[Any]] = defaultdict(list)
            for name, parameter in trained.named_parameters():
                if parameter.requires_grad:
                    groups[self.learning_rate_of(name), name in decays].append(parameter)
            self.optimizer = self.chosen_optimizer(
                [
                    {"params": each, "lr": rate, "weight_decay": self.args.weight_decay if decayed else 0.0}
                    for (rate, decayed), each in groups.items()
                ],
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                fused=True,
            )
        return self.optimizer

    def get_train_dataloader(self) -> DataLoader:
        """Whole batches' draws for every process, whose collator builds that process's rows."""
        dataset: Any = self.train_dataset
        collator: Any = self.data_collator
        loader = DataLoader(
            dataset,
            self.args.train_batch_size * self.args.world_size,
            sampler=self.sampler,
            collate_fn=collator.collate,
            drop_last=True,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
        return self.same_everywhere(loader)


def usual_workers(processes: int = 1) -> int:
    """Processes that make batches beside each process that trains: none without a GPU, which both would wait for."""
    if not torch.cuda.is_available():
        return 0
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // processes - 1))


@torch.no_grad()
def of_one_length(batch: dict[str, Any], shard: BatchShard) -> dict[str, Any]:
    """A batch whose texts are as long as the longest of all processes, as `BatchShard.gather` needs."""
    if shard.processes == 1 or "text_group" not in batch:
        return batch
    tokens = batch["input_ids"]
    own = [tokens.shape[1], batch.get("query_ids", tokens).shape[1], "query_ids" in batch]
    length, query_length, any_query = shard.gather(torch.tensor([own], device=tokens.device)).amax(dim=0).tolist()
    padding = {name: (length, value) for name, value in TEXTS.items() if name in batch}
    if any_query:
        batch = {name: batch[text] for name, text in QUERIES.items()} | batch
        padding |= dict.fromkeys(QUERIES, (query_length, 0))
    padded = {name: F.pad(batch[name], (0, to - batch[name].shape[1]), value=by) for name, (to, by) in padding.items()}
    return batch | padded
