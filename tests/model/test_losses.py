import math

import pytest
import torch
from torch.nn import functional as F

from kaleidobert.model.losses import (
    NEAREST,
    RANDOM,
    SAME_SUBCATEGORY,
    also_fitting,
    contrastive_loss,
    draw_negatives,
    feature_divergence,
    masked_token_loss,
    matching_loss,
)


def softmax_loss(row: list[float], partner: int) -> float:
    return math.log(sum(map(math.exp, row))) - row[partner]


def test_contrastive_loss_by_hand():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    texts = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    # rows are texts, columns images, times the scale of 2
    table = [[1.2, 1.6], [0.0, 2.0]]
    of_texts = softmax_loss(table[0], 0) + softmax_loss(table[1], 1)
    of_images = softmax_loss([1.2, 0.0], 0) + softmax_loss([1.6, 2.0], 1)
    loss = contrastive_loss(images, texts, torch.tensor(2.0), also_fitting(torch.tensor([0, 1])))
    assert loss.item() == pytest.approx((of_texts + of_images) / 4)


def test_equal_texts_are_neither_negatives_nor_positives():
    vectors = F.normalize(torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    images, texts = vectors
    scale = torch.tensor(5.0)
    table = (scale * texts @ images.T).tolist()
    # products 0 and 2 share a text: each meets product 1 alone
    rows = [[table[0][0], table[0][1]], table[1], [table[2][2], table[2][1]]]
    columns = [[table[0][0], table[1][0]], [row[1] for row in table], [table[2][2], table[1][2]]]
    own = [0, 1, 0]
    expected = sum(softmax_loss(row, i) for row, i in zip(rows + columns, own + own, strict=True)) / 6
    loss = contrastive_loss(images, texts, scale, also_fitting(torch.tensor([7, 3, 7])))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_one_text_has_nothing_to_contrast():
    images = F.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=-1).requires_grad_()
    loss = contrastive_loss(images, images.detach(), torch.tensor(9.0), also_fitting(torch.tensor([1, 1, 1])))
    loss.backward()
    assert loss.item() == pytest.approx(0)
    assert images.grad is not None and torch.isfinite(images.grad).all()


def test_the_product_itself_is_no_other_that_its_text_fits():
    assert also_fitting(torch.tensor([4, 4, 1])).tolist() == [
        [False, True, False],
        [True, False, False],
        [False, False, False],
    ]


def test_a_short_query_fits_all_products_with_its_facts():
    facts = torch.tensor([[1, 5], [1, 6], [2, 5], [-1, 5]])  # colour, type; the last has no colour
    asked = torch.tensor([[-1, 5], [1, 6], [2, -1], [-1, -1]])
    fit = also_fitting(torch.tensor([0, 1, 2, 2]), facts, asked)
    assert [row.nonzero().flatten().tolist() for row in fit] == [[2, 3], [], [3], [2]]  # 2 and 3 have equal texts


def test_masked_token_and_matching_losses_by_hand():
    assert masked_token_loss(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([2])).item() == pytest.approx(
        softmax_loss([0, 0, 3], 2)
    )
    assert masked_token_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).item() == 0
    loss = matching_loss(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2)


def test_feature_divergence_is_zero_only_for_equal_logits_and_grows():
    features = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    losses = [feature_divergence(features + step * noise, features, 1.0).item() for step in (0, 0.5, 1, 2)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses == sorted(losses) and losses[1] > 0.01
    assert feature_divergence(features + 3, features, 1.0).item() == pytest.approx(0, abs=1e-6)  # softmax shifts


def test_feature_divergence_by_hand():
    target, predicted = [1 / 4, 3 / 4], [1 / 2, 1 / 2]
    expected = sum(p * math.log(p / q) for p, q in zip(target, predicted, strict=True))
    features = torch.tensor([[0.0, math.log(3)]])
    assert feature_divergence(torch.zeros(1, 2), features, 1.0).item() == pytest.approx(expected)
    assert feature_divergence(torch.zeros(1, 2), 2 * features, 2.0).item() == pytest.approx(expected)
    twice = feature_divergence(torch.zeros(2, 2), features.expand(2, 2), 1.0)
    assert twice.item() == pytest.approx(expected)  # a mean over patches, not a sum


def test_no_gradient_flows_into_the_features():
    features = torch.randn(2, 4, requires_grad=True)
    predicted = torch.randn(2, 4, requires_grad=True)
    feature_divergence(predicted, features, 1.0).backward()
    assert features.grad is None
    assert predicted.grad is not None and predicted.grad.abs().sum() > 0


@pytest.mark.parametrize("hard", [NEAREST, RANDOM])
def test_negatives_are_never_forbidden(hard):
    numbers = torch.Generator().manual_seed(0)
    forbidden = torch.rand(400, 9, generator=numbers) < 0.7
    forbidden[forbidden.all(dim=1), 4] = False
    similarity = 100 * torch.randn(400, 9, generator=numbers)
    for draw in (0.0, 0.3, 1 - 2**-24):  # the smallest and the largest number a float32 draw can be, too
        chosen = draw_negatives(similarity, forbidden, torch.full((400,), draw), hard)
        assert not forbidden[torch.arange(400), chosen].any()


def test_hard_negatives_prefer_the_similar_and_others_are_alike():
    draws = torch.arange(4000) / 4000
    similarity = torch.tensor([[9.0, math.log(6), math.log(3), 0.0]]).expand(4000, 4)
    forbidden = torch.tensor([[True, False, False, False]]).expand(4000, 4)
    hard = draw_negatives(similarity, forbidden, draws, NEAREST).bincount(minlength=4) / 4000
    alike = draw_negatives(similarity, forbidden, draws, RANDOM).bincount(minlength=4) / 4000
    assert hard.tolist() == pytest.approx([0, 0.6, 0.3, 0.1], abs=0.002)
    assert alike.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.002)


def test_negatives_of_the_same_sub_category_where_there_are_any():
    draws = torch.arange(4000) / 4000
    similarity = torch.zeros(4000, 4)
    forbidden = torch.tensor([True, False, False, False]).expand(4000, 4)
    unlike = torch.tensor([False, True, False, False]).expand(4000, 4)
    shares = draw_negatives(similarity, forbidden, draws, SAME_SUBCATEGORY, unlike).bincount(minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0, 0, 1 / 2, 1 / 2], abs=0.002)
    alone = torch.ones(4000, 4, dtype=torch.bool)
    shares = draw_negatives(similarity, forbidden, draws, SAME_SUBCATEGORY, alone).bincount(minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.002)
