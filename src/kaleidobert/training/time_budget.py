"""The budget of a training run, in steps or minutes, and what follows it: learning rate, end and time left."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from kaleidobert.files import read_json, write_whole

TIME_BUDGET_FILE = "time_budget.json"  # the last file of a checkpoint: one without it is incomplete
EARLIER_BUDGET_FILE = "pace.json"  # its name in checkpoints of earlier versions, whose weights have other names
MAX_WORKERS = 8  # processes that make batches, unless a setting says otherwise
BATCHES_AHEAD = 2 * MAX_WORKERS + 2  # whose products are drawn before their step, at most


class TimeBudget(TrainerCallback):
    """Progress from 0 to 1: the larger of steps done / all steps and time spent / ``max_minutes``.

    ``seconds_before``: time spent before the run was resumed, as stored in its checkpoint. In a distributed run the
    main process's clock is broadcast between steps, since a process that stopped, or switched objectives, by a clock
    of its own would leave the others waiting for ever.
    """

    def __init__(self, max_minutes: float | None = None, seconds_before: float = 0.0) -> None:
        self.max_minutes = max_minutes
        self.seconds_before = seconds_before
        self.started = time.monotonic()
        self.seconds_spent = seconds_before  # at the last update, the same in all processes
        self.steps_done = 0.0  # share of all steps
        self.step = 1.0  # how far the last step went
        self.steps_before = 0.0  # the share that was done before the run was resumed

    def progress(self) -> float:
        if self.max_minutes is None:
            return min(1.0, self.steps_done)
        return min(1.0, max(self.steps_done, self.seconds_spent / (60 * self.max_minutes)))

    def approaches(self, progress: float) -> bool:
        """Whether ``progress`` is passed or comes within the next few steps, for which batches are made beforehand."""
        return self.progress() + BATCHES_AHEAD * self.step >= progress

    def seconds(self) -> float:
        """Time spent on training, in seconds, including the time before a resume."""
        return self.seconds_before + time.monotonic() - self.started

    def spent(self) -> bool:
        """Whether no minutes are left for another step."""
        return self.max_minutes is not None and self.seconds_before >= 60 * self.max_minutes

    def seconds_left(self) -> float:
        """The smaller of what is left of the minutes and what the remaining steps need at the present speed.

        Infinite before the first step of a run without a time limit.
        """
        spent = time.monotonic() - self.started
        done = self.steps_done - self.steps_before
        left = spent / done * (1 - self.steps_done) if done > 0 else math.inf
        if self.max_minutes is not None:
            left = min(left, 60 * self.max_minutes - self.seconds())
        return max(0.0, left) if self.progress() < 1 else 0.0

    def update(self, steps_done: float) -> None:
        """Call between steps with the share of steps done; reads the main process's clock where time is limited."""
        before = self.progress()
        if self.max_minutes is not None:
            [self.seconds_spent] = broadcast_object_list([self.seconds()])
        self.steps_done = steps_done
        self.step = self.progress() - before or self.step

    @classmethod
    def resumed(cls, checkpoint: Path, max_minutes: float | None) -> TimeBudget:
        """The budget of a run that continues from a checkpoint folder."""
        return cls(max_minutes, checkpoint_seconds(checkpoint))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint complete: write its last file, once all processes have written theirs."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            file = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / TIME_BUDGET_FILE
            write_whole(json.dumps({"seconds": self.seconds()}), file)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.monotonic()
        self.update(state.global_step / max(1, state.max_steps))
        self.steps_before = self.steps_done

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.update(state.global_step / max(1, state.max_steps))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.update(state.global_step / max(1, state.max_steps))
        if self.progress() >= 1:
            control.should_training_stop = True
            # so that a run that is killed from here on need not train again
            control.should_save = args.save_strategy != "no"

    def learning_rate_factor(self, step: int, warmup_steps: int, constant: bool = False) -> float:
        """Linear warm-up over steps; times a cosine of the progress down to zero, unless ``constant``."""
        warmed = min(1.0, (step + 1) / max(1, warmup_steps))
        return warmed if constant else warmed * 0.5 * (1 + math.cos(math.pi * self.progress()))


def checkpoint_seconds(checkpoint: Path) -> float:
    """Seconds of training before a checkpoint. Raises ``InputError`` where it is damaged."""
    return read_json(checkpoint / TIME_BUDGET_FILE, f"delete {checkpoint}")["seconds"]
