"""The text entry in 8 bits, where that is worth its error."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from kaleidobert.scoring.exported import OnnxGraph

WORTH = 1.3  # times as fast, at least
ROUNDS = 30


def quantise_text(graph: Path, ids: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Replace the text entry in this file by one of 8-bit weights if it is `WORTH` as fast; returns what was measured.

    Each of the texts (N, T) is encoded alone, as a search does, by both in turn with the same number of threads.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = graph.with_suffix(".int8")
    quantize_dynamic(graph, small, weight_type=QuantType.QInt8, per_channel=True)
    entries = OnnxGraph(graph), OnnxGraph(small)
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for entry, times in zip(entries, seconds, strict=True):
            started = time.perf_counter()
            for row in range(len(ids)):
                length = int(mask[row].sum())
                entry(input_ids=ids[row : row + 1, :length], attention_mask=mask[row : row + 1, :length])
            if turn:  # the first is a warm-up
                times.append(time.perf_counter() - started)
    float32, int8 = (statistics.median(times) / len(ids) for times in seconds)
    gain = float32 / int8
    if kept := gain >= WORTH:
        os.replace(small, graph)
    else:
        small.unlink()
    return {
        "kept": kept,
        "gain": round(gain, 2),
        "float32_ms": round(1000 * float32, 2),
        "int8_ms": round(1000 * int8, 2),
    }
