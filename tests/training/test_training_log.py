"""What is printed during training is short and has the time left; history and TensorBoard have every figure."""

import json
import re

import pytest
from rich.console import Console
from rich.progress import Progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerControl, TrainerState, TrainingArguments

from kaleidobert.model.pretext_tasks import pretraining_losses
from kaleidobert.training import training_log as module
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.time_budget import TimeBudget
from kaleidobert.training.training_log import Speed, TrainingLog, time_text

pytestmark = pytest.mark.usefixtures("shared_cache")

FIGURE = re.compile(r"(?<![\w@.])\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


def progress_lines(output: str) -> list[str]:
    """Every printed line, of which each has at most eight figures and the time left."""
    lines = output.strip().splitlines()
    for line in lines:
        assert len(FIGURE.findall(line)) <= 8, line
        assert re.search(r"\d% · \d+\.\d min, \d+\.\d left", line), line
    return lines


def test_a_line_has_eight_figures_at_most_and_the_time_left(shapes, settings, tmp_path, capsys):
    pretrain(shapes, tmp_path / "run", settings())
    lines = progress_lines(capsys.readouterr().out)
    training = [line for line in lines if "validation" not in line]
    assert [int(line.split()[1]) for line in training] == list(range(1, 9))
    number = r"\d[\d.]*"
    assert re.fullmatch(
        rf"step 4 · 50% · {number} min, {number} left · loss {number} · contrastive {number} · ITM {number} · "
        rf"[\d,]+ samples/s",
        training[3],
    )
    assert [line.split()[1] for line in lines if "validation loss" in line] == ["3", "6", "8"]  # each once


def test_history_and_tensorboard_have_every_figure(run):
    rows = [row for row in json.loads((run / "history.json").read_text()) if "loss" in row or "eval_loss" in row]
    events = EventAccumulator(str(run / "logs")).Reload()
    kept = 0
    for row in rows:
        for name in row.keys() - {"step", "epoch"}:
            tag = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
            values = [event.value for event in events.Scalars(tag) if event.step == row["step"]]
            assert pytest.approx(row[name], rel=1e-5) in values, tag
            kept += 1
    parts = {*pretraining_losses()} - {"SPM", "PMI"} | {"ITM_accuracy", "RR_accuracy", "JPS_accuracy", "CP_accuracy"}
    assert kept > 200 and parts <= set(rows[0]) and {f"eval_{name}" for name in parts} <= set(rows[-1])
    assert len(events.Scalars("eval/loss")) == 3  # that of the last step is there, too
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"checkpoint-6", "checkpoint-8"}


def test_other_tasks_print_their_accuracy(run, shapes, tmp_path, capsys):
    settings = finetune_settings("category", run, ["training.epochs=1", "training.evaluate_every=4"])
    finetune("category", shapes, run, tmp_path / "category", settings)
    lines = progress_lines(capsys.readouterr().out)
    assert len(lines) >= 5 and all("classification accuracy" in line for line in lines)


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_time_left_follows_minutes_or_steps_whichever_end_first(clock):
    budget = TimeBudget(max_minutes=10)
    assert time_text(budget) == "0% · 0.0 min, 10.0 left"
    clock[0] += 60
    budget.update(steps_done=0.05)  # all steps need 20 minutes
    assert time_text(budget) == "10% · 1.0 min, 9.0 left"
    budget.update(steps_done=0.5)  # 2 minutes
    assert time_text(budget) == "50% · 1.0 min, 1.0 left"
    budget.update(steps_done=1.0)
    assert time_text(budget) == "100% · 1.0 min, 0.0 left"
    assert time_text(TimeBudget()) == "0% · 0.0 min, ? left"  # neither minutes nor a step to go by


def test_time_left_of_a_resumed_run_goes_by_its_own_steps(clock):
    """Not by those before the resume, of which the time on this machine is unknown."""
    budget = TimeBudget(seconds_before=6000)
    budget.on_train_begin(*_arguments(step=5))
    clock[0] += 60
    budget.update(steps_done=0.6)
    assert budget.seconds_left() == pytest.approx(4 * 60) and budget.seconds() == pytest.approx(6060)


def test_speed_leaves_validation_and_saving_out(clock):
    speed = Speed()
    for _ in range(3):
        clock[0] += 2
        speed.add(64)
        clock[0] += 50
        speed.pause()
    assert speed.read() == pytest.approx(32)
    clock[0] += 4
    speed.add(64)
    assert speed.read() == pytest.approx(16)


def _arguments(step: int) -> tuple[TrainingArguments, TrainerState, TrainerControl]:
    arguments = TrainingArguments(per_device_train_batch_size=480, use_cpu=True)
    return arguments, TrainerState(global_step=step, max_steps=10), TrainerControl()


def test_on_a_terminal_the_bar_shows_the_same_figures(monkeypatch, clock):
    terminal = Console(force_terminal=True, width=200, record=True)
    monkeypatch.setattr(module, "Progress", lambda *columns: Progress(*columns, console=terminal))
    budget = TimeBudget(max_minutes=10)
    log = TrainingLog(budget, "pre-training", ("contrastive", "ITM", "LM"))
    arguments = _arguments(step=2)
    budget.on_train_begin(*arguments)
    log.on_train_begin(*arguments)
    clock[0] += 60
    budget.on_step_end(*arguments)
    log.on_step_end(*arguments)
    log.on_log(*arguments, logs={"loss": 4.0214, "LM": 3.0, "contrastive": 1.5, "grad_norm": 9.0, "ITM": 0.551234})
    log.on_train_end(*arguments)
    shown = terminal.export_text().strip().splitlines()
    assert len(shown) == 1
    assert shown[0].endswith("20% · 1.0 min, 9.0 left · step 2 · loss 4.02 · contrastive 1.5 · ITM 0.551 · 8 samples/s")
