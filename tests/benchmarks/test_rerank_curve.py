"""The curve over K starts at the embeddings' figures and ends at those of re-ranking every candidate."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from kaleidobert.evaluation.retrieval import evaluate_retrieval

pytestmark = pytest.mark.usefixtures("shared_cache")


def test_the_curve(ranking_run: Path, shapes: Path, tmp_path: Path) -> None:
    line = [str(shapes), "--model", str(ranking_run), "--queries", "20", "--repeats", "2", "--protocol", "full"]
    import_module("rerank").main([*line, "--out", str(tmp_path / "curve.png"), "--joint-weight", "3"])
    figures = json.loads((tmp_path / "curve.json").read_text())
    measured = evaluate_retrieval(shapes, ranking_run, protocol="full", queries=20)
    first, *_, last = figures["curve"]
    assert first["K"] == 0 == first["milliseconds"] and last["milliseconds"] > 0
    assert set(figures["joint_weight"].values()) == {3}
    assert {key: first[key] for key in ("TIR", "ITR", "SumR")} == measured["vectors_memory"]
    assert Image.open(tmp_path / "curve.png").width > 1000
