import math

import pytest
import torch

from kaleidobert.levels import PUBLISHED, Level
from kaleidobert.scoring.layout_memory import (
    LAYOUT_SHARPNESS,
    MIN_ROWS,
    SMOOTHING,
    TEXT_SHARPNESS,
    LayoutMemory,
    Neighbours,
    whitening,
)
from kaleidobert.scoring.layouts import layout_slice

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
    return LayoutMemory.build(layouts(), TEXTS, VOCABULARY, PADDING)


def cosine(one: list[int], other: list[int]) -> float:
    """Of two texts as bags of distinct tokens, by a second route."""
    bags = [set(text) - {PADDING} for text in TEXTS.tolist()]
    idf = {token: math.log(len(bags) / max(1, sum(token in bag for bag in bags))) for token in range(VOCABULARY)}
    left, right = set(one) - {PADDING}, set(other) - {PADDING}
    norms = [math.sqrt(sum(idf[token] ** 2 for token in bag)) for bag in (left, right)]
    return sum(idf[token] ** 2 for token in left & right) / (norms[0] * norms[1])


def test_a_layout_is_taken_from_the_level_nearest_to_three_by_three():
    assert layout_slice(PUBLISHED) == slice(5, 14)
    assert layout_slice([Level(1), Level(5), Level(4)]) == slice(26, 42)
    assert layout_slice([Level(1)]) == slice(0, 1)


def test_whitening_gives_every_direction_the_same_say():
    """The weak directions, too, of which there are no more than photos can tell."""
    many = layouts(2000)
    mean, basis = whitening(many)
    assert basis.shape == (LAYOUT, LAYOUT)
    torch.testing.assert_close(torch.cov(((many - mean) @ basis).T), torch.eye(LAYOUT), atol=2e-2, rtol=0)
    assert whitening(many[:40])[1].shape == (LAYOUT, 40 // MIN_ROWS)


def test_the_nearest_layouts_are_found(memory):
    """By a second route, pair by pair; itself first, and no more than there are."""
    neighbours = memory.nearest(layouts(), 3)
    assert torch.equal(neighbours.rows[:, 0], torch.arange(ROWS))
    whitened = [(memory.basis.T @ (layout - layouts().mean(dim=0))).tolist() for layout in layouts()]
    likeness = torch.tensor(
        [[sum(map(float.__mul__, a, b)) / (math.hypot(*a) * math.hypot(*b)) for b in whitened] for a in whitened]
    )
    best = likeness[5].topk(3)
    assert neighbours.rows[5].tolist() == best.indices.tolist()
    torch.testing.assert_close(neighbours.shares[5], (LAYOUT_SHARPNESS * best.values).softmax(dim=0), atol=2e-2, rtol=0)
    assert memory.nearest(layouts(4, seed=1), 99).rows.shape == (4, ROWS)


def test_a_word_is_as_likely_as_it_follows_in_the_neighbours_texts(memory):
    """Two neighbours say 1 5 6 2 and 1 7 6 2, padded with 0; the first has three fifths of the say."""
    neighbours = Neighbours(torch.tensor([[0, 1]]), torch.tensor([[0.6, 0.4]]))
    (odds,) = memory.word_probabilities(torch.tensor([[1, 5, 6, 7, 2]]), neighbours).tolist()
    assert odds[:2] == pytest.approx([0.6 / (1 + SMOOTHING), 0.6 / (0.6 + SMOOTHING)])
    assert odds[2] == 0  # 7 never follows 6
    assert odds[3] == 0  # nor 2 a 7


def test_the_pmi_counts_the_rare_words_that_a_text_shares_with_neighbours(memory):
    """Both terms by a second route: a token that all texts have counts nothing, a repeated one once, padding never."""
    ids = torch.tensor([[1, 8, 6, 2, 0, 0], [1, 11, 2, 0, 0, 0], [1, 8, 8, 9, 2, 0]])
    neighbours = Neighbours(torch.tensor([[0, 2], [1, 2], [2, 1]]), torch.tensor([[0.7, 0.3], [0.5, 0.5], [0.9, 0.1]]))
    alike = [
        [cosine(text, TEXTS[row].tolist()) for row in rows]
        for text, rows in zip(ids.tolist(), neighbours.rows, strict=True)
    ]
    assert alike[2][0] == pytest.approx(1) and alike[1] == [0, 0]
    expected = [
        math.log(sum(float(share) * math.exp(TEXT_SHARPNESS * each) for share, each in zip(shares, row, strict=True)))
        for shares, row in zip(neighbours.shares, alike, strict=True)
    ]
    assert memory.neighbour_text_pmi(ids, neighbours).tolist() == pytest.approx(expected, abs=2e-2)
    common = [
        math.log(sum(math.exp(TEXT_SHARPNESS * cosine(text, other)) for other in TEXTS.tolist()) / ROWS)
        for text in ids.tolist()
    ]
    assert memory.text_density(ids).tolist() == pytest.approx(common, abs=2e-2)
