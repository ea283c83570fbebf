"""Fitting on scores whose best weights are known, and what a fit writes into a run folder."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.evaluation import fit_ranker as module
from kaleidobert.evaluation.background import NEAREST
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
from kaleidobert.evaluation.gallery import Gallery, final_ranks, shortlists
from kaleidobert.evaluation.metrics.retrieval import recall
from kaleidobert.evaluation.pair_scores import DirectionScores, embed, encode, pairs, score
from kaleidobert.model.objectives import Objectives
from kaleidobert.scoring.memory import MEMORY_FILE
from kaleidobert.scoring.ranking import RANKING_FILE, RERANK, Ranking, RankingWeights
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.training.encode import TOKENS
from kaleidobert.training.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("shared_cache")
BEST_WEIGHT = min(weight for weight in JOINT_WEIGHTS if 0.6 * weight > 1)  # where 0.6 must outweigh 1


@pytest.fixture
def scorer(run):
    """With the run's memory."""
    return KaleidoBertScorer.from_pretrained(run)


def gallery_of(scorer, dataset, trained=0):
    """The products of a split, the last ``trained`` of them as if trained on."""
    known = np.arange(len(dataset)) >= len(dataset) - trained
    return replace(Gallery.of([encode(scorer, dataset)], [dataset], [False]), trained=known)


@pytest.fixture
def fit(scorer, test_split, monkeypatch):
    """``fit(scores)``: the weights fitted where ``scores(encoded, tables)`` replaces `score`."""

    def fitted(scores, objectives=None):
        monkeypatch.setattr(module, "score", lambda _, encoded, tables, *__: scores(encoded, tables))
        return fit_weights(scorer, gallery, objectives or Objectives(), seed=0)

    gallery = gallery_of(scorer, test_split)
    return fitted


def way(table, vectors=None, itm=None, lm=None, pmi=None, direction="TIR"):
    """One direction's scores of a table; lm (Q, C) is the same for all weights of words, or (Q, C, W)."""
    nothing, nowhere = torch.zeros(table.shape), torch.zeros(table.shape, dtype=torch.bool)
    words = len(NEIGHBOUR_WORD_WEIGHTS)
    lm = (nothing if lm is None else lm).unsqueeze(-1).expand(*table.shape, words) if lm is None or lm.ndim == 2 else lm
    first = [nothing if each is None else each for each in (itm, pmi)]
    parts = torch.cat([torch.stack(first, dim=-1), lm], dim=-1)
    return DirectionScores(direction, nothing if vectors is None else vectors, parts, missing=nowhere, head=~nowhere)


def priors(encoded, tables):
    """log p(text) (Q, C) of both directions."""
    return [encoded.log_prior[text][..., 0] for text, _ in pairs(tables)]


ITM_ONLY, LM_ONLY = Objectives({"LM": 0.0}), Objectives({"ITM": 0.0})


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

    def scores(_, tables):
        found = [opposed(table) for table in tables]
        return [way(table, vectors, itm) for table, (vectors, itm) in zip(tables, found, strict=True)]

    assert fit(scores, ITM_ONLY).joint_weight == {"TIR": BEST_WEIGHT, "ITR": BEST_WEIGHT}


@pytest.mark.usefixtures("unscaled")
def test_each_direction_has_its_own_joint_weight(fit):
    """The joint model finds every photo and no text, so a search is helped and the rest is left to the vectors."""

    def scores(_, tables):
        vectors, itm = opposed(tables[0])
        return way(tables[0], vectors, itm), way(tables[1], 1 - vectors, -itm, direction="ITR")

    assert fit(scores, ITM_ONLY).joint_weight == {"TIR": BEST_WEIGHT, "ITR": 0.0}


