"""The memory in numpy gives what the memory in torch gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.scoring.array_memory import ArrayMemory
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory
from kaleidobert.scoring.layout_memory import LayoutMemory
from kaleidobert.scoring.memory import RetrievalMemory, product_keys

ROWS, SIZE, STATES, VOCABULARY = 80, 12, 30, 25
SCALE = 20.0
OWN = torch.tensor([3, -1, 7, 0])


@pytest.fixture(scope="module")
def memory() -> RetrievalMemory:
    numbers = torch.Generator().manual_seed(0)
    pairs = F.normalize(torch.randn(2, ROWS, SIZE, generator=numbers), dim=-1)
    tokens = torch.randint(0, VOCABULARY, (ROWS, 7), generator=numbers)
    layouts = LayoutMemory.build(torch.randn(ROWS, STATES, generator=numbers), tokens, VOCABULARY, 0)
    return RetrievalMemory(CrossModalMemory(*pairs), layouts, product_keys(map(str, range(ROWS))))


@pytest.fixture(scope="module")
def arrays(memory: RetrievalMemory, tmp_path_factory: pytest.TempPathFactory) -> ArrayMemory:
    folder = tmp_path_factory.mktemp("memory")
    memory.save(folder)
    found = ArrayMemory.load(folder)
    assert found is not None
    return found


def same(found: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("own", [None, OWN])
def test_embeddings(memory: RetrievalMemory, arrays: ArrayMemory, own: torch.Tensor | None) -> None:
    embeds = F.normalize(torch.randn(4, SIZE, generator=torch.Generator().manual_seed(1)), dim=-1)
    rows = None if own is None else own.numpy()
    enhanced = memory.pairs.enhance_images(embeds, SCALE, 0.3, 5, own)
    same(arrays.enhance_images(embeds.numpy(), SCALE, 0.3, 5, rows), enhanced)
    same(arrays.image_hubness(embeds.numpy(), SCALE, rows), memory.pairs.image_hubness(embeds, SCALE, own))
    same(arrays.enhance_texts(embeds.numpy(), SCALE, 0.3, 5), memory.pairs.enhance_texts(embeds, SCALE, 0.3, 5))
    same(arrays.text_hubness(embeds.numpy(), SCALE), memory.pairs.text_hubness(embeds, SCALE))
    same(arrays.enhance_images(embeds.numpy(), SCALE, 0.0, 5), embeds)


@pytest.mark.parametrize("own", [None, OWN])
def test_layouts(memory: RetrievalMemory, arrays: ArrayMemory, own: torch.Tensor | None) -> None:
    numbers = torch.Generator().manual_seed(2)
    states, ids = torch.randn(4, STATES, generator=numbers), torch.randint(1, VOCABULARY, (4, 6), generator=numbers)
    ids[0, -2:] = 0  # padding
    expected = memory.layouts.nearest(states, 20, own)
    found = arrays.nearest(states.numpy(), 20, None if own is None else own.numpy())
    np.testing.assert_array_equal(found.rows, expected.rows)
    same(found.shares, expected.shares)
    same(arrays.word_probabilities(ids.numpy(), found), memory.layouts.word_probabilities(ids, expected))
    pmi = memory.layouts.neighbour_text_pmi(ids, expected)
    np.testing.assert_allclose(arrays.neighbour_text_pmi(ids.numpy(), found), pmi, rtol=2e-3)  # torch weighs in float16
    same(arrays.text_density(ids.numpy()), memory.layouts.text_density(ids))


def test_rows(memory: RetrievalMemory, arrays: ArrayMemory) -> None:
    ids = ["5", "unknown", "79"]
    assert arrays.rows(ids).tolist() == memory.rows(ids).tolist() == [5, -1, 79]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    assert ArrayMemory.load(tmp_path) is None
    (tmp_path / "memory.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match=r"memory\.safetensors is damaged .*fit-ranker"):
        ArrayMemory.load(tmp_path)
