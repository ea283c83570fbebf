"""What a server and a machine that trains must install."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

KALEIDOBERT = """Metadata-Version: 2.1
Name: kaleidobert
Version: 1
Provides-Extra: serve
Provides-Extra: train
Requires-Dist: small
Requires-Dist: web; extra == "serve"
Requires-Dist: large[fast]; extra == "train"
Requires-Dist: elsewhere; sys_platform == "nowhere"
"""


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """In an environment of five packages of 2 MB each."""
    needs = dict.fromkeys(("small", "web", "fast"), "")
    needs["large"] = 'Provides-Extra: fast\nRequires-Dist: fast; extra == "fast"\n'
    texts = {name: f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{text}" for name, text in needs.items()}
    for name, text in (texts | {"kaleidobert": KALEIDOBERT}).items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(text)
        (folder / "RECORD").write_text(f"{name}.py,,\n{name}-1.dist-info/METADATA,,\n")
        (tmp_path / f"{name}.py").write_bytes(b"#" * 2_000_000)
    monkeypatch.syspath_prepend(str(tmp_path))
    return import_module("installed_size")


def test_what_extras_need(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.closure("kaleidobert", frozenset({"serve"})) == {"kaleidobert", "small", "web"}
    assert benchmark.closure("kaleidobert", frozenset({"train"})) == {"kaleidobert", "small", "large", "fast"}
    assert benchmark.megabytes("web") == pytest.approx(2.0, abs=0.01)
    benchmark.main([])
    assert capsys.readouterr().out.splitlines() == [
        "kaleidobert[serve]: 4 MB in 2 packages (small 2, web 2, ...)",
        "kaleidobert[serve,train]: 8 MB in 4 packages (fast 2, large 2, small 2, web 2, ...)",
    ]


def test_a_package_that_is_missing_is_named(benchmark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web-1.dist-info" / "METADATA").rename(tmp_path / "METADATA")
    (tmp_path / "web-1.dist-info").rename(tmp_path / "gone")
    with pytest.raises(SystemExit):
        benchmark.main([])
    assert "web is not installed: run make setup" in capsys.readouterr().err
