"""How far a run is, by steps or by minutes, and what depends on it: learning rate, stopping, the progress bar."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

TIME_BUDGET_FILE = "budget.json"


class TimeBudget(TrainerCallback):
    """Progress from 0 to 1: the larger of steps done and minutes spent, each of its limit.

    Minutes spent before a resume count, as the checkpoint remembers them. The clock is read between steps, and it is
    the main process's: one that stopped, or turned to the joint entry, alone would wait for the others for ever.
    """

    def __init__(self, max_minutes: float | None = None, seconds_before: float = 0.0) -> None:
        self.max_minutes = max_minutes
        self.seconds_before = seconds_before
        self.started = time.monotonic()
        self.seconds_read = seconds_before
        self.steps_done = 0.0

    def progress(self) -> float:
        if self.max_minutes is None:
            return min(1.0, self.steps_done)
        return min(1.0, max(self.steps_done, self.seconds_read / (60 * self.max_minutes)))

    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def look(self, steps_done: float) -> None:
        """Between steps: read the main process's clock, where it matters, and the steps done."""
        if self.max_minutes is not None:
            [self.seconds_read] = broadcast_object_list([self.seconds()])
        self.steps_done = steps_done

    @classmethod
    def resumed(cls, checkpoint: Path, max_minutes: float | None) -> TimeBudget:
        """The budget of a run that goes on from a checkpoint folder."""
        return cls(max_minutes, json.loads((checkpoint / TIME_BUDGET_FILE).read_text())["seconds"])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The checkpoint's last file, written when all processes have written theirs: with it, it is whole."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            file = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / TIME_BUDGET_FILE
            scratch = file.with_suffix(".part")
            scratch.write_text(json.dumps({"seconds": self.seconds()}))
            scratch.replace(file)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.monotonic()
        self.look(state.global_step / max(1, state.max_steps))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.look(state.global_step / max(1, state.max_steps))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.look(state.global_step / max(1, state.max_steps))
        if self.progress() >= 1:
            control.should_training_stop = True

    def factor(self, step: int, warmup_steps: int) -> float:
        """Learning rate factor: linear warm-up by steps, then a cosine of progress down to zero."""
        return min(1.0, (step + 1) / max(1, warmup_steps)) * 0.5 * (1 + math.cos(math.pi * self.progress()))


class TimeBudgetBar(TrainerCallback):
    """A progress bar over the budget, with the time left and the latest figures."""

    def __init__(self, budget: TimeBudget, title: str) -> None:
        self.budget = budget
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        times = (
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        self.bar = Progress(*columns, *times)
        self.task = self.bar.add_task(title, total=1.0, figures="")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(self.task, completed=self.budget.progress())

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        loss = logs.get("loss", logs.get("eval_loss"))
        if loss is None or not state.is_world_process_zero:
            return
        name = "loss" if "loss" in logs else "validation loss"
        self.bar.update(self.task, figures=f"step {state.global_step}, {name} {loss:.3f}")
        if not self.bar.console.is_terminal:
            done = f"{self.budget.progress():.0%}, {self.budget.seconds() / 60:.1f} min"
            figures = {key: value for key, value in logs.items() if key not in ("epoch", "total_flos")}
            shown = ", ".join(f"{key} {value:.4g}" for key, value in figures.items() if isinstance(value, float))
            self.bar.console.print(f"step {state.global_step} ({done}): {shown}", soft_wrap=True, highlight=False)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.stop()
