"""`transformers.Trainer` with every component loss logged and a budget in minutes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback

from kaleidobert.model.distributed import convert_sync_batchnorm
from kaleidobert.training.time_budget import TimeBudget, TimeBudgetBar


class TimedTrainer(Trainer):
    """The library's trainer with a budget in minutes, and the means of named figures logged beside the loss.

    ``figures`` holds what was seen since the last log, of training (True) and of validation data (False).
    """

    def __init__(
        self,
        *,
        budget: TimeBudget,
        title: str,
        logs: Path,
        evaluation_collator: Callable,
        callbacks: Sequence[TrainerCallback] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(callbacks=[budget, TimeBudgetBar(budget, title), *callbacks], **kwargs)
        if self.is_world_process_zero():
            self.add_callback(TensorBoardCallback(SummaryWriter(str(logs))))
        self.remove_callback(PrinterCallback)
        self.budget = budget
        self.evaluation_collator = evaluation_collator
        self.figures: dict[bool, dict[str, list[Tensor]]] = {
            True: defaultdict(list),
            False: defaultdict(list),
        }

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of every figure since the last log, under ``eval_`` on validation data."""
        training = "loss" in logs
        if training or "eval_loss" in logs:
            prefix = "" if training else "eval_"
            figures = self.figures[training]
            means = torch.stack(
                [torch.stack(values).float().mean().to(self.args.device) for values in figures.values()]
            )
            means = self.accelerator.reduce(means, "mean")
            logs |= {prefix + name: mean for name, mean in zip(figures, means.tolist(), strict=True)}
            figures.clear()
        super().log(logs, start_time)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            chosen: Any = optimizer or self.optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(chosen, lambda step: self.budget.factor(step, warmup))
        return self.lr_scheduler

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Validation has a collator of its own: other products, no augmentation."""
        dataset: Any = self.eval_dataset if eval_dataset is None else eval_dataset
        size = min(self.args.eval_batch_size, len(dataset))  # all batches alike: contrastive loss grows with theirs
        return self.same_everywhere(DataLoader(dataset, size, collate_fn=self.evaluation_collator, drop_last=True))

    def same_everywhere(self, loader: DataLoader) -> DataLoader:
        """The library's loader, which would otherwise deal out whole batches to the processes."""
        return prepare_data_loader(loader, self.args.device, num_processes=1, process_index=0, put_on_device=True)


class KaleidoBertTrainer(TimedTrainer):
    """Trains any model whose output has ``loss``, ``losses`` and ``accuracies``, each logged under its name.

    ``references``, what predictors reach that know nothing, are logged beside them where there are any.

    The joint entry trains from progress ``joint_from`` on; on validation it is always measured. Under `torchrun` all
    processes go through the same batches: of training batches each makes its own rows (see `BatchShard`), and validation
    batches are whole in each.
    """

    def __init__(self, *, sampler: Sampler, joint_from: float = 0.0, **kwargs: Any) -> None:
        if kwargs["args"].world_size > 1:
            convert_sync_batchnorm(kwargs["model"])
        super().__init__(**kwargs)
        self.sampler = sampler
        self.joint_from = joint_from

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        guided = inputs.pop("guided", None)
        joint = not model.training or self.budget.progress() >= self.joint_from
        outputs = model(**inputs if joint else inputs | {"negative_draws": None})
        figures = self.figures[model.training]
        if guided is not None and joint:
            figures["guided"].append(guided.mean())
        for name, value in outputs.losses.items():
            figures[name].append(value.detach())
        for name, value in (outputs.accuracies or {}).items():
            figures[f"{name}_accuracy"].append(value.detach())
        for name, value in (getattr(outputs, "references", None) or {}).items():
            figures[name].append(value)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def get_train_dataloader(self) -> DataLoader:
        """Whole batches' indices for every process, whose collator makes its own rows of them."""
        dataset: Any = self.train_dataset
        size = self.args.train_batch_size * self.args.world_size
        pin = torch.cuda.is_available()
        return self.same_everywhere(
            DataLoader(
                dataset, size, sampler=self.sampler, collate_fn=self.data_collator, drop_last=True, pin_memory=pin
            )
        )
