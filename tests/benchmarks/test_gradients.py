"""The table of gradients, from a run's own batches."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from kaleidobert.model.pretext_tasks import pretraining_losses

pytestmark = pytest.mark.usefixtures("shared_cache")


def test_each_objective_pulls_at_its_parts(run, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    benchmark, path = import_module("gradients"), tmp_path / "figures.json"
    benchmark.main([str(shapes), "--model", str(run), "--checkpoint", "8", "--batches", "2", "--json", str(path)])
    figures = json.loads(path.read_text())
    assert set(figures) == set(pretraining_losses())
    for name, parts in figures.items():
        assert parts["backbone"] > 0 and parts["lower layers"] > 0
        assert (parts["joint layers"] > 0) == (name != "contrastive")
        assert parts["all"] > max(value for part, value in parts.items() if part != "all")
