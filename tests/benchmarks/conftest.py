from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kaleidobert.evaluation.fit_ranker import fit_ranker


@pytest.fixture(autouse=True)
def importable_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are scripts outside the package."""
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])


@pytest.fixture
def ranking_run(copy: Path, shapes: Path) -> Path:
    """The tiny run with a fitted ranking and a retrieval memory."""
    fit_ranker(shapes, copy)
    return copy
