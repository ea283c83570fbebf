import pytest
import torch
from torch.nn import functional as F

from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.scoring.cross_modal_memory import CrossModalMemory

SCALE = torch.tensor(20.0)


def units(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=-1).half().float()


@pytest.fixture
def memory():
    memory = CrossModalMemory(0, 8)
    memory.fill(units(6, 0), units(6, 1))
    return memory


def test_an_empty_memory_changes_nothing_and_is_not_saved():
    empty, vectors = CrossModalMemory(0, 8), units(3, 2)
    assert torch.equal(empty.enhance_images(vectors, SCALE, 1.0, 5), vectors)
    assert torch.equal(empty.text_hubness(vectors, SCALE), torch.zeros(3))
    assert not empty.state_dict()


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
    assert torch.allclose(memory.enhance_images(vector, torch.tensor(2.0), 0.5, 99)[0], expected, atol=1e-4)
    assert not torch.allclose(memory.enhance_images(vector, torch.tensor(2.0), 0.5, 2)[0], expected, atol=1e-4)


def test_hubness_is_how_near_a_vector_is_to_all_of_the_other_side(memory):
    vectors, texts = units(3, 4), units(6, 1)
    expected = [(torch.exp(SCALE * texts @ vector).mean().log() / SCALE).item() for vector in vectors]
    assert memory.image_hubness(vectors, SCALE).tolist() == pytest.approx(expected, abs=1e-5)
    assert memory.image_hubness(texts[:1], SCALE) > memory.image_hubness(-texts[:1], SCALE)
    assert memory.text_hubness(vectors, SCALE).tolist() != pytest.approx(expected, abs=1e-2)


def test_a_model_keeps_its_memory_and_training_does_not_use_it(tiny_config, make_batch, tmp_path):
    model = KaleidoBertForRetrieval(tiny_config(memory_weight=0.7)).eval()
    size = model.config.projection_size
    model.remember(*F.normalize(torch.randn(2, 6, size), dim=-1))
    model.save_pretrained(tmp_path)
    loaded = KaleidoBertForRetrieval.from_pretrained(tmp_path).eval()
    assert loaded.config.memory_pairs == 6 and torch.equal(loaded.memory.texts.half(), model.memory.texts)
    batch = make_batch(model.config)
    names = ("pixel_values", "input_ids", "attention_mask", "text_group", "draws")
    losses = model(**{name: batch[name] for name in names}).parts
    model.config.memory_weight = 0.0
    assert model(**{name: batch[name] for name in names}).parts == losses
    assert not torch.allclose(
        model.encode_image(batch["pixel_values"]).vectors, loaded.encode_image(batch["pixel_values"]).vectors, atol=1e-3
    )
