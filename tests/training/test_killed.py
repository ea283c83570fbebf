"""Runs ended by SIGKILL and resumed with `--resume` give the same result as uninterrupted ones."""

import os
import random
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from kaleidobert.errors import InputError
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.runs import clear_remains, last_checkpoint

pytestmark = pytest.mark.usefixtures("shared_cache")


def fingerprint(run: Path) -> str:
    return sha256((run / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def killed(run, tmp_path) -> Path:
    """The run as it is after step 8, before the model is written."""
    copy = shutil.copytree(run, tmp_path / "killed")
    for name in ("model.safetensors", "config.json", "history.json"):
        (copy / name).unlink()
    return copy


def half_written(checkpoint: Path) -> None:
    """As if the process had been killed while writing its weights."""
    for path in checkpoint.iterdir():
        if path.name == "model.safetensors":
            os.truncate(path, 1000)
        elif path.name != "config.json":
            path.unlink()


def test_an_incomplete_checkpoint_is_ignored(killed, run, shapes, settings, history):
    half_written(killed / "checkpoints" / "checkpoint-8")
    assert last_checkpoint(killed, resume=True) == killed / "checkpoints" / "checkpoint-6"
    pretrain(shapes, killed, settings(), resume=True)
    assert fingerprint(killed) == fingerprint(run)
    assert history(killed) == history(run)


def test_a_run_killed_after_its_last_step_is_finished(killed, run, shapes, settings, history):
    (killed / "model.safetensors").write_bytes(b"half")
    pretrain(shapes, killed, settings(), resume=True)
    assert fingerprint(killed) == fingerprint(run)
    assert [row["step"] for row in history(killed) if "loss" in row] == list(range(1, 9))


def test_without_a_complete_checkpoint_a_run_starts_from_scratch(killed):
    shutil.rmtree(killed / "checkpoints" / "checkpoint-6")
    half_written(killed / "checkpoints" / "checkpoint-8")
    assert last_checkpoint(killed, resume=True) is None
    assert last_checkpoint(killed, resume=False) is None
    clear_remains(killed, None)
    assert not list((killed / "checkpoints").glob("checkpoint-*")) and not (killed / "logs").exists()


def test_a_finished_run_without_checkpoints_is_left_alone(copy):
    with pytest.raises(InputError, match="a finished run without checkpoints cannot be continued; choose another"):
        last_checkpoint(copy, resume=True)
    with pytest.raises(InputError, match="there is a run already"):
        last_checkpoint(copy, resume=False)


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_of_an_earlier_version_is_refused_and_left_alone(killed, shapes, settings, resume):
    """Its weights have other names; starting from scratch without a word would delete hours of training."""
    for checkpoint in (killed / "checkpoints").glob("checkpoint-*"):
        (checkpoint / "time_budget.json").rename(checkpoint / "pace.json")
    before = sorted(killed.rglob("*"))
    with pytest.raises(
        InputError, match="of an earlier version .* cannot be resumed; finish .* another --out"
    ) as caught:
        pretrain(shapes, killed, settings(), resume=resume)
    assert str(killed) in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(killed.rglob("*")) == before


def environment() -> dict[str, str]:
    """With the number of threads of the run to compare with, on which the order of sums and so the weights depend."""
    return os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}


def start_and_kill(arguments: list[str], path: Path, moment: float) -> None:
    """`kaleidobert` in a process of its own, killed ``moment`` seconds after ``path`` exists."""
    command = [sys.executable, "-m", "kaleidobert", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    deadline = time.monotonic() + 60
    try:
        while not path.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moment)
    finally:
        process.kill()  # SIGKILL
        process.wait()


def test_a_run_killed_twice_ends_with_the_same_weights(run, shapes, preset, history, tmp_path):
    """Killed while its first checkpoint is written, so that it starts from scratch, and again after it is complete."""
    out = tmp_path / "out"
    arguments = ["pretrain", str(shapes), "--out", str(out), "--preset", str(preset), "--set", "model.fusion_layer=1"]
    first = out / "checkpoints" / "checkpoint-3"
    start_and_kill(arguments, first, 0)
    arguments.append("--resume")
    moment = random.uniform(0, 0.4)
    start_and_kill(arguments, first / "time_budget.json", moment)
    command = [sys.executable, "-m", "kaleidobert", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
    assert fingerprint(out) == fingerprint(run), f"killed {moment:.3f} s after the first checkpoint"
    assert history(out) == history(run)
