"""Every peer learns a few products by heart, so none is held back by its wiring."""

import json
from importlib import import_module

import pytest
import yaml


@pytest.fixture
def tiny(tiny_settings, tmp_path):
    training = {"batch_size": 8, "epochs": 900, "learning_rate": 4e-3, "warmup_steps": 5, "bf16": False}
    training |= {"evaluate_every": 1000, "evaluation_products": 8}
    tokenizer = {"kind": "wordpiece", "vocabulary": 120, "max_length": 16}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"model": tiny_settings(), "tokenizer": tokenizer, "training": training}))
    return path


@pytest.mark.parametrize("name", ["clip", "vilt", "visualbert"])
def test_a_peer_learns_by_heart(name, tiny, shapes, tmp_path):
    peers = import_module("peers")
    line = [str(shapes), "--products", "3200", "--overfit", "8", "--out", str(tmp_path / "out"), "--only", name]
    peers.main([*line, "--preset", str(tiny), "--patch", "10", "--init-std", "0.1"])
    figures = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert figures["products_seen"] == 3200 and figures["peer"] == name
    assert figures["TIR"]["R@1"] >= 75 and figures["ITR"]["R@1"] >= 75  # of eight; chance is 12.5
    assert not list((tmp_path / "out").glob("*/checkpoints/checkpoint-*"))
