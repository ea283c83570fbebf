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
class Choice:
    """What is hidden: ``tokens`` (T,) bool, ``patches`` (P,) bool, and how many choices a pair guided."""

    tokens: np.ndarray
    patches: np.ndarray
    guided: int
    drawn: int


def choose(
    word_ids: Sequence[int | None],
    levels: Sequence[Level],
    rng: np.random.Generator,
    pairs: Sequence[AlignmentPair] = (),
    hidden_patches: np.ndarray | None = None,
) -> Choice:
    """Choose what to hide in one product.

    word_ids: a token's word, None for special tokens and padding, as fast tokenizers give it. Whole words are
    hidden together, so the token quota is met when it is reached or passed by part of the last word.
    hidden_patches (P,) bool: patches that may not be chosen, for example because they show only background.
    """
    words: dict[int, list[int]] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            words.setdefault(word, []).append(position)
    tokens = np.zeros(len(word_ids), dtype=bool)
    slices = level_slices(levels)
    patches = np.zeros(slices[-1].stop, dtype=bool)
    level_of = np.repeat(np.arange(len(levels)), [level.patches for level in levels])
    room = [level.masked for level in levels]
    quota = max(1, round(TOKEN_SHARE * sum(map(len, words.values())))) if words else 0
    guided = 0

    # A word may be paired at several levels; once one side of a pair is hidden, its other side stays visible.
    shown_words: set[int] = set()
    shown_patches: set[int] = set()
    for index in rng.permutation(len(pairs)):
        word, patch = pairs[index].word, pairs[index].patch
        word_hidden = word in words and bool(tokens[words[word][0]])
        can_word = word in words and not word_hidden and word not in shown_words and tokens.sum() < quota
        can_word = can_word and not patches[patch]
        can_patch = not patches[patch] and patch not in shown_patches and room[level_of[patch]] > 0
        can_patch = can_patch and not word_hidden and not (hidden_patches is not None and hidden_patches[patch])
        if can_word and (not can_patch or rng.random() < 0.5):
            tokens[words[word]] = True
            shown_patches.add(patch)
            guided += 1
        elif can_patch:
            patches[patch] = True
            room[level_of[patch]] -= 1
            shown_words.add(word)
            guided += 1

    drawn = guided
    for word in rng.permutation(sorted(set(words) - shown_words)):
        if tokens.sum() >= quota:
            break
        if not tokens[words[word][0]]:
            tokens[words[word]] = True
            drawn += 1
    for level, where in enumerate(slices):
        free = ~patches[where]
        if hidden_patches is not None:
            free &= ~hidden_patches[where]
        free = [where.start + i for i in np.flatnonzero(free) if where.start + i not in shown_patches]
        taken = rng.permutation(free)[: room[level]].astype(int)
        patches[taken] = True
        drawn += len(taken)
    return Choice(tokens, patches, guided, drawn)


def hide_tokens(
    ids: np.ndarray, chosen: np.ndarray, mask_id: int, vocabulary: int, rng: np.random.Generator
) -> np.ndarray:
    """Token ids (T,) with the chosen (T,) bool hidden: 80 % the mask token, 10 % a random one, 10 % unchanged."""
    draw = rng.random(len(ids))
    hidden = np.where(chosen & (draw < MASKED), mask_id, ids)
    random = chosen & (draw >= MASKED) & (draw < MASKED + RANDOM)
    hidden[random] = rng.integers(mask_id + 1, vocabulary, random.sum())
    return hidden
