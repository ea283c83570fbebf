from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

from kaleidobert.evaluation.retrieval import evaluate_retrieval


def test_the_nearest_photo_is_found_and_its_distance_is_in_grey_levels() -> None:
    others = torch.stack([torch.zeros(12), torch.full((12,), 100.0)])
    photos = torch.stack([torch.full((12,), 98.0), torch.tensor([6.0] * 6 + [0.0] * 6), others[1]])
    found = import_module("twins").nearest(photos, others)
    assert found.tolist() == pytest.approx([2.0, 18**0.5, 0.0], abs=1e-2)


@pytest.mark.usefixtures("shared_cache")
def test_without_any_twin_the_figures_are_those_of_the_evaluation(
    ranking_run: Path, shapes: Path, tmp_path: Path
) -> None:
    line = [str(shapes), "--model", str(ranking_run), "--twin", "0", "--json", str(tmp_path / "twins.json")]
    import_module("twins").main([*line, "--queries", "20", "--rerank", "10"])
    figures = json.loads((tmp_path / "twins.json").read_text())
    assert figures.pop("photos with a twin") == 0 and figures.pop("queries without") == 20
    measured = evaluate_retrieval(shapes, ranking_run, queries=20, rerank=10)
    for name, (every, alone) in figures.items():
        row, direction = name.split()
        assert every == alone == pytest.approx(measured[f"{row}_memory"][direction]["R@1"])
