import pytest
import torch

from kaleidobert.model import KaleidoBertConfig, KaleidoBertForRetrieval, load_run
from kaleidobert.training.evaluate import Scores
from kaleidobert.training.fitting import HUBNESS_WEIGHTS, JOINT_WEIGHTS, fill_references, fit_scoring

pytestmark = pytest.mark.usefixtures("shared_cache")
NONE = torch.zeros(5, 12)


def ways(monkeypatch, **scores):
    parts = {"cosine": NONE, "hubness": NONE, "joint": NONE, "missing": NONE.bool()} | scores
    monkeypatch.setattr("kaleidobert.training.fitting.score", lambda *_: (Scores(**parts),) * 2)


def test_the_joint_weight_is_fitted_by_sum_of_recalls(copy, test_split, monkeypatch):
    """Vectors alone rank no partner first, the joint model all of them, and its weight must outweigh them."""
    model = KaleidoBertForRetrieval.from_pretrained(copy)
    model.logit_scale.data.zero_()
    model.save_pretrained(copy)
    cosine, joint = torch.ones(5, 12), torch.zeros(5, 12)
    cosine[:, 0], joint[:, 0] = 0.0, 0.6
    ways(monkeypatch, cosine=cosine, joint=joint)
    before = (copy / "model.safetensors").read_bytes()
    fitted = fit_scoring(copy, test_split)
    assert fitted == {"hubness_weight": 0, "joint_weight": min(w for w in JOINT_WEIGHTS if 0.6 * w > 1)}
    config = KaleidoBertConfig.from_pretrained(copy)
    assert (config.hubness_weight, config.joint_weight) == tuple(fitted.values())
    assert (copy / "model.safetensors").read_bytes() == before


def test_the_weight_of_hubness_is_fitted_on_the_vectors_alone(copy, test_split, monkeypatch):
    """Every distractor is a hub: nearer than the partner by 0.6, which its hubness of 1 pays for."""
    cosine, hubness = torch.full((5, 12), 0.6), torch.ones(5, 12)
    cosine[:, 0] = hubness[:, 0] = 0.0
    ways(monkeypatch, cosine=cosine, hubness=hubness)
    assert fit_scoring(copy, test_split)["hubness_weight"] == min(w for w in HUBNESS_WEIGHTS if w > 0.6)


def test_what_adds_nothing_is_left_out(copy, test_split):
    model = KaleidoBertForRetrieval.from_pretrained(copy)
    model.matching.score.weight.data.zero_()
    for reference in (model.reference_images, model.reference_texts):
        reference.zero_()
    model.save_pretrained(copy)
    assert fit_scoring(copy, test_split.head(20)) == {"hubness_weight": 0, "joint_weight": 0}


def test_references_are_vectors_of_training_products_and_a_small_catalogue_is_repeated(run, catalogue):
    model, processor = load_run(run)
    model.reference_images.zero_()
    fill_references(model, processor.tokenizer, catalogue, seed=0)
    for reference in (model.reference_images, model.reference_texts):
        assert torch.allclose(reference.norm(dim=1), torch.ones(len(reference)), atol=1e-3)
    assert torch.allclose(model.reference_images[:64], model.reference_images[64:128], atol=0.02)
    assert len(model.reference_images[:64].unique(dim=0)) > 32


def test_a_run_ends_with_references(run):
    model, _ = load_run(run)
    assert model.reference_images.abs().sum() > 0 and model.config.hubness_weight in HUBNESS_WEIGHTS
