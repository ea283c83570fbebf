"""Listwise ITM and PMI: which candidates a batch has, what their lists cost, and the photos that are encoded once."""

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.errors import InputError
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.model.candidates import Candidates, candidates
from kaleidobert.model.distributed import WHOLE_BATCH
from kaleidobert.model.losses import also_fitting
from kaleidobert.model.objectives import Objectives

GROUPS = torch.tensor([0, 1, 2, 2, 4])  # products 2 and 3 have equal texts
SIMILARITY = torch.tensor(
    [
        [9.0, 1, 2, 3, 4],
        [4, 9, 3, 2, 1],
        [1.5, 2.5, 9, 8, 4],
        [1, 2, 8, 9, 4],
        [5, 6, 7, 8, 9],
    ]
)  # row: image


@pytest.fixture(params=[0, 1], ids=["single stream", "fusion layer 1"])
def model(request, tiny_config):
    torch.manual_seed(0)
    config = tiny_config(fusion_layer=request.param, itm_prefix=True, image_layers=0)
    model = KaleidoBertForRetrieval(config, Objectives(candidates=3)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 60, (5, 7), generator=generator)
    mask = (torch.arange(7) < torch.tensor([[7], [5], [3], [3], [6]])).long()
    ids[3, :3] = ids[2, :3]
    return {
        "pixel_values": torch.rand(5, 3, 40, 40, generator=generator),
        "input_ids": ids * mask,
        "attention_mask": mask,
        "text_group": GROUPS,
        "negative_draws": torch.rand(2, 4, generator=generator),
        "text_only": torch.zeros(5, dtype=torch.bool),
    }


def test_candidates_are_the_most_similar_of_other_texts():
    found = candidates(SIMILARITY, also_fitting(GROUPS), count=4, others=2)
    assert found.products.tolist() == [0, 1, 2, 3]
    # photos by column of the text, texts by row of the photo
    assert [sorted(row) for row in found.photos.tolist()] == [[1, 4], [2, 4], [1, 4], [0, 4]]
    assert [sorted(row) for row in found.texts.tolist()] == [[3, 4], [0, 2], [1, 4], [1, 4]]
    assert found.photo_count.tolist() == found.text_count.tolist() == [2, 2, 2, 2]
    texts, photos = found.pairs()
    assert texts[:4].tolist() == photos[:4].tolist() == [0, 1, 2, 3] and len(texts) == 4 * (1 + 2 + 2)


def test_equal_texts_are_no_candidates_even_where_others_are_few():
    found = candidates(SIMILARITY[2:4, 2:4], also_fitting(GROUPS[2:4]), count=2, others=2)
    assert found.photo_count.tolist() == found.text_count.tolist() == [0, 0]
    loss, _ = found.loss(torch.randn(len(found.pairs()[0])), None, WHOLE_BATCH)
    assert loss.item() == 0  # a list of one


def test_what_a_short_query_fits_is_no_candidate_of_it_but_of_others():
    also_fit = torch.zeros(5, 5, dtype=torch.bool)
    also_fit[0, 1] = True  # text 0 fits product 1, but text 1 not product 0
    found = candidates(SIMILARITY, also_fit, count=5, others=4)
    assert 1 not in found.photos[0, : found.photo_count[0]] and 0 in found.photos[1]
    assert 0 not in found.texts[1, : found.text_count[1]] and 1 in found.texts[0]


def test_the_loss_is_the_cross_entropy_of_both_lists():
    found = Candidates(
        torch.tensor([0, 1]),
        torch.tensor([[1], [0]]),
        torch.tensor([1, 1]),
        torch.tensor([[1], [0]]),
        torch.tensor([1, 1]),
    )
    scores, bias = torch.tensor([2.0, 1, 0.5, 0, -1, 3]), torch.tensor([1.0, 0, 1, 0, 0, 1])
    loss, first = found.loss(scores, bias, WHOLE_BATCH)
    photos = F.cross_entropy(torch.tensor([[2.0, 0.5], [1, 0]]), torch.zeros(2, dtype=torch.long))
    texts = F.cross_entropy(torch.tensor([[1.0, -1], [1, 2]]), torch.zeros(2, dtype=torch.long))
    assert loss.item() == pytest.approx((photos + texts).item() / 2)
    assert first.item() == pytest.approx(3 / 4)


def test_a_constant_score_is_never_first():
    found = candidates(SIMILARITY, also_fitting(GROUPS), count=4, others=2)
    loss, first = found.loss(torch.zeros(len(found.pairs()[0])), None, WHOLE_BATCH)
    assert first.item() == 0 and loss.item() == pytest.approx(torch.tensor(3.0).log().item())


