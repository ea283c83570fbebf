import pytest
import torch

from kaleidobert.model import KaleidoBertConfig, KaleidoBertForRetrieval, load_run
from kaleidobert.training import fitting
from kaleidobert.training.evaluate import Scores
from kaleidobert.training.fitting import HUBNESS_WEIGHTS, JOINT_WEIGHTS, MEMORY_WEIGHTS, fill_memory, fit_scoring

pytestmark = pytest.mark.usefixtures("shared_cache")


def test_the_joint_weight_is_fitted_by_sum_of_recalls(copy, test_split, monkeypatch):
    """Vectors alone rank no partner first, the joint model all of them, and its weight must outweigh them."""
    model = KaleidoBertForRetrieval.from_pretrained(copy)
    model.logit_scale.data.zero_()
    model.save_pretrained(copy)
    vectors, joint = torch.ones(5, 12), torch.zeros(5, 12)
    vectors[:, 0], joint[:, 0] = 0.0, 0.6
    nowhere = torch.zeros(5, 12, dtype=torch.bool)
    way = Scores(plain=vectors, vectors=vectors, joint=joint, missing=nowhere, head=~nowhere)
    monkeypatch.setattr(fitting, "score", lambda *_: (way, way))
    before = (copy / "model.safetensors").read_bytes()
    fitted = fit_scoring(copy, test_split)
    assert fitted["joint_weight"] == min(w for w in JOINT_WEIGHTS if 0.6 * w > 1)
    config = KaleidoBertConfig.from_pretrained(copy)
    assert (config.memory_weight, config.hubness_weight, config.joint_weight) == tuple(fitted.values())
    assert (copy / "model.safetensors").read_bytes() == before


def test_memory_and_hubness_are_weighed_on_the_vectors_alone(copy, test_split, monkeypatch):
    """The partner comes first with one pair of weights alone."""

    def parts(model, _, candidates):
        cosine, hubness = torch.zeros(candidates.shape), torch.zeros(candidates.shape)
        cosine[:, 0] = float(model.config.memory_weight == 0.6)
        cosine[:, 1], hubness[:, 1] = 1.1, 1.0  # a hub, ahead of the partner until it is charged
        cosine[:, 2], hubness[:, 2] = 0.8, -0.5  # near to nothing, ahead of the partner once that counts too much
        return [(cosine, hubness)] * 2

    monkeypatch.setattr(fitting, "vector_parts", parts)
    fitted = fit_scoring(copy, test_split)
    assert (fitted["memory_weight"], fitted["hubness_weight"]) == (0.6, 0.25)


def test_what_adds_nothing_is_left_out(copy, test_split):
    model = KaleidoBertForRetrieval.from_pretrained(copy)
    model.matching.score.weight.data.zero_()
    model.memory.images = model.memory.texts = None
    model.config.memory_pairs = 0
    model.save_pretrained(copy)
    assert set(fit_scoring(copy, test_split.head(20)).values()) == {0}


def test_the_memory_holds_the_vectors_of_all_training_products(run, catalogue):
    model, processor = load_run(run)
    held = model.memory.images.float()
    assert model.config.memory_weight in MEMORY_WEIGHTS and model.config.hubness_weight in HUBNESS_WEIGHTS
    assert len(held) == model.config.memory_pairs == len(catalogue) == 64
    fill_memory(model, processor.tokenizer, catalogue, seed=5)
    assert torch.allclose(model.memory.images.float(), held, atol=0.02)
    assert torch.allclose(model.memory.texts.float().norm(dim=1), torch.ones(64), atol=1e-2)
    assert len(held.unique(dim=0)) > 32
