"""A run is finished when everything is fitted and written; until then only the command that trains it takes it."""

import json
import shutil
from pathlib import Path

import pytest

from kaleidobert.errors import InputError
from kaleidobert.evaluation.fit_ranker import fit_ranker
from kaleidobert.evaluation.model_card import push_run, write_model_card
from kaleidobert.model.describing import Describer
from kaleidobert.model.unfinished import UNFINISHED, mark_unfinished
from kaleidobert.scoring.ranking import Ranking
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.finetune import finetune_settings
from kaleidobert.training.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def unfinished(run, tmp_path) -> Path:
    """The run with its checkpoints, as it is when it was killed while its ranking was fitted."""
    folder = shutil.copytree(run, tmp_path / "unfinished")
    mark_unfinished(folder)
    return folder


@pytest.mark.parametrize(
    "use",
    [
        KaleidoBertScorer.from_pretrained,
        lambda run: Describer([run]),
        lambda run: finetune_settings("retrieval", run),
        lambda run: fit_ranker("any", run),
        lambda run: push_run(run, "shop/run"),
    ],
)
def test_an_unfinished_run_is_refused_by_name(unfinished, use):
    with pytest.raises(InputError, match=f"^{unfinished} is unfinished: .* --resume$"):
        use(unfinished)


def test_weights_are_readable_by_those_who_may_read_the_rest(run):
    files = [run / name for name in ("model.safetensors", "memory.safetensors", "config.json")]
    assert len({file.stat().st_mode for file in files}) == 1


def test_a_run_killed_while_it_is_fitted_goes_on(unfinished, run, shapes, settings):
    pretrain(shapes, unfinished, settings(), resume=True)
    assert (unfinished / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    KaleidoBertScorer.from_pretrained(unfinished)


def test_a_run_is_unfinished_while_it_is_finished(unfinished, shapes, settings):
    def stop(folder: Path) -> None:
        assert (folder / "model.safetensors").is_file() and (folder / UNFINISHED).is_file()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(shapes, unfinished, settings(), resume=True, finish=stop)
    assert (unfinished / UNFINISHED).is_file()


def test_a_refused_command_leaves_a_finished_run_as_it_was(run, settings, tmp_path):
    finished = shutil.copytree(run, tmp_path / "finished")
    with pytest.raises(InputError, match="missing"):
        pretrain(tmp_path / "missing", finished, settings(), resume=True)
    KaleidoBertScorer.from_pretrained(finished)


def test_a_run_whose_time_is_over_is_not_trained_further(unfinished, shapes, settings, history):
    shutil.rmtree(unfinished / "checkpoints" / "checkpoint-8")
    (unfinished / "checkpoints" / "checkpoint-6" / "time_budget.json").write_text(json.dumps({"seconds": 61.0}))
    pretrain(shapes, unfinished, settings(), max_minutes=1, resume=True)
    assert max(row["step"] for row in history(unfinished)) == 6


def test_a_run_ends_with_a_checkpoint_when_its_time_is_over(shapes, settings, tmp_path):
    pretrain(shapes, tmp_path / "run", settings(), max_minutes=1e-4)
    assert [each.parent.name for each in tmp_path.glob("run/checkpoints/*/time_budget.json")] == ["checkpoint-1"]


def test_memory_and_weights_are_replaced_together(copy, shapes, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Ranking, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit_ranker(shapes, copy, trained=0)
    with pytest.raises(InputError, match="unfinished: run kaleidobert fit-ranker on it again"):
        KaleidoBertScorer.from_pretrained(copy)
    fit_ranker(shapes, copy, trained=0)
    KaleidoBertScorer.from_pretrained(copy)


@pytest.mark.parametrize("name", ["history.json", "data.json", "evaluation/retrieval-test.json"])
def test_a_damaged_file_of_a_run_is_named(copy, name):
    (copy / "evaluation").mkdir(exist_ok=True)
    (copy / name).write_text("[{")
    with pytest.raises(InputError, match=f"{copy / name} is damaged .*: delete it"):
        write_model_card(copy)
