import math

import pytest
import torch

from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.model import KaleidoBertForRetrieval
from kaleidobert.scoring.layout_memory import (
    DOUBT,
    LAYOUT_SHARPNESS,
    LEAST_ROWS,
    TEXT_SHARPNESS,
    LayoutMemory,
    Neighbours,
    layout_slice,
    whitening,
)

ROWS, LAYOUT, VOCABULARY, PADDING = 40, 12, 20, 0
TEXTS = torch.tensor(
    [[1, 5, 6, 2, 0], [1, 7, 6, 2, 0], [1, 8, 8, 9, 2]] + [[1, 10 + row % 7, 2, 0, 0] for row in range(37)]
)


def layouts(count: int = ROWS, seed: int = 0) -> torch.Tensor:
    """Of very unlike spreads, and not about zero."""
    drawn = torch.randn(count, LAYOUT, generator=torch.Generator().manual_seed(seed))
    return 3 + drawn * torch.logspace(0, -2, LAYOUT)


@pytest.fixture
def memory() -> LayoutMemory:
    memory = LayoutMemory(0, LAYOUT, 0, 0, VOCABULARY, PADDING)
    memory.fill(layouts(), TEXTS)
    return memory


def cosine(one: list[int], other: list[int]) -> float:
    """Of two texts as bags of distinct tokens, by a second route."""
    bags = [set(text) - {PADDING} for text in TEXTS.tolist()]
    idf = {token: math.log(len(bags) / max(1, sum(token in bag for bag in bags))) for token in range(VOCABULARY)}
    left, right = set(one) - {PADDING}, set(other) - {PADDING}
    norms = [math.sqrt(sum(idf[token] ** 2 for token in bag)) for bag in (left, right)]
    return sum(idf[token] ** 2 for token in left & right) / (norms[0] * norms[1])


def test_an_empty_memory_recalls_nothing_and_is_not_saved():
    empty = LayoutMemory(0, LAYOUT, 0, 0, VOCABULARY, PADDING)
    assert empty.recall(layouts(3), 2) is None and not empty.state_dict()
    assert torch.equal(empty.commonness(TEXTS), torch.zeros(ROWS))


def test_a_look_is_taken_from_the_level_nearest_to_three_by_three():
    assert layout_slice(PUBLISHED) == slice(5, 14)
    assert layout_slice([Level(1), Level(5), Level(4)]) == slice(26, 42)
    assert layout_slice([Level(1)]) == slice(0, 1)


def test_whitening_gives_every_direction_the_same_say():
    """The weak directions, too, of which there are no more than photos can tell."""
    many = layouts(2000)
    mean, basis = whitening(many)
    assert basis.shape == (LAYOUT, LAYOUT)
    torch.testing.assert_close(torch.cov(((many - mean) @ basis).T), torch.eye(LAYOUT), atol=2e-2, rtol=0)
    assert whitening(many[:40])[1].shape == (LAYOUT, 40 // LEAST_ROWS)


def test_a_photo_reminds_of_those_that_look_alike(memory):
    """By a second route, pair by pair; itself first, and no more than there are."""
    recalled = memory.recall(layouts(), 3)
    assert torch.equal(recalled.rows[:, 0], torch.arange(ROWS))
    whitened = [(memory.basis.T @ (layout - layouts().mean(dim=0))).tolist() for layout in layouts()]
    likeness = torch.tensor(
        [[sum(map(float.__mul__, a, b)) / (math.hypot(*a) * math.hypot(*b)) for b in whitened] for a in whitened]
    )
    best = likeness[5].topk(3)
    assert recalled.rows[5].tolist() == best.indices.tolist()
    torch.testing.assert_close(recalled.shares[5], (LAYOUT_SHARPNESS * best.values).softmax(dim=0), atol=2e-2, rtol=0)
    assert memory.recall(layouts(4, seed=1), 99).rows.shape == (4, ROWS)


def test_words_are_as_likely_as_they_follow_in_the_texts_of_neighbours(memory):
    """Two neighbours say 1 5 6 2 and 1 7 6 2, padded with 0; the first has three fifths of the say."""
    recalled = Neighbours(torch.tensor([[0, 1]]), torch.tensor([[0.6, 0.4]]))
    (odds,) = memory.words(torch.tensor([[1, 5, 6, 7, 2]]), recalled).tolist()
    assert odds[:2] == pytest.approx([0.6 / (1 + DOUBT), 0.6 / (0.6 + DOUBT)])
    assert odds[2] == 0  # 7 never follows 6
    assert odds[3] == 0  # nor 2 a 7


def test_a_text_agrees_with_a_photo_by_the_rare_words_that_it_shares(memory):
    """Both terms by a second route: a token that all texts have counts nothing, a repeated one once, padding never."""
    ids = torch.tensor([[1, 8, 6, 2, 0, 0], [1, 11, 2, 0, 0, 0], [1, 8, 8, 9, 2, 0]])
    recalled = Neighbours(torch.tensor([[0, 2], [1, 2], [2, 1]]), torch.tensor([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1]]))
    alike = [
        [cosine(text, TEXTS[row].tolist()) for row in rows]
        for text, rows in zip(ids.tolist(), recalled.rows, strict=True)
    ]
    assert alike[2][0] == pytest.approx(1) and alike[1] == [0, 0]
    expected = [
        math.log(sum(float(share) * math.exp(TEXT_SHARPNESS * each) for share, each in zip(shares, row, strict=True)))
        for shares, row in zip(recalled.shares, alike, strict=True)
    ]
    assert memory.neighbour_text_pmi(ids, recalled).tolist() == pytest.approx(expected, abs=2e-2)
    common = [
        math.log(sum(math.exp(TEXT_SHARPNESS * cosine(text, other)) for other in TEXTS.tolist()) / ROWS)
        for text in ids.tolist()
    ]
    assert memory.commonness(ids).tolist() == pytest.approx(common, abs=2e-2)


