"""Training output for people: a short line per log, or a progress bar on a terminal.

A line has at most eight figures, including the time left. TensorBoard and ``history.json`` hold every figure.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from kaleidobert.training.time_budget import TimeBudget

MOST_HIGHLIGHTS = 2  # with step, share done, minutes spent and left, loss and speed: eight figures


class TrainingLog(TrainerCallback):
    """Prints a line for each training log and each validation; on a terminal the latest stands beside the bar.

    ``highlights``: names of logged figures in order of preference; the first two that are there are printed.
    """

    def __init__(self, budget: TimeBudget, title: str, highlights: Sequence[str]) -> None:
        self.budget = budget
        self.highlights = highlights
        self.speed = Speed()
        text = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[time]}{task.fields[figures]}")
        self.bar = Progress(*text)
        self.bar.disable = not self.bar.console.is_terminal
        self.task = self.bar.add_task(title, total=1.0, time=time_text(budget), figures="")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed.start()
        if state.is_world_process_zero:
            self.bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed.add(args.train_batch_size * args.world_size * args.gradient_accumulation_steps)
        self.bar.update(self.task, completed=self.budget.progress(), time=time_text(self.budget))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        if not state.is_world_process_zero or not ("loss" in logs or "eval_loss" in logs):
            return
        figures = " · ".join(["", *self._figures(logs)])
        self.bar.update(self.task, figures=f" · step {state.global_step}{figures}")
        if self.bar.disable:
            line = f"step {state.global_step} · {time_text(self.budget)}{figures}"
            self.bar.console.print(line, soft_wrap=True, highlight=False)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed.pause()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed.pause()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.stop()

    def _figures(self, logs: Mapping[str, float]) -> list[str]:
        """Loss and highlights, of training with the speed since the last training log."""
        prefix, title = ("", "loss") if "loss" in logs else ("eval_", "validation loss")
        shown = [name for name in self.highlights if prefix + name in logs][:MOST_HIGHLIGHTS]
        figures = [f"{title} {logs[prefix + 'loss']:.3g}"]
        figures += [f"{name.replace('_', ' ')} {logs[prefix + name]:.3g}" for name in shown]
        return figures if prefix else [*figures, f"{self.speed.read():,.0f} samples/s"]


class Speed:
    """Training samples per second since the last reading, without the time of validation and saving."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.samples, self.seconds, self.since = 0, 0.0, time.monotonic()

    def add(self, samples: int) -> None:
        """Count a step's samples, and the time since the last step or pause."""
        now = time.monotonic()
        self.samples, self.seconds, self.since = self.samples + samples, self.seconds + now - self.since, now

    def pause(self) -> None:
        """Leave out the time that has passed since the last step."""
        self.since = time.monotonic()

    def read(self) -> float:
        speed = self.samples / max(self.seconds, 1e-9)
        self.samples, self.seconds = 0, 0.0
        return speed


def time_text(budget: TimeBudget) -> str:
    """``35% · 3.2 min, 5.9 left``: share done, minutes spent, minutes left."""
    left = budget.seconds_left() / 60
    return f"{budget.progress():.0%} · {budget.seconds() / 60:.1f} min, {f'{left:.1f}' if left < inf else '?'} left"
