"""Loads the scorer of a folder."""

from __future__ import annotations

from pathlib import Path

from kaleidobert.errors import InputError
from kaleidobert.scoring.engine import Engine
from kaleidobert.scoring.exported import EXPORT_FILE
from kaleidobert.scoring.onnx_scorer import OnnxScorer
from kaleidobert.scoring.protocol import PairScorer


def load_scorer(folder: Path, engine: Engine = Engine.torch) -> PairScorer:
    """Raises ``InputError`` for a folder that the engine cannot run."""
    if engine == Engine.onnx:
        return OnnxScorer(folder)
    if (folder / EXPORT_FILE).is_file():
        raise InputError(f"{folder} holds an exported model: use it with --engine onnx")
    from kaleidobert.scoring.scorer import KaleidoBertScorer  # imports torch

    return KaleidoBertScorer.from_pretrained(folder)
