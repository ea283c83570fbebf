"""The prior of a text given the photos of other products that are nearest to it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kaleidobert.evaluation import background as module
from kaleidobert.evaluation.background import Background
from kaleidobert.evaluation.pair_scores import encode, score_terms
from kaleidobert.scoring.ranking import Ranking
from kaleidobert.scoring.scorer import KaleidoBertScorer

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def scorer(run):
    return KaleidoBertScorer.from_pretrained(run, memory=False)


@torch.inference_mode()
def likelihood(scorer, encoded, row, photo_states):
    """By a second route: one pair alone."""
    ids, mask = encoded.input_ids[row : row + 1], encoded.attention_mask[row : row + 1]
    with torch.autocast("cpu", torch.bfloat16):
        cache = scorer.model.kaleidobert.encode_prefix(photo_states[None].float())
        return scorer.joint.caption_log_likelihood(ids, mask, cache)[0, 0]


def test_the_prior_is_the_mean_likelihood_given_the_nearest_photos_of_others(scorer, catalogue, monkeypatch):
    monkeypatch.setattr(module, "NEAREST", 3)
    encoded = encode(scorer, catalogue)
    background = Background(encoded, catalogue.ids)
    rows = np.array([[4, 9], [9, -1]])
    found = background.with_prior(scorer, encoded, catalogue.ids, rows)
    for row in (4, 9):
        similarity = encoded.texts[row] @ encoded.images.T
        similarity[row] = -1
        near = similarity.topk(3).indices
        each = torch.stack([likelihood(scorer, encoded, row, encoded.patch_states[photo]) for photo in near])
        assert found.log_prior[row, 2].item() == pytest.approx(each.logsumexp(0).item() - math.log(3), abs=0.3)
    others = np.setdiff1d(np.arange(64), [4, 9])
    assert torch.equal(found.log_prior[others, 2], encoded.log_prior[others, 0])
    assert torch.equal(found.log_prior[:, :2], encoded.log_prior[:, :2])


def test_a_prior_is_found_once_and_only_where_it_is_asked_for(scorer, catalogue, monkeypatch):
    encoded, scored = encode(scorer, catalogue), []
    score = module.pair_scores
    monkeypatch.setattr(
        module, "pair_scores", lambda *given: scored.append(sorted({*given[2].tolist()})) or score(*given)
    )
    background = Background(encoded, catalogue.ids)
    first, second, third = (
        background.with_prior(scorer, encoded, catalogue.ids, np.array(rows)) for rows in ([4, 9], [9, 2], [2])
    )
    assert scored == [[4, 9], [2]]
    assert second.log_prior[9, 2] == first.log_prior[9, 2] and third.log_prior[2, 2] == second.log_prior[2, 2]


def test_it_is_used_where_it_was_fitted_alone(scorer, catalogue, test_split):
    encoded = encode(scorer, test_split)
    encoded = Background.of(scorer, catalogue).with_prior(scorer, encoded, test_split.ids)
    table = np.stack([np.roll(np.arange(len(test_split)), -row)[:6] for row in range(10)])
    weights = replace(scorer.weights, itm_weight=0.0, lm_weight=1.0, prior_weight=1.0)
    lm = {}
    for photos in (0, 8):
        fitted = scorer.with_weights(replace(weights, background_photos=photos))
        lm[photos] = [way.terms["lm"] for way in score_terms(fitted, encoded, table, None, ["lm"])]
    difference = encoded.log_prior[:, 0] - encoded.log_prior[:, 2]
    torch.testing.assert_close(lm[8][1] - lm[0][1], difference[torch.from_numpy(table)], atol=1e-3, rtol=1e-3)
    assert difference.std() > 5e-3
    of_text = (lm[8][0] - lm[0][0]).std(dim=1)
    assert of_text.max() < 2e-4  # the photos of one text keep their order


def test_it_is_loaded_for_fits_that_use_it(scorer, shapes, catalogue, tmp_path, caplog):
    unused, fitted = (
        KaleidoBertScorer(scorer.model, scorer.processor, Ranking(replace(scorer.weights, background_photos=count)))
        for count in (0, 8)
    )
    assert Background.load(unused, shapes) is None
    assert set(Background.load(fitted, shapes).ids) == set(catalogue.ids)
    assert Background.load(fitted, tmp_path) is None and "no background" in caplog.text
