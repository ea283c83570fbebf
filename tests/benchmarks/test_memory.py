"""The peak of a command is that of all its processes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from kaleidobert.data.readers import read_products

HOLD = "import time; held = b'x' * 200_000_000; time.sleep(1.5)"
START = f"import subprocess, sys; held = b'x' * 100_000_000; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def test_the_peak_counts_processes_that_a_command_starts(tmp_path: Path) -> None:
    peak = import_module("memory").peak_of([sys.executable, "-c", START], dict(os.environ), tmp_path / "log")
    assert 300 < peak < 350


def test_a_command_that_fails_stops_the_script_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        import_module("memory").peak_of(
            [sys.executable, "-c", "raise SystemExit('no such thing')"], dict(os.environ), tmp_path / "log"
        )


def test_the_catalogue_has_as_many_products_of_their_own(tmp_path: Path) -> None:
    import_module("memory").write(tmp_path / "catalogue" / "train.parquet", 70)
    found = list(read_products(tmp_path / "catalogue", None))
    assert len({each.id for each in found}) == len({each.title for each in found}) == 70
