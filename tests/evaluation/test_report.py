"""The report: settings, curves and evaluations of runs, and how runs are named and compared."""

import json
import shutil

import pytest
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.report import draw_curves, read_curves, report, settings_tables
from kaleidobert.evaluation.retrieval import evaluate_retrieval
from kaleidobert.evaluation.run_summary import RunSummary, format_duration
from kaleidobert.model.pretext_tasks import pretraining_losses

pytestmark = pytest.mark.usefixtures("shared_cache")
NAMES = ["total", "contrastive", "AMLM", "ITM", "ITM_accuracy", "LM", "RR", "RR_accuracy", "JPS", "JPS_accuracy"]
NAMES += ["CP", "CP_accuracy", "G2CM", "B2CM"]


def test_curves_are_what_was_logged(run, history):
    rows, curves = history(run), read_curves(run)
    assert set(curves) == set(NAMES)
    assert curves["AMLM"].training == {row["step"]: row["AMLM"] for row in rows if "AMLM" in row}
    assert curves["CP_accuracy"].validation == {r["step"]: r["eval_CP_accuracy"] for r in rows if "eval_loss" in r}
    assert curves["total"].validation == {row["step"]: row["eval_loss"] for row in rows if "eval_loss" in row}


def test_levels_that_share_a_task_have_curves_of_their_own(tmp_path):
    names = ["G2CM_3x3", "G2CM_4x4", "RR_2x2", "RR_2x2_accuracy", "AMLM"]
    figures = dict.fromkeys(names, 1.0)
    validated = {f"eval_{name}": 2.0 for name in (*names, "G2CM_3x3_chance", "RR_2x2_accuracy_chance")}
    rows = [{"step": 1, "loss": 3.0, **figures}, {"step": 1, "eval_loss": 4.0, **validated}]
    (tmp_path / "history.json").write_text(json.dumps(rows))
    curves = read_curves(tmp_path)
    assert set(curves) == {"total", *names}
    assert curves["G2CM_3x3"].references["_chance"] == {1: 2.0} and not curves["G2CM_4x4"].references["_chance"]
    _, *pictures = report([tmp_path], tmp_path / "page.html")
    order = ["total", "AMLM", "RR_2x2", "RR_2x2_accuracy", "G2CM_3x3", "G2CM_4x4"]
    assert [path.stem for path in pictures] == order


def test_a_page_and_a_picture_per_figure(run, tmp_path):
    page, *pictures = report([run], tmp_path / "page.html")
    assert [path.name for path in pictures] == [f"{name}.png" for name in NAMES]
    assert all(path.parent == tmp_path / "page" and Image.open(path).width > 600 for path in pictures)
    html = page.read_text()
    assert all(f'src="page/{name}.png"' in html for name in NAMES) and f"<title>{run.name}</title>" in html
    assert "http" not in html  # nothing from elsewhere


