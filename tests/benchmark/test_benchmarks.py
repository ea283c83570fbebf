"""Each command measures every comparison that it prints, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fixtures.shop import Shop
from kaleidobert.cli.main import app


def figures_of(path: Path, *line: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["benchmark", *map(str, line), "--json", str(path)])
    assert not result.exception, result.exception
    return json.loads(path.read_text())


def judged(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["what"], row["limit"]["figure"]) for row in figures["rows"] if "limit" in row]


def test_patches(preset: Path, tmp_path: Path) -> None:
    line = ["patches", "--preset", preset, "--photos", 4, "--batch", 2, "--rounds", 1]
    figures = figures_of(tmp_path / "patches.json", *line)
    assert judged(figures) == [
        ("pyramid", "speed"),
        ("pyramid", "cost"),
        ("4 photos prepared by 2 processes", "speed"),
    ]
    operations = figures["operations"]
    assert operations["crops"]["matrices"] == 55 * operations["plain"]["matrices"] > 0
    assert operations["pyramid"] == operations["plain"]


def test_training(preset: Path, tmp_path: Path) -> None:
    line = ["training", "--preset", preset, "--set", "training.joint_from=0.8", "--set", "training.lm_from=0.5"]
    figures = figures_of(tmp_path / "training.json", *line, "--encode", 8, "--rounds", 1)
    steps = ["embeddings", "embeddings, LM", "embeddings, LM, joint objectives"]
    names = [*(f"step: {name}" for name in steps), *["step: mean of a run"] * 2, "8 products encoded"]
    assert [row["what"] for row in figures["rows"]] == names
    counted = [figures["operations"][name]["matrices"] for name in steps]
    assert 0 < counted[0] < counted[1] < counted[2]
    times = [row["p50"] for row in figures["rows"]]
    assert times[3] == pytest.approx(0.5 * times[0] + 0.3 * times[1] + 0.2 * times[2], rel=0.01)
    assert judged(figures) == [("step: mean of a run", "speed"), ("step: mean of a run", "speed"), (names[-1], "speed")]


@pytest.mark.parametrize("own_store", [True, False])
def test_search(own_store: bool, preset: Path, shop: Shop, tmp_path: Path) -> None:
    made = ["--store", shop.uri] if own_store else ["--preset", preset, "--products", 40]
    figures = figures_of(tmp_path / "search.json", "search", *made, "--queries", 3, "--rerank", 2)
    assert (figures["rows_in_store"], figures["queries"]) == (14 if own_store else 40, 3)
    assert judged(figures) == [("re-rank 2", "p95"), ("search by embeddings", "p95")]
    rows = {row["what"]: row for row in figures["rows"]}
    assert 0 < rows["encode the text"]["p50"] < rows["search by embeddings"]["p50"]
    assert rows["re-rank 2"]["p50"] > 0.2 * rows["re-rank 2"]["peer_p50"]  # it is done, not skipped