@pytest.fixture
def reminded(tiny_config, make_batch):
    """A model that remembers its own batch, the batch, and its photos' patches."""
    torch.manual_seed(0)
    model = KaleidoBertForRetrieval(tiny_config(joint_scorer="reading", layout_neighbours=1, mirror=False)).eval()
    batch = make_batch(model.config, products=32)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    with torch.no_grad():
        image, text = model.kaleidobert.encode_image(batch["pixel_values"]), model.encode_text(ids, mask)
        plain = model.joint_scores(ids, mask, image.patches)
        tokens = ids.masked_fill(mask == 0, model.config.encoder_config.pad_token_id)
        model.remember(image.vectors, text.vectors, model.layouts(image.patches), tokens)
        assert torch.equal(model.joint_scores(ids, mask, image.patches), plain)  # weights of 0
    return model, tokens, mask, image.patches


def test_what_a_photo_reminds_of_makes_its_own_text_likelier(reminded):
    model, ids, mask, patches = reminded
    with torch.no_grad():
        recalled, which = model.recall(patches), torch.arange(len(ids)).flip(0)
        read = model.caption_log_likelihood(ids, mask, patches, None, recalled, (0.0, 0.3, 0.6))
        assert (read.diff(dim=1) > 0).all()
        others = model.caption_log_likelihood(ids, mask, patches[which], None, model.recall(patches[which]), (0.6,))
        same = model.caption_log_likelihood(ids, mask, patches, which, model.recall(patches, which), (0.6,))
        torch.testing.assert_close(same, others)
        assert (others < read[:, 2:]).sum() > len(ids) / 2
        model.config.neighbour_word_weight = 0.3
        own = model.joint_scores(ids, mask, patches)
        torch.testing.assert_close(own, read[:, 1] - model.text_log_prior(ids, mask)[:, 0])


@pytest.mark.parametrize("scorer", ["matching", "reading"])
def test_agreement_is_added_to_the_score_and_a_loaded_model_has_it(reminded, scorer, tmp_path):
    model, ids, mask, patches = reminded
    model.config.joint_scorer = scorer
    with torch.no_grad():
        plain, recalled = model.joint_scores(ids, mask, patches), model.recall(patches)
        agreed = model.looks.neighbour_text_pmi(ids, recalled) - model.looks.commonness(ids)
        assert agreed.min() >= 0 and agreed.max() > 1
        model.config.neighbour_pmi_weight = 0.5
        scores = model.joint_scores(ids, mask, patches)
        torch.testing.assert_close(scores, plain + 0.5 * agreed)
    model.save_pretrained(tmp_path)
    loaded = KaleidoBertForRetrieval.from_pretrained(tmp_path).eval()
    assert (loaded.config.memory_looks, loaded.config.memory_tokens) == (model.looks.basis.shape[1], ids.shape[1])
    with torch.no_grad():
        torch.testing.assert_close(loaded.joint_scores(ids, mask, patches), scores, atol=2e-2, rtol=1e-3)
