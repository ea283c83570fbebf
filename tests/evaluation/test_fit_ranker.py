from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kaleidobert.evaluation import fit_ranker
from kaleidobert.evaluation.fit_ranker import (
    HUBNESS_WEIGHTS,
    JOINT_WEIGHTS,
    MEMORY_TOKENS,
    MEMORY_WEIGHTS,
    NEIGHBOUR_WORD_WEIGHTS,
    fill_memory,
    fit_scoring,
    remember,
)
from kaleidobert.evaluation.retrieval import FITTED, Scores, pairs
from kaleidobert.model import KaleidoBertConfig, KaleidoBertForRetrieval, load_run

pytestmark = pytest.mark.usefixtures("shared_cache")


def way(joint, scorer=None, vectors=None, name="TIR"):
    """One direction's scores; where parts are asked for, the same (Q, C) for all weights of words, and no agreement."""
    nothing, nowhere = torch.zeros(joint.shape), torch.zeros(joint.shape, dtype=torch.bool)
    if scorer is not None:
        joint = torch.stack([joint] * len(scorer.keywords["word_weights"]) + [nothing], dim=-1)
    vectors = nothing if vectors is None else vectors
    return Scores(name, plain=vectors, vectors=vectors, joint=joint, missing=nowhere, head=~nowhere)


def unscale(run):
    """Let the vectors' scores weigh 1."""
    model = KaleidoBertForRetrieval.from_pretrained(run)
    model.logit_scale.data.zero_()
    model.save_pretrained(run)


def opposed(candidates):
    """Scores of vectors, which put the partner last, and of the joint model, which put it first by 0.6."""
    vectors, joint = torch.ones(candidates.shape), torch.zeros(candidates.shape)
    vectors[:, 0], joint[:, 0] = 0.0, 0.6
    return vectors, joint


def test_the_joint_weight_is_fitted_by_recall(copy, test_split, monkeypatch):
    """Vectors alone rank no partner first, the joint model all of them, and its weight must outweigh them."""
    unscale(copy)

    def scores(_, __, candidates, _few=None, scorer=None):
        vectors, joint = opposed(candidates)
        return (way(joint, scorer, vectors),) * 2

    monkeypatch.setattr(fit_ranker, "score", scores)
    before = (copy / "model.safetensors").read_bytes()
    fitted = fit_scoring(copy, test_split)
    assert fitted["joint_weight"] == min(w for w in JOINT_WEIGHTS if 0.6 * w > 1)
    config = KaleidoBertConfig.from_pretrained(copy)
    assert {name: getattr(config, name) for name in FITTED} == fitted
    assert (copy / "model.safetensors").read_bytes() == before


def test_each_direction_has_its_own_joint_weight(copy, test_split, monkeypatch):
    """The joint model finds every photo and no text, so a search is helped and the rest is left to the vectors."""
    unscale(copy)

    def scores(_, __, candidates, _few=None, scorer=None):
        vectors, joint = opposed(candidates)
        return way(joint, scorer, vectors), way(-joint, scorer, 1 - vectors, name="ITR")

    monkeypatch.setattr(fit_ranker, "score", scores)
    fitted = fit_scoring(copy, test_split)
    assert fitted["joint_weight"] == min(w for w in JOINT_WEIGHTS if 0.6 * w > 1) and fitted["joint_weight_itr"] == 0


def test_memory_and_hubness_are_weighed_on_the_vectors_alone(copy, test_split, monkeypatch):
    """The partner comes first with one pair of weights alone."""

    def parts(model, _, candidates):
        cosine, hubness = torch.zeros(candidates.shape), torch.zeros(candidates.shape)
        cosine[:, 0] = float(model.config.memory_weight == 0.6)
        cosine[:, 1], hubness[:, 1] = 1.1, 1.0  # a hub, ahead of the partner until it is charged
        cosine[:, 2], hubness[:, 2] = 0.8, -0.5  # near to nothing, ahead of the partner once that counts too much
        return [(cosine, hubness)] * 2

    monkeypatch.setattr(fit_ranker, "vector_parts", parts)
    fitted = fit_scoring(copy, test_split)
    assert (fitted["memory_weight"], fitted["hubness_weight"]) == (0.6, 0.25)


def test_what_adds_nothing_is_left_out(copy, test_split):
    model = KaleidoBertForRetrieval.from_pretrained(copy)
    model.matching.score.weight.data.zero_()
    model.memory.images = model.memory.texts = model.looks.looks = model.looks.tokens = None
    model.config.memory_pairs = model.config.memory_looks = model.config.memory_tokens = 0
    model.config.loss_weights = {"LM": 0.0}
    model.save_pretrained(copy)
    fitted = fit_scoring(copy, test_split.head(20))
    assert fitted == {"memory_weight": 0, "hubness_weight": 0, "joint_scorer": "matching"} | {
        "neighbour_word_weight": 0,
        "prior_weight": 1.0,
        "neighbour_pmi_weight": 0,
        "joint_weight": 0,
        "joint_weight_itr": 0,
    }


def test_the_joint_model_is_asked_what_it_answers_better(copy, test_split, monkeypatch):
    """Vectors know nothing; one scorer puts all partners first, the other last; an untrained one is not asked."""

    def scores(model, _, candidates, _few=None, scorer=None):
        joint = torch.zeros(candidates.shape)
        joint[:, 0] = 1.0 if model.config.joint_scorer == "reading" else -1.0
        return (way(joint, scorer),) * 2

    monkeypatch.setattr(fit_ranker, "score", scores)
    assert fit_scoring(copy, test_split)["joint_scorer"] == "reading"
    config = KaleidoBertConfig.from_pretrained(copy)
    config.loss_weights = {"LM": 0.0}
    config.save_pretrained(copy)
    fitted = fit_scoring(copy, test_split)
    assert (fitted["joint_scorer"], fitted["joint_weight"]) == ("matching", 0.0)


