"""`export` from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import partner_ranks
from kaleidobert.export.parity import recall_at_1
from kaleidobert.model.loading import load_processor
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.dataset import PreparedDataset


@pytest.mark.usefixtures("shared_cache")
def test_a_run_is_exported_and_compared(run: Path, shapes: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "onnx", tmp_path / "report.json"
    arguments = ["export", run, out, "--to", "onnx", "--data", shapes, "--queries", 12, "--int8", "--json", report]
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    figures = json.loads(report.read_text())
    assert figures == json.loads((out / "export.json").read_text())["report"]
    assert figures["queries"] == 12 and figures["split"] == "test"
    assert figures["R@1"]["torch"]["vectors"] == pytest.approx(figures["R@1"]["onnx"]["vectors"], abs=10)
    errors = figures["largest_error"]
    assert max(errors["image embeddings"], errors["patch states"], errors["contributions of patches"]) < 1e-4
    assert errors["text embeddings"] < 0.1  # 8 bits; and of training products with one text, either recalls another
    assert f"serve --store STORE --engine onnx --model {out}" in done.output and "8-bit weights" in done.output
    again = CliRunner().invoke(app, ["export", str(run), str(out)])
    assert isinstance(again.exception, InputError) and "exists already" in str(again.exception)


def test_recall_is_that_of_the_scorer_s_own_ranking(run: Path, test_split: PreparedDataset) -> None:
    """Each of twelve texts among twenty photos, which `KaleidoBertScorer.rank` ranks as they are."""
    scorer = KaleidoBertScorer.from_pretrained(run)
    table = (np.arange(12)[:, None] + np.arange(20) * 2) % len(test_split)
    scorer.processor.image_processor.saliency = "none"
    pixels = test_split.pixels[test_split.first_view[:-1]]
    scores = np.full(table.shape, -np.inf)
    for query, row in enumerate(table):
        for hit in scorer.rank(test_split.texts[row[0]], [Image.fromarray(pixels[each]) for each in row]):
            scores[query, hit["index"]] = hit["score"]
    found = recall_at_1(scorer, test_split, table)["combined"]
    assert found > 5 and found == pytest.approx(100 * (partner_ranks(scores) == 1).mean())


def test_what_cannot_be_exported_is_refused(run: Path, copy: Path, tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        error = CliRunner().invoke(app, ["export", str(folder), str(tmp_path / "out")]).exception
        assert isinstance(error, InputError) and not list(tmp_path.glob("out*"))
        return str(error)

    assert "no model in" in refused(tmp_path / "nothing")
    processor = load_processor(copy)
    processor.image_processor.saliency = str(tmp_path)  # an existing folder may be a checkpoint
    processor.save_pretrained(copy)
    assert "cannot be loaded as a segmentation checkpoint" in refused(copy)
    shutil.copy(run / "processor_config.json", copy)
    settings = json.loads((copy / "processor_config.json").read_text())
    settings["image_processor"]["do_normalize"] = True
    (copy / "processor_config.json").write_text(json.dumps(settings))
    assert "do_normalize false" in refused(copy)
