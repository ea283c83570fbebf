"""The drawn catalogue prepared once, and one tiny pre-training run on it, for all tests that only read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import PreTrainedTokenizerFast

from kaleidobert.alignment.generator import AlignedPair
from kaleidobert.alignment.matching import Word
from kaleidobert.alignment.store import AlignmentWriter, Summary
from kaleidobert.model import KaleidoBertImageProcessor
from kaleidobert.model.processing import train_tokenizer
from kaleidobert.training.catalogue import Catalogue, prepare
from kaleidobert.training.pretrain import pretrain
from kaleidobert.training.settings import Settings, load_settings


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all runs on the drawn catalogue."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def shared_cache(prepared: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """For a test whose subject is not the preparation."""
    monkeypatch.setenv("KALEIDOBERT_CACHE", str(prepared))


@pytest.fixture(scope="session")
def catalogue(shapes: Path, prepared: Path) -> Catalogue:
    """The 64 training products, locked portions of 40 pixels; every eighth has two views."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        return prepare(shapes, "train", KaleidoBertImageProcessor(40))


@pytest.fixture(scope="session")
def tokenizer(catalogue: Catalogue) -> PreTrainedTokenizerFast:
    return train_tokenizer(catalogue.texts, vocabulary=120, max_length=16)


@pytest.fixture(scope="session")
def preset(tiny_settings: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YAML preset: two epochs of four steps, with validation and a checkpoint after steps 3, 6 and 8."""
    training = {"batch_size": 16, "joint_samples": 8, "joint_from": 0.0, "epochs": 2, "learning_rate": 3e-3}
    training |= {"warmup_steps": 2, "bf16": False, "evaluate_every": 3, "evaluation_products": 32, "seed": 5}
    training |= {"patch_dropout": 0.3, "word_dropout": 0.2}
    tokenizer = {"kind": "wordpiece", "vocabulary": 120, "max_length": 16}
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(yaml.safe_dump({"model": tiny_settings(), "tokenizer": tokenizer, "training": training}))
    return path


@pytest.fixture(scope="session")
def settings(preset: Path) -> Callable[..., Settings]:
    """The preset with ``key=value`` overrides."""
    return lambda *overrides: load_settings(str(preset), ["model.fusion_layer=1", *overrides])


@pytest.fixture(scope="session")
def run(
    shapes: Path, prepared: Path, settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pre-training run of eight steps; what `pretrain` returned is in ``returned.json``."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KALEIDOBERT_CACHE", str(prepared))
        figures = pretrain(shapes, folder, settings())
    (folder / "returned.json").write_text(json.dumps(figures))
    return folder


@pytest.fixture(scope="session")
def history() -> Callable[[Path], list[dict[str, Any]]]:
    """A run's history without what the clock tells, and without the mean over steps since the last start."""

    def read(folder: Path) -> list[dict[str, Any]]:
        rows = json.loads((folder / "history.json").read_text())
        timed = ("runtime", "per_second", "flos", "train_loss")
        return [{key: value for key, value in row.items() if not key.endswith(timed)} for row in rows]

    return read


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """The run, to be changed or written into."""
    return shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("checkpoints", "logs"))


@pytest.fixture
def test_split(shapes: Path) -> Catalogue:
    return prepare(shapes, "test", KaleidoBertImageProcessor(40))


@pytest.fixture
def aligned(catalogue: Catalogue, tmp_path: Path) -> Path:
    """An alignment: each text's first word belongs to the upper left patch of level 5, in every view."""
    (tmp_path / "aligned").mkdir()
    summary = Summary("teacher", "none", [5], 0.0)
    with AlignmentWriter(tmp_path / "aligned" / "pairs.parquet", summary) as writer:
        for index, (product, text) in enumerate(zip(catalogue.ids, catalogue.texts, strict=True)):
            word = text.split()[0]
            pair = AlignedPair(Word(word, 0, len(word)), (word,), 5, 0, 1.0, 1.0)
            views = range(int(catalogue.first_view[index + 1] - catalogue.first_view[index]))
            writer.add([(product, view, [pair]) for view in views])
    return tmp_path / "aligned"
