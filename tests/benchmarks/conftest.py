from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from kaleidobert.evaluation.fit_ranker import fit_ranker


@pytest.fixture(autouse=True)
def importable_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are scripts outside the package."""
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])


@pytest.fixture(scope="session")
def ranking_run(run: Path, shapes: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run with a fitted ranking and a retrieval memory."""
    ignored = shutil.ignore_patterns("checkpoints", "logs")
    copied = Path(shutil.copytree(run, tmp_path_factory.mktemp("runs") / "ranking", ignore=ignored))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        fit_ranker(shapes, copied)
    return copied
