"""Every command killed once at a random moment, on a small drawn catalogue."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest


def test_nothing_is_lost_and_the_results_are_those_of_commands_that_were_not_killed(tmp_path: Path) -> None:
    kills = import_module("kills")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # restored afterwards
        kills.main(["--kills", "6", "--products", "120", "--copies", "2", "--json", str(tmp_path / "kills.json")])
    rows = json.loads((tmp_path / "kills.json").read_text())
    assert [row["killed"] for row in rows] == list(kills.KINDS)
    assert all(row["kills"] == 1 and row["lost"] == 0 for row in rows)
    assert all(row["other results"] == 0 and row["ends"] for row in rows[:-1])
    assert rows[-1]["acknowledged"]