def test_memory_and_hubness_are_weighed_on_the_vectors_alone(scorer, test_split, monkeypatch):
    """The partner comes first with one pair of weights alone."""

    def ranks(scorer, _, __, queries):
        weights = scorer.weights
        best = (weights.memory_weight, weights.hubness_weight) == (0.6, 0.25)
        return (np.full(len(queries), 1 if best else 6),) * 2

    monkeypatch.setattr(module, "vector_ranks", ranks)
    fitted = fit_weights(scorer, gallery_of(scorer, test_split), Objectives(), seed=0)
    assert (fitted.memory_weight, fitted.hubness_weight) == (0.6, 0.25)


def test_what_adds_nothing_is_left_out(scorer, test_split):
    """Without a memory, and with a joint model that says the same of every pair."""
    scorer.model.itm_head.score.weight.data.zero_()
    few, alone = test_split.head(20), scorer.without_memory()
    fitted = fit_weights(alone, gallery_of(alone, few), ITM_ONLY, seed=0)
    assert fitted == RankingWeights(
        itm_weight=1.0,
        lm_weight=0.0,
        prior_weight=1.0,
        joint_weight={"TIR": 0.0, "ITR": 0.0},
        memory_weight=0.0,
        hubness_weight=0.0,
        neighbour_word_weight=0.0,
        neighbour_pmi_weight=0.0,
        calibration={},
    )


def test_the_joint_model_is_asked_what_it_answers_better(fit):
    """Vectors know nothing; one term puts all partners first, the other last; an untrained one is not asked."""

    def scores(encoded, tables):
        found = []
        for table, prior in zip(tables, priors(encoded, tables), strict=True):
            lm = prior.clone()
            lm[:, 0] += 1.0
            itm = torch.zeros(table.shape)
            itm[:, 0] = -9.0
            found.append(way(table, itm=itm, lm=lm))
        return found

    fitted = fit(scores)
    assert (fitted.itm_weight, fitted.lm_weight, fitted.prior_weight) == (0.0, 1.0, 1.0)
    assert fitted.joint_terms == "LM"
    fitted = fit(scores, ITM_ONLY)
    assert (fitted.joint_terms, fitted.joint_weight["TIR"]) == ("ITM", 0.0)


def test_both_terms_are_summed_where_each_knows_what_the_other_does_not(fit):
    """Each puts half of the partners first by 1 and the others second by .3; their sum puts all first."""

    def scores(encoded, tables):
        found = []
        for table, prior in zip(tables, priors(encoded, tables), strict=True):
            itm, lm, half = torch.zeros(table.shape), torch.zeros(table.shape), len(table) // 2
            itm[:half, 0], itm[half:, 1] = 1.0, 0.3
            lm[half:, 0], lm[:half, 1] = 1.0, 0.3
            found.append(way(table, itm=itm, lm=lm + prior))
        return found

    fitted = fit(scores)
    assert fitted.itm_weight and fitted.lm_weight == 1.0 and fitted.joint_weight["TIR"] > 0


def test_the_prior_of_a_text_is_weighed(fit):
    """Likely texts outweigh the partners until their prior counts half: its weight is fitted with the joint model's."""
    table: dict[str, torch.Tensor] = {}

    def scores(encoded, tables):
        ways = []
        for each, prior in zip(tables, priors(encoded, tables), strict=True):
            joint = 0.5 * prior
            joint[:, 0] += 1e-3
            ways.append(way(each, lm=joint))
        table["priors"] = encoded.log_prior[:, 0]
        return ways

    assert fit(scores, LM_ONLY).prior_weight == 0.5
    assert table["priors"].std() > 0.02


def test_the_prior_given_background_photos_is_taken_where_it_ranks_better(fit):
    """Another prior than the LM's own takes away what makes each text likely."""

    def scores(encoded, tables):
        encoded.log_prior[:, 2] = torch.linspace(0, 5, len(encoded)).sin()
        ways = []
        for each, (text, _) in zip(tables, pairs(tables), strict=True):
            joint = encoded.log_prior[text][..., 2].clone()
            joint[:, 0] += 1e-3
            ways.append(way(each, lm=joint))
        return ways

    fitted = fit(scores, LM_ONLY)
    assert fitted.background_photos == NEAREST and fitted.prior_weight == 1