def test_the_prior_of_a_text_is_weighed(copy, test_split, monkeypatch):
    """Likely texts outweigh the partners until their prior counts half: its weight is fitted with the joint model's."""
    table: dict[str, torch.Tensor] = {}

    def scores(_, encoded, candidates, _few=None, scorer=None):
        ways = []
        for text, _ in pairs(candidates):
            joint = 0.5 * encoded.priors[text][..., 0]
            joint[:, 0] += 1e-3
            ways.append(way(joint, scorer))
        table["priors"] = encoded.priors[:, 0]
        return tuple(ways)

    monkeypatch.setattr(fit_ranker, "score", scores)
    config = KaleidoBertConfig.from_pretrained(copy)
    config.loss_weights = {"ITM": 0.0}
    config.save_pretrained(copy)
    assert fit_scoring(copy, test_split)["prior_weight"] == 0.5
    assert table["priors"].std() > 0.02


def test_what_photos_that_look_alike_say_is_weighed(copy, test_split, monkeypatch):
    """The partners come first where remembered words count a fifth, and even more where agreement does, too."""

    def scores(_, encoded, candidates, *__):
        ways = []
        for text, _ in pairs(candidates):
            joint, half = torch.zeros(*candidates.shape, len(NEIGHBOUR_WORD_WEIGHTS) + 1), len(candidates) // 2
            joint[:half, 0, NEIGHBOUR_WORD_WEIGHTS.index(0.2)] = 10.0
            joint[half:, 0], joint[half:, 0, -1] = -1.0, 1.5
            alone, common = encoded.priors[text].unbind(dim=-1)
            joint[..., :-1] += alone.unsqueeze(-1)
            joint[..., -1] += common
            ways.append(replace(way(joint[..., 0]), joint=joint))
        return tuple(ways)

    monkeypatch.setattr(fit_ranker, "score", scores)
    config = KaleidoBertConfig.from_pretrained(copy)
    config.loss_weights = {"ITM": 0.0}
    config.save_pretrained(copy)
    fitted = fit_scoring(copy, test_split)
    assert (fitted["neighbour_word_weight"], fitted["neighbour_pmi_weight"]) == (0.2, 1.0) and fitted[
        "joint_weight"
    ] > 0


def test_the_memory_holds_the_vectors_of_all_training_products(run, catalogue):
    model, processor = load_run(run)
    held = model.memory.images.float()
    assert model.config.memory_weight in MEMORY_WEIGHTS and model.config.hubness_weight in HUBNESS_WEIGHTS
    assert len(held) == model.config.memory_pairs == len(catalogue) == 64
    fill_memory(model, processor.tokenizer, catalogue, seed=5)
    assert torch.allclose(model.memory.images.float(), held, atol=0.02)
    assert torch.allclose(model.memory.texts.float().norm(dim=1), torch.ones(64), atol=1e-2)
    assert len(held.unique(dim=0)) > 32
    words = processor.tokenizer.batch_decode(model.looks.tokens, skip_special_tokens=True)
    own = processor.tokenizer(catalogue.texts, truncation=True, max_length=MEMORY_TOKENS)["input_ids"]
    assert sorted(words) == sorted(processor.tokenizer.batch_decode(own, skip_special_tokens=True))
    assert model.looks.looks.shape == (64, model.config.memory_looks) and len(model.looks.looks.unique(dim=0)) > 32


def test_a_memory_of_an_earlier_version_is_told_and_made_anew(copy, shapes, caplog):
    weights = load_file(copy / "model.safetensors")
    without = {name: value for name, value in weights.items() if not name.startswith("looks.")}
    save_file(without, copy / "model.safetensors", metadata={"format": "pt"})
    config = KaleidoBertConfig.from_pretrained(copy)
    config.memory_looks, config.neighbour_word_weight = 0, 0.5
    config.save_pretrained(copy)
    load_run(copy)
    assert f"kaleidobert calibrate DATA --model {copy} --remember" in caplog.text
    caplog.clear()
    remember(shapes, copy)
    assert load_run(copy)[0].looks.looks.shape == weights["looks.looks"].shape and not caplog.text


def test_a_run_remembers_another_catalogue_and_keeps_its_weights(copy, shapes, monkeypatch):
    before = load_file(copy / "model.safetensors")
    forget = {name: value for name, value in before.items() if not name.startswith(("memory.", "looks."))}
    save_file(forget, copy / "model.safetensors", metadata={"format": "pt"})
    config = KaleidoBertConfig.from_pretrained(copy)
    config.memory_pairs = config.memory_looks = config.memory_tokens = 0
    config.save_pretrained(copy)
    assert load_run(copy)[0].memory.images is None
    seen = []
    fit = fit_ranker.fit_scoring
    monkeypatch.setattr(
        fit_ranker, "fit_scoring", lambda run, split, seed: seen.append(len(split)) or fit(run, split, seed)
    )
    fitted = remember(shapes, copy, split="test")
    assert seen == [44]  # the split that was asked for
    after = load_file(copy / "model.safetensors")
    assert after.keys() == before.keys() and all(torch.equal(after[name], forget[name]) for name in forget)
    words, known = (sorted(each["looks.tokens"].tolist()) for each in (after, before))
    assert words == known  # in an order of its own
    model = load_run(copy)[0]
    assert len(model.memory.images) == 64
    assert {name: getattr(model.config, name) for name in FITTED} == fitted
