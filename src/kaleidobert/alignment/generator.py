"""The alignment generator: a product's words, and the patches that each of them talks about (SEED: FIG. 5, AAG).

Two sources of attention maps. ``caption``, as published: the captioner describes the photo, and the words it
finds that the text has, too, are aligned. ``teacher``: the text itself is fed through the captioner, which gives
a map for every word of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from transformers import PreTrainedTokenizerFast

from kaleidobert.alignment.attention_maps import on_product, point
from kaleidobert.alignment.beam_search import generate
from kaleidobert.alignment.captioner import Captioner
from kaleidobert.alignment.matching import EXACT, Word, content_words, match_words
from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.base import ForegroundDetector, whole_image

SOURCES = ("caption", "teacher")
MAPS = ("attentions", "evidence")
GRIDS = (3, 4, 5)
LEAST_LIFT = 2.0  # chosen by measurement, see docs/alignment.md
LEAST_PRODUCT = 0.01  # share of the portion below which no product was found
JOINTS = ("-", "'", "’")


@dataclass(frozen=True)
class WordMap:
    """A word of the text, its tokens, where the captioner looked for it (h, w), and how well it was matched.

    ``product``: the share of the locked portion that is product.
    """

    word: Word
    tokens: tuple[str, ...]
    attention: np.ndarray
    match: float
    product: float = 1.0


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A word (characters ``start`` to ``end`` of `Product.text`) and a patch (row by row in its ``level``'s grid).

    ``match``: how well the word was matched; ``score``: that times the patch's lift, see `attention.Pointer`.
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
    maps: ``attentions``, or the places that alone speak for a word (``evidence``, see `Captioner.evidence_maps`).
    detector: finds the product in a locked portion; maps keep what lies on it. All of it where not given.
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
        maps: str = "attentions",
        detector: ForegroundDetector = whole_image,
    ) -> None:
        check_source(source)
        if not grids or min(grids) < 1:
            raise InputError(f"levels {list(grids)}: give the sides of one grid or more, for example 3,4,5")
        if maps not in MAPS:
            raise InputError(f"no maps {maps!r}; use {' or '.join(MAPS)}")
        self.captioner = captioner.eval()
        self.tokenizer = tokenizer
        self.source = source
        self.grids = tuple(grids)
        self.least_lift = least_lift
        self.beams = beams
        self.maps = maps
        self.detector = detector

    def __call__(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[AlignedPair]]:
        """Pairs of each product: locked portions (B, 3, S, S) in [0, 1] and their B texts."""
        return [self.pairs(maps) for maps in self.word_maps(pixel_values, texts)]

    def pairs(self, maps: Sequence[WordMap]) -> list[AlignedPair]:
        """The patches that word maps point at, one a level where the map is peaked enough."""
        return [
            AlignedPair(each.word, each.tokens, grid, pointer.patch, each.match, each.match * pointer.lift)
            for each in maps
            for grid in self.grids
            if (pointer := point(each.attention, grid, self.least_lift, each.product))
        ]

    @torch.no_grad()
    def word_maps(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        """Of each product every content word that has a map, in the text's order."""
        source = self._taught if self.source == "teacher" else self._captioned
        found = source(pixel_values.to(self.captioner.device), texts)
        return [self._on_product(pixels, maps) for pixels, maps in zip(pixel_values, found, strict=True)]

    def _on_product(self, pixels: Tensor, maps: list[WordMap]) -> list[WordMap]:
        """Maps of one portion (3, S, S) without what lies beside the product, if there is one to be found."""
        image = Image.fromarray((pixels.permute(1, 2, 0) * 255).round().byte().contiguous().numpy())
        mask = torch.from_numpy(self.detector(image))
        share = float(mask.mean())
        if not maps or share < LEAST_PRODUCT:
            return maps
        foreground = adaptive_avg_pool2d(mask[None, None], maps[0].attention.shape)[0, 0].numpy()
        return [replace(each, attention=on_product(each.attention, foreground), product=share) for each in maps]

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
        for caption, text in zip(generate(self.captioner, pixel_values, self.beams), texts, strict=True):
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