def test_runs_are_named_by_the_ends_of_their_paths(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other" / run.name)
    page = report([run, other], tmp_path / "page.html")[0].read_text()
    assert f"{run.parent.name}/{run.name} and other/{run.name}" in page
    with pytest.raises(InputError, match="given twice"):
        report([run, run], tmp_path / "page.html")


def test_both_runs_are_drawn(run, tmp_path):
    curves = read_curves(run)["ITM"]
    draw_curves("ITM", {"a": curves}, tmp_path / "one.png")
    draw_curves("ITM", {"a": curves, "b": curves}, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_evaluations_are_tabled(copy, shapes, tmp_path):
    assert "retrieval, in percent" not in report([copy], tmp_path / "page.html")[0].read_text()
    figures = evaluate_retrieval(shapes, copy, queries=20)
    page = report([copy], tmp_path / "page.html")[0].read_text()
    assert "test, 101, 20 queries: combined" in page and f"<td>{figures['combined']['SumR']:.1f}</td>" in page


def test_a_run_that_is_still_training_is_read_from_its_checkpoint(run, tmp_path):
    training = shutil.copytree(run, tmp_path / "training")
    (training / "history.json").unlink()
    last = json.loads((run / "history.json").read_text())[-1]["step"]
    assert max(read_curves(training)["total"].training) == last
    with pytest.raises(InputError, match="no finished run and no checkpoint there"):
        read_curves(tmp_path)


def test_settings_stand_in_a_table(run, tmp_path):
    page = report([run], tmp_path / "page.html")[0].read_text()
    [table] = settings_tables({"tiny": run})
    facts = {row.heading: row.cells[0] for row in table.rows}
    assert table.columns == ["tiny"] and all(f'<td class="text">{fact}</td>' in page for fact in facts.values())
    assert facts["data"].startswith("shapes")
    assert facts["data"].endswith(": 64 products (72 photos) in train, 32 products (36 photos) in validation")
    assert "data_wait" not in page
    assert "AMLM 1" in facts["objectives (weights)"] and "accuracy" not in facts["objectives (weights)"]
    assert facts["encoder"] == "3 layers of 32 units, 2 heads, cross-modal from layer 1"
    assert facts["training"].endswith(" s, 8 steps, 128 products seen")


def test_a_damaged_checkpoint_is_named(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for budget in tmp_path.glob("run/checkpoints/*/time_budget.json"):
        budget.write_text("{")
    with pytest.raises(InputError, match="time_budget.json is damaged .*: delete .*checkpoint-8"):
        report([tmp_path / "run"], tmp_path / "page.html")


def test_text_in_a_page_is_escaped(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "<b>other & more", ignore=shutil.ignore_patterns("checkpoints", "logs"))
    page = report([other], tmp_path / "page.html")[0].read_text()
    assert "<b>" not in page and "<title>&lt;b&gt;other &amp; more</title>" in page


def test_levels_that_share_a_task_have_curves_of_their_own_and_unknown_losses_come_last(copy, tmp_path):
    losses = {"zebra": 1.0, "G2CM_4x4": 2.0, "G2CM_3x3": 3.0, "RR_2x2": 4.0, "RR_2x2_accuracy": 0.5, "aardvark": 5.0}
    references = {"eval_G2CM_3x3_copy": 2.5, "eval_RR_2x2_accuracy_chance": 0.25, "eval_G2CM_3x3": 2.9}
    logged = [{"step": 4, "epoch": 1.0, "loss": 9.0, "grad_norm": 1.0, "learning_rate": 0.1, **losses}]
    logged += [
        {"step": 4, "epoch": 1.0, "eval_loss": 8.0, "eval_runtime": 1.0, "eval_steps_per_second": 2, **references}
    ]
    (copy / "history.json").write_text(json.dumps(logged))
    _, *pictures = report([copy], tmp_path / "page.html")
    expected = ["total", "RR_2x2", "RR_2x2_accuracy", "G2CM_3x3", "G2CM_4x4", "aardvark", "zebra"]
    assert [path.stem for path in pictures] == expected
    curve = read_curves(copy)["G2CM_3x3"]
    assert (curve.training, curve.validation, curve.references["_copy"]) == ({4: 3.0}, {4: 2.9}, {4: 2.5})
    settings = (copy / "settings.yaml").read_text().replace("weights: {}", "weights: {G2CM: 0.1}", 1)
    (copy / "settings.yaml").write_text(settings)
    assert RunSummary.load(copy).objectives == {name: 1.0 for name in losses if name != "RR_2x2_accuracy"} | {
        "G2CM_4x4": 0.1,
        "G2CM_3x3": 0.1,
    }


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "time not recorded"), (4.4, "4 s"), (720, "12 min"), (11_100, "3 h 05 min")]
)
def test_durations(seconds, words):
    assert format_duration(seconds) == words


def test_the_verb(run, tmp_path):
    result = CliRunner().invoke(app, ["report", "runs", str(run), "--out", str(tmp_path / "report.html")])
    assert result.exit_code == 0 and f"{len(NAMES)} figures" in result.output
    assert (tmp_path / "report" / f"{pretraining_losses()[0]}.png").exists()
