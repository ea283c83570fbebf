"""Fitting on scores whose best weights are known, and what a fit writes into a run folder."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.evaluation import fit_ranker as module
from kaleidobert.evaluation.fit_ranker import (
    HUBNESS_WEIGHTS,
    JOINT_WEIGHTS,
    MEMORY_WEIGHTS,
    NEIGHBOUR_WORD_WEIGHTS,
    build_memory,
    fit_ranker,
    fit_ranking,
    fit_weights,
)
from kaleidobert.evaluation.retrieval import DirectionScores, encode, pairs
from kaleidobert.model.objectives import Objectives
from kaleidobert.scoring.memory import MEMORY_FILE
from kaleidobert.scoring.ranking import RANKING_FILE, Ranking, RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.encode import TOKENS
from kaleidobert.training.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("shared_cache")
BEST_WEIGHT = min(weight for weight in JOINT_WEIGHTS if 0.6 * weight > 1)  # where 0.6 must outweigh 1


@pytest.fixture
def scorer(run):
    """With the run's memory."""
    return KaleidoBertScorer.from_pretrained(run)


@pytest.fixture
def fit(scorer, test_split, monkeypatch):
    """``fit(scores)``: the weights fitted where ``scores(scorer, encoded, candidates)`` replaces `score`."""

    def fitted(scores, objectives=None, **weights):
        def score(_, encoded, candidates, __, joint_scores):
            return scores(joint_scores.args[0], encoded, candidates)

        monkeypatch.setattr(module, "score", score)
        objectives = objectives or Objectives()
        return fit_weights(scorer.with_weights(RankingWeights(**weights)), encoded, test_split, objectives, seed=0)

    encoded = encode(scorer, test_split)
    return fitted


def way(scorer, joint, vectors=None, direction="TIR"):
    """One direction's scores: joint (Q, C) is the same for all weights of words, and there is no PMI."""
    nothing, nowhere = torch.zeros(joint.shape), torch.zeros(joint.shape, dtype=torch.bool)
    words = NEIGHBOUR_WORD_WEIGHTS if scorer.weights.joint_scorer == "lm" else (0.0,)
    parts = torch.stack([joint] * len(words) + [nothing], dim=-1)
    return DirectionScores(direction, nothing if vectors is None else vectors, parts, missing=nowhere, head=~nowhere)


def opposed(candidates):
    """Scores of vectors, which put the partner last, and of the joint model, which put it first by 0.6."""
    vectors, joint = torch.ones(candidates.shape), torch.zeros(candidates.shape)
    vectors[:, 0], joint[:, 0] = 0.0, 0.6
    return vectors, joint


@pytest.fixture
def unscaled(scorer):
    """The similarity weighs 1."""
    with torch.no_grad():
        scorer.model.logit_scale.zero_()


@pytest.mark.usefixtures("unscaled")
def test_the_joint_weight_is_fitted_by_recall(fit):
    """Vectors alone rank no partner first, the joint model all of them, and its weight must outweigh them."""

    def scores(scorer, _, candidates):
        vectors, joint = opposed(candidates)
        return (way(scorer, joint, vectors), way(scorer, joint, vectors, "ITR"))

    assert fit(scores).joint_weight == {"TIR": BEST_WEIGHT, "ITR": BEST_WEIGHT}


@pytest.mark.usefixtures("unscaled")
def test_each_direction_has_its_own_joint_weight(fit):
    """The joint model finds every photo and no text, so a search is helped and the rest is left to the vectors."""

    def scores(scorer, _, candidates):
        vectors, joint = opposed(candidates)
        return way(scorer, joint, vectors), way(scorer, -joint, 1 - vectors, "ITR")

    assert fit(scores).joint_weight == {"TIR": BEST_WEIGHT, "ITR": 0.0}


def test_memory_and_hubness_are_weighed_on_the_vectors_alone(scorer, test_split, monkeypatch):
    """The partner comes first with one pair of weights alone."""

    def parts(scorer, _, candidates):
        cosine, hubness = torch.zeros(candidates.shape), torch.zeros(candidates.shape)
        cosine[:, 0] = float(scorer.weights.memory_weight == 0.6)
        cosine[:, 1], hubness[:, 1] = 1.1, 1.0  # a hub, ahead of the partner until it is charged
        cosine[:, 2], hubness[:, 2] = 0.8, -0.5  # near to nothing, ahead of the partner once that counts too much
        return [(cosine, hubness)] * 2

    monkeypatch.setattr(module, "similarity_parts", parts)
    fitted = fit_weights(scorer, encode(scorer, test_split), test_split, Objectives(), seed=0)
    assert (fitted.memory_weight, fitted.hubness_weight) == (0.6, 0.25)


