"""What alignment-guided masking promises, whatever the text, the pairs and the seed."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaleidobert.alignment.masking import AlignmentPair, MaskPlan, mask_tokens, plan_masks
from kaleidobert.levels import PUBLISHED, Level, level_slices, patch_count

SIX = (*PUBLISHED, Level(6, "blank", masked=5))
unhurried = settings(deadline=None)  # a busy machine is no bug
PLAIN = [None, *range(20), None]  # twenty words of one token each: a quota of three


@dataclass
class Case:
    """One product to mask."""

    word_ids: list[int | None]
    levels: tuple[Level, ...]
    pairs: list[AlignmentPair]
    masked_patches: np.ndarray | None
    seed: int

    def plan_masks(self) -> MaskPlan:
        rng = np.random.default_rng(self.seed)
        return plan_masks(self.word_ids, self.levels, rng, self.pairs, self.masked_patches)

    def words(self, tokens: np.ndarray) -> set[int]:
        return {word for word, hidden in zip(self.word_ids, tokens, strict=True) if hidden and word is not None}

    @property
    def quota(self) -> int:
        return max(1, round(0.15 * sum(word is not None for word in self.word_ids)))


@st.composite
def cases(draw):
    lengths = draw(st.lists(st.integers(1, 4), max_size=draw(st.sampled_from([4, 16]))))
    words = [word for word, length in enumerate(lengths) for _ in range(length)]
    word_ids = [None, *words, None, *[None] * draw(st.integers(0, 3))]
    levels = draw(st.sampled_from([PUBLISHED, SIX, PUBLISHED[2:], (Level(2, "blank", masked=4),)]))
    # Few words and patches, so that each is in several pairs; words past the last are of a text cut short.
    word = st.integers(0, len(lengths) + 1)
    step = draw(st.sampled_from([1, 3]))
    patch = st.sampled_from(range(0, patch_count(levels), step))
    pairs = draw(st.lists(st.builds(AlignmentPair, word, patch), max_size=60))
    share = draw(st.sampled_from([None, 0.3, 0.9, 1.0]))
    seed = draw(st.integers(0, 2**32 - 1))
    background = None if share is None else np.random.default_rng(seed).random(patch_count(levels)) < share
    return Case(word_ids, levels, pairs, background, seed)


@unhurried
@given(cases())
def test_every_level_hides_exactly_its_quota(case):
    patches = case.plan_masks().patches
    for level, where in zip(case.levels, level_slices(case.levels), strict=True):
        assert patches[where].sum() == level.masked


@unhurried
@given(cases())
def test_of_no_pair_both_sides_are_hidden(case):
    choice = case.plan_masks()
    words = case.words(choice.tokens)
    assert not [pair for pair in case.pairs if pair.word in words and choice.patches[pair.patch]]


@unhurried
@given(cases())
def test_whole_words_are_hidden_and_special_tokens_never(case):
    tokens = case.plan_masks().tokens
    words = case.words(tokens)
    assert tokens.tolist() == [word in words for word in case.word_ids]  # None is in no set of words


@unhurried
@given(cases())
def test_the_token_quota_is_reached_and_passed_by_no_more_than_a_word(case):
    choice = case.plan_masks()
    words = case.words(choice.tokens)
    if choice.tokens.sum() < case.quota:  # then every visible word has a hidden patch to stay visible for
        kept = {pair.word for pair in case.pairs if choice.patches[pair.patch]}
        assert {word for word in case.word_ids if word is not None} - words <= kept
    longest = max((case.word_ids.count(word) for word in words), default=0)
    assert choice.tokens.sum() < case.quota + max(1, longest)


@unhurried
@given(cases())
def test_background_is_hidden_only_where_there_is_too_little_else(case):
    patches = case.plan_masks().patches
    if case.masked_patches is not None:
        for level, where in zip(case.levels, level_slices(case.levels), strict=True):
            if (~case.masked_patches[where]).sum() >= level.masked:
                assert not (patches & case.masked_patches)[where].any()


@unhurried
@given(cases())
def test_the_same_seed_makes_the_same_choice_and_counts_it(case):
    first, second = case.plan_masks(), case.plan_masks()
    assert np.array_equal(first.tokens, second.tokens) and np.array_equal(first.patches, second.patches)
    assert (first.guided, first.drawn) == (second.guided, second.drawn)
    assert first.drawn == len(case.words(first.tokens)) + first.patches.sum()
    assert first.guided <= first.drawn
    if not case.pairs:
        assert first.guided == 0


def test_another_seed_makes_another_choice():
    choices = {Case(PLAIN, PUBLISHED, [], None, seed).plan_masks().patches.tobytes() for seed in range(20)}
    assert len(choices) > 15


def test_a_word_of_several_patches_is_never_hidden_with_one_of_them():
    """Once a word is hidden, all its patches have to stay; its first pair alone does not tell."""
    word_ids = [None, 0, 0, 1, 2, 3, 4, 4, 4, 5, 6, None]
    pairs = [AlignmentPair(number % 7, 5 + number % 9) for number in range(20)]  # two or three pairs a word
    for seed in range(50):
        case = Case(word_ids, PUBLISHED, pairs, None, seed)
        choice = case.plan_masks()
        words = case.words(choice.tokens)
        assert words and not [pair for pair in pairs if choice.patches[pair.patch] and pair.word in words]


def test_a_word_that_owns_a_whole_level_stays_visible():
    pairs = [AlignmentPair(0, patch) for patch in range(5, 14)]
    for seed in range(50):
        choice = Case([None, 0, None], PUBLISHED, pairs, None, seed).plan_masks()
        assert not choice.tokens.any() and choice.patches[5:14].sum() == 1


def test_aligned_pairs_go_first():
    """With pairs enough for every quota nothing is drawn besides them."""
    patches = [*range(5, 9), *range(14, 22), *range(30, 38)]
    pairs = [AlignmentPair(word, patch) for word, patch in enumerate(patches)]
    for seed in range(50):
        case = Case(PLAIN, PUBLISHED, pairs, None, seed)
        choice = case.plan_masks()
        assert choice.guided == choice.drawn == 3 + 6
        assert case.words(choice.tokens) <= {pair.word for pair in pairs}
        assert set(np.flatnonzero(choice.patches)) <= {pair.patch for pair in pairs}


def test_either_side_of_a_pair_is_hidden_about_equally_often():
    sides = []
    for seed in range(400):
        choice = Case(PLAIN, PUBLISHED, [AlignmentPair(7, 40)], None, seed).plan_masks()
        assert choice.guided == 1
        assert choice.tokens[8] != choice.patches[40]
        sides.append(choice.tokens[8])
    assert 0.42 < np.mean(sides) < 0.58


def test_without_pairs_every_word_and_patch_is_hidden_now_and_then():
    choices = [Case(PLAIN, PUBLISHED, [], None, seed).plan_masks() for seed in range(400)]
    words = np.mean([choice.tokens[1:-1] for choice in choices], axis=0)
    patches = np.mean([choice.patches for choice in choices], axis=0)
    assert words == pytest.approx(np.full(20, 0.15), abs=0.07)
    assert patches[:5].max() == 0
    assert patches[5:14] == pytest.approx(np.full(9, 1 / 9), abs=0.07)
    assert patches[30:] == pytest.approx(np.full(25, 3 / 25), abs=0.07)


@pytest.mark.parametrize(("count", "quota"), [(1, 1), (3, 1), (10, 2), (20, 3), (40, 6)])
def test_the_quota_is_15_percent_of_the_tokens_and_one_at_least(count, quota):
    assert Case([None, *range(count), None], PUBLISHED, [], None, 0).plan_masks().tokens.sum() == quota


def test_an_empty_text_hides_patches_only():
    choice = Case([None, None], PUBLISHED, [AlignmentPair(0, 30)], None, 0).plan_masks()
    assert not choice.tokens.any() and choice.patches.sum() == 6 and choice.guided == 0


def test_chosen_tokens_become_mask_random_or_stay_80_10_10():
    mask_id, vocabulary, count = 4, 500, 40_000
    ids = np.random.default_rng(0).integers(mask_id + 1, vocabulary, count)
    chosen = np.random.default_rng(1).random(count) < 0.5
    before = ids.copy()
    hidden = mask_tokens(ids, chosen, mask_id, vocabulary, np.random.default_rng(2))
    assert np.array_equal(ids, before)
    assert np.array_equal(hidden[~chosen], ids[~chosen])
    masked, same = hidden[chosen] == mask_id, hidden[chosen] == ids[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=0.015)
    assert same.mean() == pytest.approx(0.1, abs=0.015)
    others = hidden[chosen][~masked & ~same]
    assert len(others) / chosen.sum() == pytest.approx(0.1, abs=0.015)
    assert others.min() > mask_id and others.max() < vocabulary and len(set(others)) > 400
    assert np.array_equal(hidden, mask_tokens(ids, chosen, mask_id, vocabulary, np.random.default_rng(2)))
