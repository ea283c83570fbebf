"""Each peer model can overfit a few products, so a weak figure in the comparison is not a wiring error."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def tiny(tiny_settings: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    training = {"batch_size": 8, "epochs": 900, "learning_rate": 2e-3, "warmup_steps": 20, "bf16": False}
    training |= {"evaluate_every": 1000, "evaluation_products": 8}
    tokenizer = {"kind": "wordpiece", "vocabulary": 120, "max_length": 16}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"model": tiny_settings(), "tokenizer": tokenizer, "training": training}))
    return path


@pytest.mark.parametrize("name", ["clip", "vilt", "visualbert"])
def test_a_peer_overfits_eight_products(name: str, tiny: Path, shapes: Path, tmp_path: Path) -> None:
    peers = import_module("peers")
    # A larger initialisation than the default: 32 units are nearly silent without it, and training then depends on
    # the seed and on the order of floating-point sums (the number of threads).
    options = ["--products", "3600", "--overfit", "8", "--patch", "10", "--init-std", "0.2"]
    peers.main([str(shapes), "--out", str(tmp_path / "out"), "--only", name, "--preset", str(tiny), *options])
    figures = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert figures["products_seen"] == 3600 and figures["peer"] == name
    assert figures["TIR"]["R@1"] >= 87.5 and figures["ITR"]["R@1"] >= 87.5  # seven of eight; chance is 12.5
    assert not list((tmp_path / "out").glob("*/checkpoints/checkpoint-*"))