def test_what_adds_nothing_is_left_out(scorer, test_split):
    """Without a memory, and with a joint model that says the same of every pair."""
    scorer.model.itm_head.score.weight.data.zero_()
    few, alone = test_split.head(20), scorer.without_memory()
    fitted = fit_weights(alone, encode(alone, few), few, Objectives({"LM": 0.0}), seed=0)
    assert fitted == RankingWeights(
        joint_scorer="itm",
        prior_weight=1.0,
        joint_weight={"TIR": 0.0, "ITR": 0.0},
        memory_weight=0.0,
        hubness_weight=0.0,
        neighbour_word_weight=0.0,
        neighbour_pmi_weight=0.0,
        calibration={},
    )


def test_the_joint_model_is_asked_what_it_answers_better(fit):
    """Vectors know nothing; one scorer puts all partners first, the other last; an untrained one is not asked."""

    def scores(scorer, _, candidates):
        joint = torch.zeros(candidates.shape)
        joint[:, 0] = 1.0 if scorer.weights.joint_scorer == "lm" else -1.0
        return (way(scorer, joint),) * 2

    assert fit(scores).joint_scorer == "lm"
    fitted = fit(scores, Objectives({"LM": 0.0}))
    assert (fitted.joint_scorer, fitted.joint_weight["TIR"]) == ("itm", 0.0)


def test_the_prior_of_a_text_is_weighed(fit):
    """Likely texts outweigh the partners until their prior counts half: its weight is fitted with the joint model's."""
    table: dict[str, torch.Tensor] = {}

    def scores(scorer, encoded, candidates):
        ways = []
        for text, _ in pairs(candidates):
            joint = 0.5 * encoded.log_prior[text][..., 0]
            joint[:, 0] += 1e-3
            ways.append(way(scorer, joint))
        table["priors"] = encoded.log_prior[:, 0]
        return tuple(ways)

    assert fit(scores, Objectives({"ITM": 0.0})).prior_weight == 0.5
    assert table["priors"].std() > 0.02


def test_what_photos_with_a_similar_layout_say_is_weighed(fit):
    """The partners come first where neighbours' words count a fifth, and even more where the PMI does, too."""

    def scores(scorer, encoded, candidates):
        ways = []
        for text, _ in pairs(candidates):
            joint, half = torch.zeros(*candidates.shape, len(NEIGHBOUR_WORD_WEIGHTS) + 1), len(candidates) // 2
            joint[:half, 0, NEIGHBOUR_WORD_WEIGHTS.index(0.2)] = 10.0
            joint[half:, 0], joint[half:, 0, -1] = -1.0, 1.5
            alone, density = encoded.log_prior[text].unbind(dim=-1)
            joint[..., :-1] += alone.unsqueeze(-1)
            joint[..., -1] += density
            ways.append(replace(way(scorer, joint[..., 0]), joint=joint))
        return tuple(ways)

    fitted = fit(scores, Objectives({"ITM": 0.0}))
    assert (fitted.neighbour_word_weight, fitted.neighbour_pmi_weight) == (0.2, 1.0)
    assert fitted.joint_weight["TIR"] > 0


def test_the_memory_holds_the_embeddings_of_all_training_products(scorer, catalogue):
    assert scorer.weights.memory_weight in MEMORY_WEIGHTS and scorer.weights.hubness_weight in HUBNESS_WEIGHTS
    pairs, layouts, tokenizer = scorer.memory.pairs, scorer.memory.layouts, scorer.processor.tokenizer
    held = pairs.images.float()
    assert len(held) == len(catalogue) == 64
    anew = build_memory(scorer.model, tokenizer, catalogue, seed=5)
    assert torch.allclose(anew.pairs.images.float(), held, atol=0.02)
    assert torch.allclose(pairs.texts.float().norm(dim=1), torch.ones(64), atol=1e-2)
    assert len(held.unique(dim=0)) > 32
    words = tokenizer.batch_decode(layouts.tokens, skip_special_tokens=True)
    own = tokenizer(catalogue.texts, truncation=True, max_length=TOKENS)["input_ids"]
    assert sorted(words) == sorted(tokenizer.batch_decode(own, skip_special_tokens=True))
    assert layouts.layouts.shape == (64, layouts.basis.shape[1]) and len(layouts.layouts.unique(dim=0)) > 32


