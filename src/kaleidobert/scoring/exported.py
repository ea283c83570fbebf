"""The folder of a model that `kaleidobert export` wrote: what is in it, and how a server reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.files import read_json, write_whole
from kaleidobert.levels import Level

EXPORT_FILE = "export.json"  # written last, so that a folder without it is not complete
FORMAT = 1
AGAIN = "export the run again with kaleidobert export RUN OUT"


@dataclass(frozen=True)
class Exported:
    """What a server needs to know of the run beside its graphs.

    fingerprint: that of the run's scorer, which stores hold. scale: 1 / temperature of the cosines. levels: rows of the
    table of levels. image_processor: its settings. saliency_side: of the photos that ``saliency.onnx`` takes, in
    pixels; 0 without one. max_length, padding, padding_token: of token ids. run: where it was exported from.
    report: how far the graphs are from the run (`export.parity`).
    """

    run: str
    fingerprint: str
    scale: float
    levels: list[dict[str, Any]]
    image_processor: dict[str, Any]
    max_length: int
    padding: int
    padding_token: str
    saliency_side: int = 0
    report: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def level_table(self) -> tuple[Level, ...]:
        return tuple(Level(**level) for level in self.levels)

    def save(self, folder: Path) -> None:
        write_whole(json.dumps(asdict(self), indent=2) + "\n", folder / EXPORT_FILE)

    @classmethod
    def load(cls, folder: Path) -> Exported:
        """Raises ``InputError`` for a folder that holds no export, or one of another version."""
        file = folder / EXPORT_FILE
        if not file.is_file():
            run = (folder / "config.json").is_file()
            what = f"is a run, which kaleidobert export {folder} OUT exports" if run else f"has no {EXPORT_FILE}"
            raise InputError(f"no exported model in {folder}: it {what}")
        stored = read_json(file, AGAIN)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise InputError(f"{file} was written by another version: {AGAIN}")
        try:
            return cls(**stored)
        except TypeError as error:
            raise InputError(f"{file} is damaged ({error}): {AGAIN}") from error


class OnnxGraph:
    """A traced entry of the model, run by ONNX Runtime. Safe to call from several threads.

    Raises ``InputError`` where the file is missing or damaged, or ONNX Runtime is not installed.
    """

    def __init__(self, file: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(
                f"{file} needs the package onnxruntime; install it with: pip install 'kaleidobert[serve]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _threads()
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of any of its own types
            raise InputError(f"{file} cannot be loaded ({' '.join(str(error).split())[:200]}): {AGAIN}") from error

    def __call__(self, **inputs: np.ndarray) -> Sequence[np.ndarray]:
        return self._session.run(None, inputs)


def _threads() -> int:
    """As many as torch would take: those that OMP_NUM_THREADS names; 0, which is one a core, by default."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    return int(named) if named.isdigit() else 0
