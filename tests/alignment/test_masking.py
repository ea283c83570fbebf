"""Properties of alignment-guided masking for any text, pairs and seed."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaleidobert.alignment.masking import (
    AlignmentPair,
    MaskPlan,
    TokenMasking,
    mask_tokens,
    ordinary_tokens,
    plan_masks,
)
from kaleidobert.errors import InputError
from kaleidobert.levels import PUBLISHED, Level, level_slices, patch_count

SIX = (*PUBLISHED, Level(6, "blank", masked=5))
no_deadline = settings(deadline=None)  # machines may be busy
PLAIN = [None, *range(20), None]  # twenty words of one token each: a quota of three


@dataclass
class Case:
    """One product to mask."""

    word_ids: list[int | None]
    levels: tuple[Level, ...]
    pairs: list[AlignmentPair]
    excluded_patches: np.ndarray | None
    seed: int

    def plan_masks(self) -> MaskPlan:
        rng = np.random.default_rng(self.seed)
        return plan_masks(self.word_ids, self.levels, rng, self.pairs, self.excluded_patches)

    def words(self, tokens: np.ndarray) -> set[int]:
        return {word for word, masked in zip(self.word_ids, tokens, strict=True) if masked and word is not None}

    @property
    def quota(self) -> int:
        return max(1, round(0.15 * sum(word is not None for word in self.word_ids)))


@st.composite
def cases(draw):
    lengths = draw(st.lists(st.integers(1, 4), max_size=draw(st.sampled_from([4, 16]))))
    words = [word for word, length in enumerate(lengths) for _ in range(length)]
    word_ids = [None, *words, None, *[None] * draw(st.integers(0, 3))]
    levels = draw(st.sampled_from([PUBLISHED, SIX, PUBLISHED[2:], (Level(2, "blank", masked=4),)]))
    # Few words and patches, so that each is in several pairs; words past the last belong to a truncated text.
    word = st.integers(0, len(lengths) + 1)
    step = draw(st.sampled_from([1, 3]))
    patch = st.sampled_from(range(0, patch_count(levels), step))
    pairs = draw(st.lists(st.builds(AlignmentPair, word, patch), max_size=60))
    share = draw(st.sampled_from([None, 0.3, 0.9, 1.0]))
    seed = draw(st.integers(0, 2**32 - 1))
    excluded = None if share is None else np.random.default_rng(seed).random(patch_count(levels)) < share
    return Case(word_ids, levels, pairs, excluded, seed)


@no_deadline
@given(cases())
def test_every_level_masks_exactly_its_quota(case):
    patches = case.plan_masks().patches
    for level, where in zip(case.levels, level_slices(case.levels), strict=True):
        assert patches[where].sum() == level.masked


@no_deadline
@given(cases())
def test_never_both_sides_of_a_pair_are_masked(case):
    plan = case.plan_masks()
    words = case.words(plan.tokens)
    assert not [pair for pair in case.pairs if pair.word in words and plan.patches[pair.patch]]


@no_deadline
@given(cases())
def test_words_are_masked_whole_and_special_tokens_never(case):
    tokens = case.plan_masks().tokens
    words = case.words(tokens)
    assert tokens.tolist() == [word in words for word in case.word_ids]  # None is in no set of words


@no_deadline
@given(cases())
def test_the_token_quota_is_met_and_exceeded_by_less_than_a_word(case):
    plan = case.plan_masks()
    words = case.words(plan.tokens)
    if plan.tokens.sum() < case.quota:  # then every unmasked word has a masked patch
        kept = {pair.word for pair in case.pairs if plan.patches[pair.patch]}
        assert {word for word in case.word_ids if word is not None} - words <= kept
    longest = max((case.word_ids.count(word) for word in words), default=0)
    assert plan.tokens.sum() < case.quota + max(1, longest)


@no_deadline
@given(cases())
def test_excluded_patches_are_masked_only_if_there_are_too_few_others(case):
    patches = case.plan_masks().patches
    if case.excluded_patches is not None:
        for level, where in zip(case.levels, level_slices(case.levels), strict=True):
            if (~case.excluded_patches[where]).sum() >= level.masked:
                assert not (patches & case.excluded_patches)[where].any()


@no_deadline
@given(cases())
def test_the_same_seed_gives_the_same_plan_and_counts_it(case):
    first, second = case.plan_masks(), case.plan_masks()
    assert np.array_equal(first.tokens, second.tokens) and np.array_equal(first.patches, second.patches)
    assert (first.guided, first.drawn) == (second.guided, second.drawn)
    assert first.drawn == len(case.words(first.tokens)) + first.patches.sum()
    assert first.guided <= first.drawn
    if not case.pairs:
        assert first.guided == 0


def test_another_seed_gives_another_plan():
    plans = {Case(PLAIN, PUBLISHED, [], None, seed).plan_masks().patches.tobytes() for seed in range(20)}
    assert len(plans) > 15


def test_a_word_with_several_patches_is_never_masked_together_with_one_of_them():
    """Once a word is masked, all its patches must stay visible, not only that of its first pair."""
    word_ids = [None, 0, 0, 1, 2, 3, 4, 4, 4, 5, 6, None]
    pairs = [AlignmentPair(number % 7, 5 + number % 9) for number in range(20)]  # two or three pairs a word
    for seed in range(50):
        case = Case(word_ids, PUBLISHED, pairs, None, seed)
        plan = case.plan_masks()
        words = case.words(plan.tokens)
        assert words and not [pair for pair in pairs if plan.patches[pair.patch] and pair.word in words]


def test_a_word_aligned_with_a_whole_level_is_not_masked():
    pairs = [AlignmentPair(0, patch) for patch in range(5, 14)]
    for seed in range(50):
        plan = Case([None, 0, None], PUBLISHED, pairs, None, seed).plan_masks()
        assert not plan.tokens.any() and plan.patches[5:14].sum() == 1


def test_aligned_pairs_come_first():
    """If there are enough pairs for every quota, nothing else is drawn."""
    patches = [*range(5, 9), *range(14, 22), *range(30, 38)]
    pairs = [AlignmentPair(word, patch) for word, patch in enumerate(patches)]
    for seed in range(50):
        case = Case(PLAIN, PUBLISHED, pairs, None, seed)
        plan = case.plan_masks()
        assert plan.guided == plan.drawn == 3 + 6
        assert case.words(plan.tokens) <= {pair.word for pair in pairs}
        assert set(np.flatnonzero(plan.patches)) <= {pair.patch for pair in pairs}


def test_either_side_of_a_pair_is_masked_equally_often():
    sides = []
    for seed in range(400):
        plan = Case(PLAIN, PUBLISHED, [AlignmentPair(7, 40)], None, seed).plan_masks()
        assert plan.guided == 1
        assert plan.tokens[8] != plan.patches[40]
        sides.append(plan.tokens[8])
    assert 0.42 < np.mean(sides) < 0.58


def test_without_pairs_every_word_and_patch_is_equally_likely():
    plans = [Case(PLAIN, PUBLISHED, [], None, seed).plan_masks() for seed in range(400)]
    words = np.mean([plan.tokens[1:-1] for plan in plans], axis=0)
    patches = np.mean([plan.patches for plan in plans], axis=0)
    assert words == pytest.approx(np.full(20, 0.15), abs=0.07)
    assert patches[:5].max() == 0
    assert patches[5:14] == pytest.approx(np.full(9, 1 / 9), abs=0.07)
    assert patches[30:] == pytest.approx(np.full(25, 3 / 25), abs=0.07)


@pytest.mark.parametrize(("count", "quota"), [(1, 1), (3, 1), (10, 2), (20, 3), (40, 6)])
def test_the_quota_is_15_percent_of_the_tokens_and_at_least_one(count, quota):
    assert Case([None, *range(count), None], PUBLISHED, [], None, 0).plan_masks().tokens.sum() == quota


def test_of_an_empty_text_only_patches_are_masked():
    plan = Case([None, None], PUBLISHED, [AlignmentPair(0, 30)], None, 0).plan_masks()
    assert not plan.tokens.any() and plan.patches.sum() == 6 and plan.guided == 0


def test_chosen_tokens_become_mask_random_or_stay_80_10_10():
    mask_id, blank_id, count = 4, 0, 40_000
    pool = np.arange(5, 500)
    ids = np.random.default_rng(0).choice(pool, count)
    chosen = np.random.default_rng(1).random(count) < 0.5
    before = ids.copy()
    masked = mask_tokens(ids, chosen, mask_id, blank_id, pool, np.random.default_rng(2))
    assert np.array_equal(ids, before)
    assert np.array_equal(masked[~chosen], ids[~chosen])
    is_mask, same = masked[chosen] == mask_id, masked[chosen] == ids[chosen]
    assert is_mask.mean() == pytest.approx(0.8, abs=0.015)
    assert same.mean() == pytest.approx(0.1, abs=0.015)
    others = masked[chosen][~is_mask & ~same]
    assert len(others) / chosen.sum() == pytest.approx(0.1, abs=0.015)
    assert set(others) <= set(pool) and len(set(others)) > 400
    again = mask_tokens(ids, chosen, mask_id, blank_id, pool, np.random.default_rng(2), TokenMasking())
    assert np.array_equal(masked, again)


@pytest.mark.parametrize(
    "shares", [(0.5, 0, 0, 0.5), (0, 1, 0, 0), (0, 0, 0.25, 0.75), (1, 0, 0, 0), (0.4, 0.3, 0.2, 0.1)]
)
def test_shares_of_what_masked_tokens_become(shares):
    ids = np.full(20_000, 8)
    chosen = np.arange(20_000) % 2 == 0
    masked = mask_tokens(ids, chosen, 4, 0, np.arange(10, 500), np.random.default_rng(0), TokenMasking(*shares))
    assert (masked[~chosen] == 8).all()
    mine = masked[chosen]
    found = [(mine == 4).mean(), (mine >= 10).mean(), (mine == 8).mean(), (mine == 0).mean()]
    assert found == pytest.approx(shares, abs=0.02) and sum(found) == pytest.approx(1)


@pytest.mark.parametrize(
    "shares, message",
    [
        ({"mask": 0.9}, "objectives.token_masking: mask, random, unchanged, blank sum to 1.1; make it 1"),
        ({"random": -0.1, "unchanged": 0.3}, "objectives.token_masking.random is -0.1; use a share from 0 to 1"),
        ({"mask": float("nan")}, "objectives.token_masking.mask is nan"),
    ],
)
def test_shares_that_cannot_be_used(shares, message):
    with pytest.raises(InputError, match=message):
        TokenMasking(**shares)


def test_random_replacements_come_from_the_pool_alone():
    pool = np.array([0, 3, 17, 90])
    masked = mask_tokens(np.full(20_000, 8), np.ones(20_000, bool), 91, 92, pool, np.random.default_rng(0))
    values, counts = np.unique(masked, return_counts=True)
    assert values.tolist() == [0, 3, 8, 17, 90, 91]
    assert counts[[0, 1, 3, 4]] == pytest.approx(np.full(4, 500), abs=100)


def test_the_pool_is_every_token_but_the_special_ones(any_tokenizer):
    pool = ordinary_tokens(any_tokenizer)
    tokens = set(any_tokenizer.convert_ids_to_tokens(pool.tolist()))
    special = set(any_tokenizer.all_special_tokens) | ({"<brand>", "<size>"} & set(any_tokenizer.get_vocab()))
    assert not tokens & special and tokens | special == set(any_tokenizer.get_vocab())
    assert (np.diff(pool) > 0).all() and len(pool) > 20