def test_what_photos_with_a_similar_layout_say_is_weighed(fit):
    """The partners come first where neighbours' words count a fifth, and even more where the PMI does, too."""

    def scores(encoded, tables):
        ways = []
        for table, prior in zip(tables, priors(encoded, tables), strict=True):
            lm, pmi = torch.zeros(*table.shape, len(NEIGHBOUR_WORD_WEIGHTS)), torch.zeros(table.shape)
            half = len(table) // 2
            lm[:half, 0, NEIGHBOUR_WORD_WEIGHTS.index(0.2)] = 10.0
            lm[half:, 0], pmi[half:, 0] = -1.0, 1.5
            ways.append(way(table, lm=lm + prior.unsqueeze(-1), pmi=pmi))
        return ways

    fitted = fit(scores, LM_ONLY)
    assert (fitted.neighbour_word_weight, fitted.neighbour_pmi_weight) == (0.2, 1.0)
    assert fitted.joint_weight["TIR"] > 0


def test_a_head_is_ranked_as_the_evaluation_ranks(scorer, test_split):
    """The fit's fast recalls are those of `final_ranks` over the whole gallery, for new products."""
    scorer = scorer.with_weights(replace(scorer.weights, itm_weight=0.5, lm_weight=1.0, prior_weight=0.7))
    gallery, queries = gallery_of(scorer, test_split, trained=14), np.arange(30)
    terms = ["itm", "lm"]
    heads = module._heads(scorer, gallery, queries, terms)
    embedded = embed(scorer, gallery.encoded)
    lists = shortlists(scorer, gallery, embedded, queries, RERANK)
    ways = score(scorer, gallery.encoded, (lists[0].table, lists[1].table), RERANK, None, embedded)
    places = {weight: place for place, weight in enumerate(NEIGHBOUR_WORD_WEIGHTS)}
    for weight in (0.0, 0.3):
        both = dict.fromkeys(("TIR", "ITR"), weight)
        weighed = scorer.with_weights(replace(scorer.weights, joint_weight=both))
        for head, each, shortlist in zip(heads, ways, lists, strict=True):
            joint = module._joint(head, scorer.weights, places[scorer.weights.neighbour_word_weight])
            found = head.recalls((scorer.scale * head.similarity + weight * joint)[None])[0]
            ranks = final_ranks("combined", weighed, each, shortlist.ranks)
            assert found == pytest.approx(sum(recall(ranks).values()), abs=100 / 30 + 1e-6)  # one tie may break


def test_queries_are_new_products_among_trained_ones(scorer, test_split, monkeypatch):
    seen = []
    heads = module._heads
    monkeypatch.setattr(
        module, "_heads", lambda *given: seen.append((len(given[1]), given[2].tolist())) or heads(*given)
    )
    fit_ranking(scorer.without_memory(), test_split.head(20), Objectives(), trained=test_split)
    assert seen == [(64, list(range(20)))]


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
    monkeypatch.setattr(module, "fit_ranking", lambda *given: seen.append((len(given[1]), *given[3:])) or fit(*given))
    model = (copy / "model.safetensors").read_bytes()
    figures = fit_ranker(shapes, copy, split="test", seed=7)
    assert seen[0][:2] == (44, 7)  # the split and the seed that were asked for
    assert len(seen[0][2]) == 64  # beside all that was trained on
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
    assert [list(fit.calibration) for fit in (ranking.without_memory, ranking.with_memory)] == [["missing"]] * 2
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
    assert result.exit_code == 0 and "ranking without memory: itm_weight" in result.output
    assert set(json.loads((tmp_path / "figures.json").read_text())) == {"without_memory"}
    assert (tmp_path / "reliability.png").stat().st_size > 5000 and not (copy / MEMORY_FILE).exists()
