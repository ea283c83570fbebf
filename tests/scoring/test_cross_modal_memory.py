import pytest
import torch
from torch.nn import functional as F

from kaleidobert.scoring.cross_modal_memory import CrossModalMemory

SCALE = 20.0


def units(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=-1).half().float()


@pytest.fixture
def memory():
    return CrossModalMemory(units(6, 0), units(6, 1))


def test_a_vector_is_enhanced_by_the_other_side_of_its_nearest(memory):
    """With one neighbour a training text's vector goes half-way to its own photo's."""
    texts = units(6, 1)
    enhanced = memory.enhance_texts(texts, SCALE, 1.0, 1)
    assert torch.allclose(enhanced, F.normalize(texts + units(6, 0), dim=-1), atol=1e-3)
    assert torch.equal(memory.enhance_texts(texts, SCALE, 0.0, 1), texts)


def test_nearer_neighbours_count_more(memory):
    """All six by a second route, one by one."""
    vector = units(1, 3)
    weights = [torch.exp(2 * (vector[0] @ image)) for image in units(6, 0)]
    remembered = sum(weight * text for weight, text in zip(weights, units(6, 1), strict=True))
    expected = F.normalize(vector[0] + 0.5 * F.normalize(remembered, dim=0), dim=0)
    assert torch.allclose(memory.enhance_images(vector, 2.0, 0.5, 99)[0], expected, atol=1e-4)
    assert not torch.allclose(memory.enhance_images(vector, 2.0, 0.5, 2)[0], expected, atol=1e-4)


def test_hubness_is_how_near_a_vector_is_to_all_of_the_other_side(memory):
    vectors, texts = units(3, 4), units(6, 1)
    expected = [(torch.exp(SCALE * texts @ vector).mean().log() / SCALE).item() for vector in vectors]
    assert memory.image_hubness(vectors, SCALE).tolist() == pytest.approx(expected, abs=1e-5)
    assert memory.image_hubness(texts[:1], SCALE) > memory.image_hubness(-texts[:1], SCALE)
    assert memory.text_hubness(vectors, SCALE).tolist() != pytest.approx(expected, abs=1e-2)
