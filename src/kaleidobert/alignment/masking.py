"""Alignment-guided masking (SEED: FIG. 5, AGM): which tokens and patches pre-training hides.

Pairs of aligned word and patch go first; of each chosen pair either side is hidden, at random. When pairs run
out, or there are none, words and patches are drawn at random until the quotas are met: 15 % of the tokens, and
each level's own number of patches. Random masking is the same call without pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaleidobert.levels import Level, level_slices

TOKEN_SHARE = 0.15
MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stay as they are


@dataclass(frozen=True, slots=True)
class AlignmentPair:
    """One word (its index among the text's words) and one patch (its index in the sequence of P patches)."""

    word: int
    patch: int


@dataclass(frozen=True, slots=True)
class MaskPlan:
    """What is hidden: ``tokens`` (T,) bool, ``patches`` (P,) bool, and how many choices a pair guided."""

    tokens: np.ndarray
    patches: np.ndarray
    guided: int
    drawn: int


def plan_masks(
    word_ids: Sequence[int | None],
    levels: Sequence[Level],
    rng: np.random.Generator,
    pairs: Sequence[AlignmentPair] = (),
    masked_patches: np.ndarray | None = None,
) -> MaskPlan:
    """Choose what to hide in one product; of no pair both sides.

    word_ids: a token's word, None for special tokens and padding, as fast tokenizers give it. Whole words are
    hidden together, so the token quota is met when it is reached or passed by part of the last word. The
    levels' quotas are always met, the token quota unless no word is left whose patches are all visible.
    masked_patches (P,) bool: patches that may not be chosen, for example because they show only background;
    a level with too few others takes them nevertheless. Pairs whose word is not in the text are passed over.
    """
    state = _State(word_ids, levels, pairs, masked_patches)
    guided = 0
    for index in rng.permutation(len(pairs)):
        word, patch = pairs[index].word, pairs[index].patch
        can_word = state.may_hide_word(word)
        can_patch = state.may_hide_patch(patch) and word in state.positions
        if can_word and (not can_patch or rng.random() < 0.5):
            state.hide_word(word)
        elif can_patch:
            state.hide_patch(patch)
        guided += can_word or can_patch

    drawn = guided
    for word in rng.permutation(sorted(state.free_words)):
        if state.may_hide_word(word):
            state.hide_word(word)
            drawn += 1
    for level, where in enumerate(level_slices(levels)):
        free = where.start + np.flatnonzero(state.free_patches[where])
        for patch in rng.permutation(free)[: state.room[level]]:
            state.hide_patch(patch)
            drawn += 1
    return MaskPlan(state.tokens, state.patches, guided, drawn)


class _State:
    """What is hidden so far and what is still free to be; hiding one side of a pair takes the other out."""

    def __init__(
        self,
        word_ids: Sequence[int | None],
        levels: Sequence[Level],
        pairs: Sequence[AlignmentPair],
        masked_patches: np.ndarray | None,
    ) -> None:
        self.positions: dict[int, list[int]] = {}  # of each word's tokens
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
        if masked_patches is not None:
            enough = self._counts(~masked_patches) >= self.room
            self.free_patches = ~(masked_patches & enough[self.level_of])

        self.patches_of: dict[int, list[int]] = {}
        self.words_of: dict[int, set[int]] = {}
        for pair in pairs:
            self.patches_of.setdefault(pair.word, []).append(pair.patch)
            self.words_of.setdefault(pair.patch, set()).add(pair.word)

    def may_hide_word(self, word: int) -> bool:
        """Whether the word is free, the token quota open, and every level left with patches enough."""
        if word not in self.free_words or self.token_room <= 0:
            return False
        left = self.free_patches.copy()
        left[self.patches_of.get(word, [])] = False
        return bool((self._counts(left) >= self.room).all())

    def may_hide_patch(self, patch: int) -> bool:
        return bool(self.free_patches[patch] and self.room[self.level_of[patch]] > 0)

    def hide_word(self, word: int) -> None:
        self.tokens[self.positions[word]] = True
        self.token_room -= len(self.positions[word])
        self.free_words.discard(word)
        self.free_patches[self.patches_of.get(word, [])] = False

    def hide_patch(self, patch: int) -> None:
        self.patches[patch] = True
        self.room[self.level_of[patch]] -= 1
        self.free_patches[patch] = False
        self.free_words -= self.words_of.get(patch, set())

    def _counts(self, patches: np.ndarray) -> np.ndarray:
        """How many of the patches (P,) bool lie in each level."""
        return np.bincount(self.level_of[patches], minlength=len(self.room))


def mask_tokens(
    ids: np.ndarray, chosen: np.ndarray, mask_id: int, vocabulary: int, rng: np.random.Generator
) -> np.ndarray:
    """Token ids (T,) with the chosen (T,) bool hidden: 80 % the mask token, 10 % a random one, 10 % unchanged."""
    draw = rng.random(len(ids))
    hidden = np.where(chosen & (draw < MASKED), mask_id, ids)
    random = chosen & (draw >= MASKED) & (draw < MASKED + RANDOM)
    hidden[random] = rng.integers(mask_id + 1, vocabulary, random.sum())
    return hidden
