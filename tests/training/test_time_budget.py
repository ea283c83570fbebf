import json
from types import SimpleNamespace
from typing import Any

import pytest

from kaleidobert.training import time_budget as module
from kaleidobert.training.time_budget import TimeBudget


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    return now


ARGUMENTS: Any = SimpleNamespace(save_strategy="steps")  # of which the callback reads no more


def at(step: int, steps: int = 10) -> Any:
    return SimpleNamespace(global_step=step, max_steps=steps, is_world_process_zero=True)


def after_step(budget: TimeBudget, step: int, steps: int = 10) -> bool:
    """Whether the budget ends training after this step."""
    control: Any = SimpleNamespace(should_training_stop=False)
    budget.on_step_end(ARGUMENTS, at(step, steps), control)
    return control.should_training_stop


def test_progress_by_steps(clock):
    budget = TimeBudget()
    assert budget.progress() == 0
    clock.seconds += 1e6  # without a limit, time does not count
    assert not after_step(budget, 4) and budget.progress() == 0.4
    assert after_step(budget, 10) and budget.progress() == 1


def test_progress_by_minutes_whichever_is_further(clock):
    budget = TimeBudget(max_minutes=2)
    budget.on_train_begin(ARGUMENTS, at(0), ARGUMENTS)
    clock.seconds += 30
    assert not after_step(budget, 1, steps=1000) and budget.progress() == pytest.approx(0.25)
    assert not after_step(budget, 500, steps=1000) and budget.progress() == pytest.approx(0.5)
    clock.seconds += 90
    assert after_step(budget, 501, steps=1000) and budget.progress() == 1
    clock.seconds += 90
    assert budget.progress() == 1


def test_minutes_begin_with_the_training(clock):
    """Not with the preparation before it."""
    budget = TimeBudget(max_minutes=1)
    clock.seconds += 59
    budget.on_train_begin(ARGUMENTS, at(0), ARGUMENTS)
    assert budget.progress() == 0


def test_the_factor_warms_up_and_ends_at_zero():
    budget = TimeBudget()
    factors = []
    for step in range(100):
        budget.on_step_begin(ARGUMENTS, at(step, 100), ARGUMENTS)
        factors.append(budget.learning_rate_factor(step, warmup_steps=10))
    assert factors[:10] == sorted(factors[:10])
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) > 0.97 and factors[9] == max(factors)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    budget.on_step_begin(ARGUMENTS, at(50, 100), ARGUMENTS)
    assert budget.learning_rate_factor(50, 10) == pytest.approx(0.5)
    after_step(budget, 100, 100)
    assert budget.learning_rate_factor(100, 10) == pytest.approx(0, abs=1e-9)


def test_a_constant_rate_stays_after_its_warm_up():
    budget = TimeBudget()
    after_step(budget, 99)
    factors = [budget.learning_rate_factor(step, warmup_steps=4, constant=True) for step in (0, 1, 3, 4, 99)]
    assert factors == [0.25, 0.5, 1, 1, 1]
    assert budget.learning_rate_factor(99, warmup_steps=4) < 0.01


def test_without_warm_up_the_factor_begins_at_one():
    assert TimeBudget().learning_rate_factor(0, warmup_steps=0) == 1


def test_the_factor_ends_at_zero_when_minutes_run_out(clock):
    budget = TimeBudget(max_minutes=1)
    budget.on_train_begin(ARGUMENTS, at(0), ARGUMENTS)
    clock.seconds += 60
    after_step(budget, 7)
    assert budget.learning_rate_factor(7, warmup_steps=2) == pytest.approx(0, abs=1e-9)


def test_seconds_before_a_resume_count(clock, tmp_path):
    budget = TimeBudget(max_minutes=2)
    budget.on_train_begin(ARGUMENTS, at(0), ARGUMENTS)
    clock.seconds += 45
    (tmp_path / "checkpoint-7").mkdir()
    arguments: Any = SimpleNamespace(output_dir=str(tmp_path))
    budget.on_save(arguments, at(7), ARGUMENTS)
    assert json.loads((tmp_path / "checkpoint-7" / "time_budget.json").read_text()) == {"seconds": 45}
    clock.seconds += 9999  # the machine was off
    resumed = TimeBudget.resumed(tmp_path / "checkpoint-7", max_minutes=2)
    resumed.on_train_begin(ARGUMENTS, at(7), ARGUMENTS)
    clock.seconds += 15
    assert not after_step(resumed, 8, 1000)
    assert resumed.seconds() == pytest.approx(60)
    assert resumed.progress() == pytest.approx(0.5)
