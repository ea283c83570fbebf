"""The alignment generator: a product's words, and the patches that each of them talks about (SEED: FIG. 5, AAG).

Two sources of attention maps. ``caption``, as published: the captioner describes the photo, and the words it
finds that the text has, too, are aligned. ``teacher``: the text itself is fed through the captioner, which gives
a map for every word of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from kaleidobert.alignment.attention import point
from kaleidobert.alignment.captioner import Captioner
from kaleidobert.alignment.matching import EXACT, Word, content_words, match_words
from kaleidobert.errors import InputError

SOURCES = ("caption", "teacher")
GRIDS = (3, 4, 5)
LEAST_LIFT = 2.0  # chosen by measurement, see docs/alignment.md
JOINTS = ("-", "'", "’")


@dataclass(frozen=True)
class WordMap:
    """A word of the text, its tokens, where the captioner looked for it (h, w), and how well it was matched."""

    word: Word
    tokens: tuple[str, ...]
    attention: np.ndarray
    match: float


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A word (characters ``start`` to ``end`` of `Product.text`) and a patch (row by row in its ``level``'s grid).

    ``match``: how well the word was matched; ``score``: that times the patch's lift over an even map.
    """

    word: Word
    tokens: tuple[str, ...]
    level: int
    patch: int
    match: float
    score: float


class AlignmentGenerator:
    """Photos and texts in, aligned pairs out.

    grids: the n of the n x n levels to align to. least_lift: how peaked a map must be, see `attention.point`.
    weighed: take maps weighed by evidence (`Captioner.pointers`) rather than the plain attention.
    Raises ``InputError`` for an unknown source or no grids.
    """

    def __init__(
        self,
        captioner: Captioner,
        tokenizer: PreTrainedTokenizerFast,
        source: str = "teacher",
        grids: Sequence[int] = GRIDS,
        least_lift: float = LEAST_LIFT,
        beams: int = 3,
        weighed: bool = False,
    ) -> None:
        check_source(source)
        if not grids or min(grids) < 1:
            raise InputError(f"levels {list(grids)}: give the sides of one grid or more, for example 3,4,5")
        self.captioner = captioner.eval()
        self.tokenizer = tokenizer
        self.source = source
        self.grids = tuple(grids)
        self.least_lift = least_lift
        self.beams = beams
        self.maps = "pointers" if weighed else "attentions"

    def __call__(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[AlignedPair]]:
        """Pairs of each product: locked portions (B, 3, S, S) in [0, 1] and their B texts."""
        return [self.pairs(maps) for maps in self.word_maps(pixel_values, texts)]

    def pairs(self, maps: Sequence[WordMap]) -> list[AlignedPair]:
        """The patches that word maps point at, one a level where the map is peaked enough."""
        return [
            AlignedPair(each.word, each.tokens, grid, pointer.patch, each.match, each.match * pointer.lift)
            for each in maps
            for grid in self.grids
            if (pointer := point(each.attention, grid, self.least_lift))
        ]

    @torch.no_grad()
    def word_maps(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        """Of each product every content word that has a map, in the text's order."""
        pixel_values = pixel_values.to(self.captioner.device)
        return (self._taught if self.source == "teacher" else self._captioned)(pixel_values, texts)

    def _taught(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        encoded = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        inputs = {name: encoded[name].to(self.captioner.device) for name in ("input_ids", "attention_mask")}
        attentions = getattr(self.captioner(pixel_values, **inputs), self.maps).float().cpu().numpy()
        found = []
        for row, text in enumerate(texts):
            words = content_words(text)
            found.append(_word_maps(words, encoded.tokens(row)[1:], encoded[row].offsets[1:], attentions[row]))
        return found

    def _captioned(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        found = []
        for caption, text in zip(self.captioner.generate(pixel_values, self.beams), texts, strict=True):
            tokens = self.tokenizer.convert_ids_to_tokens(caption.token_ids)
            said, spans = spelled(tokens)
            attentions = getattr(caption, self.maps).float().cpu().numpy()
            generated = _word_maps(content_words(said), tokens, spans, attentions)
            words = content_words(text)
            matches = match_words([each.word.text for each in generated], [word.text for word in words])
            found.append(
                [
                    WordMap(words[match.word], each.tokens, each.attention, match.score)
                    for match in matches
                    for each in [generated[match.generated]]
                ]
            )
        return found


def check_source(source: str) -> None:
    """Raises ``InputError`` for a source that there is not."""
    if source not in SOURCES:
        raise InputError(f"no alignment source {source!r}; use {' or '.join(SOURCES)}")


def spelled(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """WordPiece tokens as text, and each one's characters in it; hyphens and apostrophes join as in "v-neck"."""
    text, spans = "", []
    for index, token in enumerate(tokens):
        piece = token.removeprefix("##")
        joined = index == 0 or piece != token or token in JOINTS or tokens[index - 1] in JOINTS
        text += "" if joined else " "
        spans.append((len(text), len(text) + len(piece)))
        text += piece
    return text, spans


def _word_maps(
    words: Sequence[Word], tokens: Sequence[str], spans: Sequence[tuple[int, int]], attentions: np.ndarray
) -> list[WordMap]:
    """Each word's tokens and the mean of their maps (T, h, w); a word that was cut off has none."""
    found = []
    for word in words:
        own = [
            index
            for index, (start, end) in enumerate(spans)
            if start < end and word.start <= start and end <= word.end and tokens[index] not in JOINTS
        ]
        if own:
            found.append(WordMap(word, tuple(tokens[index] for index in own), attentions[own].mean(0), EXACT))
    return found
