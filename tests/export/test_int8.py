"""8-bit weights are kept where they pay, and only then."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from kaleidobert.export import int8
from kaleidobert.export.int8 import quantise_text
from kaleidobert.scoring.exported import OnnxGraph

IDS = np.array([[2, 7, 8, 9, 3], [2, 9, 3, 0, 0]])
MASK = (IDS > 0).astype(np.int64)


@pytest.mark.parametrize(("worth", "kept"), [(0.0, True), (1e9, False)])
def test_kept_where_fast_enough(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: float, kept: bool
) -> None:
    monkeypatch.setattr(int8, "WORTH", worth)
    file = Path(shutil.copy(exported[1] / "text.onnx", tmp_path))
    before, size = OnnxGraph(file)(input_ids=IDS, attention_mask=MASK)[0], file.stat().st_size
    found = quantise_text(file, IDS, MASK)
    assert found["kept"] is kept and found["gain"] == pytest.approx(found["float32_ms"] / found["int8_ms"], rel=0.2)
    after = OnnxGraph(file)(input_ids=IDS, attention_mask=MASK)[0]
    assert (file.stat().st_size < size) is kept and np.array_equal(before, after) is not kept
    assert (before * after).sum(axis=1).min() > 0.98  # cosines
    assert [each.name for each in tmp_path.iterdir()] == ["text.onnx"]
