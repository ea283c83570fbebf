"""Training in two processes of `torchrun` equals training in one on the same batches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED
from kaleidobert.model.distributed import WHOLE_BATCH, BatchShard
from kaleidobert.model.objectives import Objectives
from kaleidobert.training import runs
from kaleidobert.training.collators import PairCollator
from kaleidobert.training.finetune import finetune, finetune_settings
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.pretraining_collator import PreTrainingCollator
from kaleidobert.training.trainer import TEXTS

# The first quarter of the run is contrastive only, so that some parameters are unused; then negatives are hard, and may
# be rows of the other process, as may the lenders of patches. The learning rate is low, since Adam turns tiny gradients
# into whole steps. With a small vocabulary and one pretext task for each photo, the processes hold unequal numbers of a
# loss's terms.
OVERRIDES = ("training.joint_from=0.25", "objectives.hard_negatives_from=0.0", "training.learning_rate=1e-4")
OVERRIDES += ("tokenizer.vocabulary=40", "objectives.corruption=photos", "objectives.lender=nearest")
OVERRIDES += ("objectives.candidates=3",)


def torchrun(*arguments: str) -> str:
    """A script, or `-m kaleidobert` with its arguments, in two processes -> standard output."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*launcher, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def arguments(shapes, preset, tmp_path_factory):
    """The arguments of a run whose photos are not prepared yet."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(folder / "cache"))
        sets = [part for each in ("model.fusion_layer=1", *OVERRIDES) for part in ("--set", each)]
        yield ["pretrain", str(shapes), "--out", str(folder / "run"), "--preset", str(preset), *sets]


@pytest.fixture(scope="module")
def two(arguments):
    """The run of two processes; its last figures are in ``figures.json``, its output in ``printed.txt``."""
    folder = Path(arguments[3])
    printed = torchrun("-m", "kaleidobert", *arguments, "--json", str(folder / "figures.json"))
    (folder / "printed.txt").write_text(printed)
    return folder


def test_two_processes_give_the_loss_curve_of_one(two, shapes, settings, history, tmp_path):
    pretrain(shapes, tmp_path / "one", settings(*OVERRIDES))
    rows, expected = history(two), history(tmp_path / "one")
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        ours, theirs = ({name: row[name] for name in row if not name.endswith("accuracy")} for row in (row, other))
        # Sums in another order bring a unit of the backbone from one side of ReLU's kink to the other (-5e-6 and 5e-7
        # at step 4), which leaves the step's losses as they are and moves the gradient's norm by 4e-4 of it, and later
        # losses by 2e-4. One process with two threads instead of one differs from itself by as much.
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


def test_gathered_rows_have_the_gradients_of_the_whole_batch():
    """And those of the library's gather, which is deprecated; see the script."""
    torchrun(str(Path(__file__).parents[1] / "fixtures" / "gathering.py"))


def test_only_the_main_process_writes_and_prints(two):
    assert (two / "printed.txt").read_text().count("the run is in") == 1
    assert len(list((two / "logs").iterdir())) == 1
    prepared = list((two.parent / "cache").iterdir())
    assert len(prepared) == 2  # train and validation, and no temporary folder
    figures = json.loads((two / "figures.json").read_text())
    ranking = json.loads((two / "ranking.json").read_text())
    assert all(figures["ranking"][fit]["joint_weight"] == ranking[fit]["joint_weight"] for fit in figures["ranking"])
    assert set(figures["ranking"]) == {"without_memory", "with_memory"} and (two / "memory.safetensors").exists()
    ranks = {path.name for path in (two / "checkpoints" / "checkpoint-8").glob("rng_state*")}
    assert ranks == {"rng_state_0.pth", "rng_state_1.pth"}


def test_two_processes_resume_and_stop_at_the_same_step(two, arguments, history, tmp_path):
    """From step 6; a process that stopped by a clock of its own would leave the other waiting."""
    copy = shutil.copytree(two, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints" / "checkpoint-8")
    arguments = [*arguments[:3], str(copy), *arguments[4:], "--set", "training.epochs=1000"]
    torchrun("-m", "kaleidobert", *arguments, "--resume", "--max-minutes", "0.2")
    rows = [row for row in history(copy) if "loss" in row]
    assert rows[:6] == [row for row in history(two) if "loss" in row][:6]
    assert 6 < rows[-1]["step"] < 4000
    assert [row["step"] for row in rows] == list(range(1, rows[-1]["step"] + 1))


@pytest.mark.parametrize("task", ["captioning", "retrieval"])
def test_two_processes_fine_tune_like_one(run, shapes, history, tmp_path, task):
    overrides = ["training.epochs=1", "training.learning_rate=1e-4", "training.evaluate_every=2"]
    if task == "retrieval":
        overrides += ["objectives.weights={LM: 0.5}", "training.short_queries=0.3", "training.word_dropout=0.2"]
    sets = [part for each in overrides for part in ("--set", each)]
    torchrun(
        "-m", "kaleidobert", "finetune", task, str(shapes), "--model", str(run), "--out", str(tmp_path / "two"), *sets
    )
    finetune(task, shapes, run, tmp_path / "one", finetune_settings(task, run, overrides))
    rows, expected = history(tmp_path / "two"), history(tmp_path / "one")
    assert len(rows) == len(expected) > 4
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("pretraining", [False, True])
def test_processes_divide_the_rows_of_a_batch(catalogue, tokenizer, pretraining):
    indices = [3, 44, 7, 15, 4, 43]

    def collator(shard):
        if pretraining:
            return PreTrainingCollator(catalogue, tokenizer, PUBLISHED, 1, True, joint_samples=4, shard=shard)
        return PairCollator(catalogue, tokenizer, 1, True, joint_samples=4, shard=shard)

    whole, shares = collator(WHOLE_BATCH)(indices), [collator(BatchShard(process, 2))(indices) for process in range(2)]
    for name, values in whole.items():
        rows = [share[name].T if name == "negative_draws" else share[name] for share in shares]
        if name in TEXTS:  # a process pads to its own longest text
            rows = [F.pad(each, (0, values.shape[1] - each.shape[1]), value=TEXTS[name]) for each in rows]
        together = torch.stack(rows, dim=1).flatten(0, 1)
        assert torch.equal(values, together.T if name == "negative_draws" else together), name


def test_a_batch_that_cannot_be_divided_is_refused(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "processes", lambda: type("Three", (), {"num_processes": 3}))
    for name, size in (("batch_size", 16), ("joint_samples", 8)):
        training = settings("training.batch_size=15", "training.joint_samples=6", f"training.{name}={size}").training
        with pytest.raises(InputError, match=f"{name} {size} cannot be divided among 3 processes; choose a mult"):
            runs.training_arguments(tmp_path, training, 64)
    training = settings("training.batch_size=15", "training.joint_samples=6").training
    with pytest.raises(InputError, match="listed_products 8 cannot be divided among 3 processes"):
        runs.training_arguments(tmp_path, training, 64, Objectives(candidates=4, listed_products=8))
