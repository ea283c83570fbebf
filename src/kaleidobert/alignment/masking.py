"""Alignment-guided masking (patent: FIG. 5, AGM): which tokens and patches are masked in pre-training.

Aligned pairs of a word and a patch come first: of each pair, in random order, one side is masked, chosen at random.
Pairs whose patch is on a level without a quota follow; of these only the word can be masked. Then words and patches
are drawn at random until the quotas are met: 15 % of the tokens, and each level's number of patches. Without pairs
this is plain random masking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.levels import Level, level_slices

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKEN_SHARE = 0.15


@dataclass(frozen=True)
class TokenMasking:
    """What masked tokens become, as shares that sum to 1; by default as published.

    mask: the mask token. random: the token of a random word. unchanged: they stay, and are predicted all the same.
    blank: the padding token, which stands for no word.
    """

    mask: float = 0.8
    random: float = 0.1
    unchanged: float = 0.1
    blank: float = 0.0

    def __post_init__(self) -> None:
        for name, share in asdict(self).items():
            if not 0 <= share <= 1:
                raise InputError(f"objectives.token_masking.{name} is {share}; use a share from 0 to 1")
        total = sum(asdict(self).values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise InputError(f"objectives.token_masking: {', '.join(asdict(self))} sum to {total:g}; make it 1")


PUBLISHED_TOKEN_MASKING = TokenMasking()


@dataclass(frozen=True, slots=True)
class AlignmentPair:
    """A word (index among the text's words) and a patch (index among the P patches of all levels)."""

    word: int
    patch: int


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """The masked ``tokens`` (T,) bool and ``patches`` (P,) bool.

    ``drawn``: number of masked words and patches; ``guided``: how many of them belong to a pair.
    """

    tokens: np.ndarray
    patches: np.ndarray
    guided: int
    drawn: int


def plan_masks(
    word_ids: Sequence[int | None],
    levels: Sequence[Level],
    rng: np.random.Generator,
    pairs: Sequence[AlignmentPair] = (),
    excluded_patches: np.ndarray | None = None,
) -> MaskPlan:
    """Choose the tokens and patches to mask in one product, never both sides of a pair.

    No pair is left with both sides visible if one of them can still be masked.

    word_ids: for each token the index of its word, None for special tokens and padding, as fast tokenizers give it.
        Words are masked whole, so the last one may exceed the token quota.
    levels: their ``masked`` is each level's quota, 0 for a level whose patches cannot be hidden.
    pairs: aligned words and patches. Pairs whose word is not in the text are ignored.
    excluded_patches (P,) bool: patches not to be masked, such as plain background. A level with too few others
        uses them nevertheless.

    Each level's quota is always met; the token quota too, unless every remaining word has a masked patch.
    """
    state = _State(word_ids, levels, pairs, excluded_patches)
    guided = 0
    quota = state.room[state.level_of]  # (P,) of each patch's level
    shuffled = [pairs[index] for index in rng.permutation(len(pairs))]
    for pair in sorted(shuffled, key=lambda pair: quota[pair.patch] == 0):  # stable
        word, patch = pair.word, pair.patch
        word_allowed = state.may_mask_word(word)
        patch_allowed = state.may_mask_patch(patch) and word in state.positions
        if word_allowed and (not patch_allowed or rng.random() < 0.5):
            state.mask_word(word)
        elif patch_allowed:
            state.mask_patch(patch)
        guided += word_allowed or patch_allowed

    drawn = guided
    for word in rng.permutation(sorted(state.free_words)):
        if state.may_mask_word(word):
            state.mask_word(word)
            drawn += 1
    for level, where in enumerate(level_slices(levels)):
        free = where.start + np.flatnonzero(state.free_patches[where])
        for patch in rng.permutation(free)[: state.room[level]]:
            state.mask_patch(patch)
            drawn += 1
    return MaskPlan(state.tokens, state.patches, guided, drawn)


class _State:
    """What is masked so far, and what still may be: masking one side of a pair rules out the other."""

    def __init__(
        self,
        word_ids: Sequence[int | None],
        levels: Sequence[Level],
        pairs: Sequence[AlignmentPair],
        excluded_patches: np.ndarray | None,
    ) -> None:
        self.positions: dict[int, list[int]] = {}  # word -> positions of its tokens
        for position, word in enumerate(word_ids):
            if word is not None:
                self.positions.setdefault(word, []).append(position)
        self.tokens = np.zeros(len(word_ids), dtype=bool)
        self.token_room = max(1, round(TOKEN_SHARE * sum(map(len, self.positions.values()))))
        self.free_words = set(self.positions)

        self.level_of = np.repeat(np.arange(len(levels)), [level.patches for level in levels])
        self.patches = np.zeros(len(self.level_of), dtype=bool)
        self.room = np.array([level.masked for level in levels])
        self.free_patches = np.ones(len(self.level_of), dtype=bool)
        if excluded_patches is not None:
            enough = self._counts(~excluded_patches) >= self.room
            self.free_patches = ~(excluded_patches & enough[self.level_of])

        self.patches_of: dict[int, list[int]] = {}
        self.words_of: dict[int, set[int]] = {}
        for pair in pairs:
            self.patches_of.setdefault(pair.word, []).append(pair.patch)
            self.words_of.setdefault(pair.patch, set()).add(pair.word)

    def may_mask_word(self, word: int) -> bool:
        """Whether the word is free, the token quota not yet met, and enough patches would remain on every level."""
        if word not in self.free_words or self.token_room <= 0:
            return False
        left = self.free_patches.copy()
        left[self.patches_of.get(word, [])] = False
        return bool((self._counts(left) >= self.room).all())

    def may_mask_patch(self, patch: int) -> bool:
        return bool(self.free_patches[patch] and self.room[self.level_of[patch]] > 0)

    def mask_word(self, word: int) -> None:
        self.tokens[self.positions[word]] = True
        self.token_room -= len(self.positions[word])
        self.free_words.discard(word)
        self.free_patches[self.patches_of.get(word, [])] = False

    def mask_patch(self, patch: int) -> None:
        self.patches[patch] = True
        self.room[self.level_of[patch]] -= 1
        self.free_patches[patch] = False
        self.free_words -= self.words_of.get(patch, set())

    def _counts(self, patches: np.ndarray) -> np.ndarray:
        """Number of the patches (P,) bool on each level."""
        return np.bincount(self.level_of[patches], minlength=len(self.room))


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The ids of all special tokens, those that a published tokenizer adds to the usual ones included."""
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def ordinary_tokens(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """The ids of all tokens that are not special, ascending: the pool of random replacements for `mask_tokens`."""
    return np.array(sorted(set(tokenizer.get_vocab().values()) - special_tokens(tokenizer)), dtype=np.int64)


def mask_tokens(
    ids: np.ndarray,
    chosen: np.ndarray,
    mask_id: int,
    blank_id: int,
    replacements: np.ndarray,
    rng: np.random.Generator,
    shares: TokenMasking = PUBLISHED_TOKEN_MASKING,
) -> np.ndarray:
    """Token ids (T,) with the chosen (T,) bool masked, each in one of the ways of ``shares``.

    mask_id, blank_id: the mask and the padding token; replacements: the tokens of random words, see `ordinary_tokens`.
    """
    draw = rng.random(len(ids))
    ends = np.cumsum([shares.mask, shares.random, shares.blank])  # what remains is left unchanged
    masked = np.where(chosen & (draw < ends[0]), mask_id, ids)
    random = chosen & (draw >= ends[0]) & (draw < ends[1])
    masked[random] = replacements[rng.integers(0, len(replacements), random.sum())]
    masked[chosen & (draw >= ends[1]) & (draw < ends[2])] = blank_id
    return masked