def test_photos_encoded_once_give_the_scores_of_pairs_one_by_one(model, batch):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    states = model.get_image_features(batch["pixel_values"]).patch_states
    photos = torch.tensor([4, 4, 0, 1, 2])
    together = model.itm_logits(ids, mask, states, photos)
    alone = [model.itm_logits(ids[i : i + 1], mask[i : i + 1], states[photos[i]][None]) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.std() > 1e-3
    own = model(**{name: batch[name] for name in ("pixel_values", "input_ids", "attention_mask")}).itm_logits
    torch.testing.assert_close(own, model.itm_logits(ids, mask, states))


def test_padding_changes_no_score(model, batch):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    states = model.get_image_features(batch["pixel_values"]).patch_states
    longer, seen = F.pad(ids, (0, 4), value=7), F.pad(mask, (0, 4))
    torch.testing.assert_close(model.itm_logits(longer, seen, states), model.itm_logits(ids, mask, states))
    cache, rows = model.kaleidobert.encode_prefix(states), torch.arange(5)
    torch.testing.assert_close(
        model.pair_log_likelihoods(longer, seen, cache, rows, rows),
        model.pair_log_likelihoods(ids, mask, cache, rows, rows),
    )


def test_pairs_have_the_likelihoods_of_captions(model, batch):
    ids, mask = batch["input_ids"], batch["attention_mask"]
    cache = model.kaleidobert.encode_prefix(model.get_image_features(batch["pixel_values"]).patch_states)
    texts, photos = torch.tensor([0, 0, 1, 4, 2]), torch.tensor([3, 0, 0, 1, 2])
    pairs = model.pair_log_likelihoods(ids, mask, cache, texts, photos)
    expected = model.token_log_likelihoods(ids[texts], mask[texts], cache.rows(photos)).sum(dim=1)
    torch.testing.assert_close(pairs, expected)
    assert pairs[0] != pairs[1]


def test_training_on_lists_learns_to_rank_them(model, batch):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    history = []
    for _ in range(30):
        output = model(**batch)
        assert {"ITM", "PMI", "LM", "contrastive"} == set(output.losses)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        history.append(output.losses["PMI"].item())
    assert history[-1] < 0.3 * history[0]
    assert output.accuracies["PMI"].item() == 1


def test_without_the_prefix_itm_stays_binary(tiny_config, batch):
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=1), Objectives(candidates=3))
    assert not model.lists_itm and model.ranks_lists
    losses = model.train()(**batch).losses
    assert 0.3 < losses["ITM"].item() < 1.2  # near log 2


def test_lists_alone_are_something_to_train():
    weights = {"contrastive": 0, "ITM": 0, "LM": 0, "AMLM": 0}
    Objectives(weights, candidates=3).check_batches(("AMLM", "ITM", "LM"), joint_from=0, joint_samples=2)
    with pytest.raises(InputError, match="nothing to train"):
        Objectives(weights).check_batches(("AMLM", "ITM", "LM"), joint_from=0, joint_samples=2)


@pytest.mark.parametrize("count", [-1, 1])
def test_impossible_numbers_of_candidates_are_refused(count):
    with pytest.raises(InputError, match=f"objectives.candidates is {count}"):
        Objectives(candidates=count)


@pytest.mark.parametrize("residual", [False, True])
def test_residual_lists_start_from_the_embeddings(tiny_config, batch, residual):
    """With a logit of 0, they rank as the cosine does; into the embeddings no gradient flows."""
    torch.manual_seed(0)
    objectives = Objectives({"contrastive": 0, "LM": 0, "PMI": 0}, candidates=3, residual=residual, listed_products=4)
    model = KaleidoBertForRetrieval(tiny_config(fusion_layer=1, itm_prefix=True, image_layers=0), objectives).eval()
    for parameter in model.itm_head.score.parameters():
        torch.nn.init.zeros_(parameter)
    output = model(**batch)
    with torch.no_grad():
        images = model.get_image_features(batch["pixel_values"]).image_embeds
        texts = model.get_text_features(batch["input_ids"], batch["attention_mask"]).text_embeds
        similarity = model.scale() * images @ texts.T
        lists = candidates(similarity, also_fitting(GROUPS), count=4, others=2)
        text, photo = lists.pairs()
        expected, first = lists.loss(similarity[photo, text], None, WHOLE_BATCH)
    flat = lists.loss(torch.zeros(len(text)), None, WHOLE_BATCH)[0]
    torch.testing.assert_close(output.losses["ITM"], expected if residual else flat, rtol=1e-4, atol=1e-4)
    assert output.accuracies["ITM_vectors"] == first
    output.loss.backward()
    assert model.itm_head.score.weight.grad.abs().sum() > 0
    for name in ("image_projection", "text_projection"):
        weight = getattr(model.kaleidobert, name).weight
        assert weight.grad is None or not weight.grad.any()


def test_the_first_products_have_lists(tiny_config, batch):
    config = tiny_config(fusion_layer=1, itm_prefix=True, image_layers=0)
    losses = []
    for count in (2, 5, 32):
        torch.manual_seed(0)
        model = KaleidoBertForRetrieval(config, Objectives(candidates=3, listed_products=count)).eval()
        losses.append(model(**batch).losses["ITM"].item())
    assert losses[0] != losses[1] == losses[2]
    with pytest.raises(InputError, match="objectives.listed_products is 1"):
        Objectives(listed_products=1)