def files(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def test_a_fit_writes_two_files_and_touches_no_other(shapes, settings, tmp_path):
    """With the memory and without it; the fit without a memory is the same, whether or not there is one."""
    run = tmp_path / "run"
    pretrain(shapes, run, settings("training.epochs=0.25"))
    trained = files(run)
    assert {"config.json", "model.safetensors"} <= set(trained)
    figures = fit_ranker(shapes, run)
    written = files(run)
    assert set(written) - set(trained) == {RANKING_FILE, MEMORY_FILE}
    assert {name: written[name] for name in trained} == trained
    ranking = Ranking.load(run)
    for name in ("without_memory", "with_memory"):
        weights = asdict(getattr(ranking, name))
        calibration, quality = weights.pop("calibration"), figures[name].pop("calibration")
        assert weights == figures[name] and calibration["weak"] == quality["weak"]
    assert asdict(KaleidoBertScorer.from_pretrained(run).weights) == asdict(ranking.with_memory)

    fit_ranker(shapes, run, memory=False)
    assert set(files(run)) == set(trained) | {RANKING_FILE}
    assert {name: files(run)[name] for name in trained} == trained
    assert Ranking.load(run) == Ranking(ranking.without_memory, None)
    assert KaleidoBertScorer.from_pretrained(run).memory is None


def test_a_run_remembers_another_catalogue_and_keeps_its_weights(copy, shapes, monkeypatch):
    before = load_file(copy / MEMORY_FILE)
    (copy / MEMORY_FILE).unlink()
    assert KaleidoBertScorer.from_pretrained(copy).memory is None
    seen = []
    fit = module.fit_ranking
    monkeypatch.setattr(module, "fit_ranking", lambda *given: seen.append((len(given[1]), given[3])) or fit(*given))
    model = (copy / "model.safetensors").read_bytes()
    figures = fit_ranker(shapes, copy, split="test", seed=7)
    assert seen == [(44, 7)]  # the split and the seed that were asked for
    after = load_file(copy / MEMORY_FILE)
    words, known = (sorted(each["layouts.tokens"].tolist()) for each in (after, before))
    assert after.keys() == before.keys() and words == known  # in an order of its own
    assert not torch.equal(after["layouts.tokens"], before["layouts.tokens"])
    scorer = KaleidoBertScorer.from_pretrained(copy)
    assert len(scorer.memory.pairs.images) == 64 and (copy / "model.safetensors").read_bytes() == model
    weights = {name: value for name, value in asdict(scorer.weights).items() if name != "calibration"}
    assert weights == {name: value for name, value in figures["with_memory"].items() if name != "calibration"}


def test_too_few_products_are_ranked_without_match_probabilities(scorer, test_split, caplog):
    ranking, figures = fit_ranking(scorer, test_split.head(4), Objectives())
    assert not ranking.without_memory.calibration and not ranking.with_memory.calibration
    assert "calibration" not in figures["with_memory"] and "too few" in caplog.text


def test_the_command_that_the_line_names_mends_a_run(copy, shapes):
    (copy / RANKING_FILE).write_text("{")
    (copy / MEMORY_FILE).write_text("half a file")
    evaluate = ["evaluate", "retrieval", str(shapes), "--model", str(copy), "--queries", "4"]
    assert "ranking.json is damaged" in str(CliRunner().invoke(app, evaluate).exception)
    mended = CliRunner().invoke(app, ["fit-ranker", str(shapes), "--model", str(copy)])
    assert mended.exit_code == 0, mended.output
    assert CliRunner().invoke(app, evaluate).exit_code == 0


def test_the_verb(copy, shapes, tmp_path):
    line = ["fit-ranker", str(shapes), "--model", str(copy), "--json", str(tmp_path / "figures.json"), "--no-memory"]
    result = CliRunner().invoke(app, [*line, "--picture", str(tmp_path / "reliability.png")])
    assert result.exit_code == 0 and "ranking without memory: joint_scorer" in result.output
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"without_memory"}
    assert (tmp_path / "reliability.png").stat().st_size > 5000 and not (copy / MEMORY_FILE).exists()
