"""The alignment generator: pairs of a word of a product's text and a patch of its photo (patent: FIG. 5, AAG).

There are two sources of attention maps. ``caption``, as published: the captioner describes the photo, and the words
of its caption that match words of the text are aligned. ``teacher``: the text itself goes through the captioner by
teacher forcing, which gives an attention map for each of its words.
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

from kaleidobert.alignment.attention_maps import most_attended_patch, restrict_to_product
from kaleidobert.alignment.beam_search import generate
from kaleidobert.alignment.captioner import Captioner
from kaleidobert.alignment.matching import EXACT, Word, content_words, match_words
from kaleidobert.errors import InputError
from kaleidobert.vision.saliency.base import ForegroundDetector, whole_image

SOURCES = ("caption", "teacher")
MAPS = ("attentions", "evidence")
GRIDS = (3, 4, 5)
LEAST_LIFT = 2.0  # chosen by measurement, see docs/alignment.md
MIN_PRODUCT_SHARE = 0.01  # a mask that covers a smaller share of the locked portion counts as no product found
JOINTS = ("-", "'", "’")


@dataclass(frozen=True)
class WordMap:
    """A word of the text, its tokens, their mean attention map (h, w), and the score of its match.

    ``product_share``: the share of the locked portion that the product covers.
    """

    word: Word
    tokens: tuple[str, ...]
    attention: np.ndarray
    match: float
    product_share: float = 1.0


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A word (characters ``start`` to ``end`` of `Product.text`) and a patch (row-major in its ``level``'s grid).

    ``match``: score of the word's match; ``score``: this times the patch's lift, see `attention_maps.AttendedPatch`.
    """

    word: Word
    tokens: tuple[str, ...]
    level: int
    patch: int
    match: float
    score: float


class AlignmentGenerator:
    """Photos and texts in, aligned pairs out.

    grids: the n of the n x n levels to align to. least_lift: how peaked a map must be, see `most_attended_patch`.
    maps: ``attentions`` or ``evidence``, see `CaptionerOutput`. detector: finds the product in a locked portion, to
    which maps are restricted; by default the whole portion. Raises ``InputError`` for an unknown source or kind of
    maps, or no grids.
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
            raise InputError(f"levels {list(grids)}: give the side of one grid or more, for example 3,4,5")
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
        """The pairs of each product, from locked portions (B, 3, S, S) in [0, 1] and their B texts."""
        return [self.pairs(maps) for maps in self.word_maps(pixel_values, texts)]

    def pairs(self, maps: Sequence[WordMap]) -> list[AlignedPair]:
        """Each word map's most attended patch at every level where the map is peaked enough."""
        return [
            AlignedPair(each.word, each.tokens, grid, best.patch, each.match, each.match * best.lift)
            for each in maps
            for grid in self.grids
            if (best := most_attended_patch(each.attention, grid, self.least_lift, each.product_share))
        ]

    @torch.no_grad()
    def word_maps(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        """For each product the maps of its content words, in the text's order; words without a map are left out."""
        source = self._teacher_maps if self.source == "teacher" else self._caption_maps
        found = source(pixel_values.to(self.captioner.device), texts)
        return [self._restricted(pixels, maps) for pixels, maps in zip(pixel_values, found, strict=True)]

    def _restricted(self, pixels: Tensor, maps: list[WordMap]) -> list[WordMap]:
        """Maps of one portion (3, S, S) restricted to its product; as they are if none is found."""
        image = Image.fromarray((pixels.permute(1, 2, 0) * 255).round().byte().contiguous().numpy())
        mask = torch.from_numpy(self.detector(image))
        share = float(mask.mean())
        if not maps or share < MIN_PRODUCT_SHARE:
            return maps
        foreground = adaptive_avg_pool2d(mask[None, None], maps[0].attention.shape)[0, 0].numpy()
        return [
            replace(each, attention=restrict_to_product(each.attention, foreground), product_share=share)
            for each in maps
        ]

    def _teacher_maps(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        encoded = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        inputs = {name: encoded[name].to(self.captioner.device) for name in ("input_ids", "attention_mask")}
        attentions = getattr(self.captioner(pixel_values, **inputs), self.maps).float().cpu().numpy()
        found = []
        for row, text in enumerate(texts):
            words = content_words(text)
            found.append(_word_maps(words, encoded.tokens(row)[1:], encoded[row].offsets[1:], attentions[row]))
        return found

    def _caption_maps(self, pixel_values: Tensor, texts: Sequence[str]) -> list[list[WordMap]]:
        found = []
        for caption, text in zip(generate(self.captioner, pixel_values, self.beams), texts, strict=True):
            tokens = self.tokenizer.convert_ids_to_tokens(caption.token_ids)
            description, spans = detokenize(tokens)
            attentions = getattr(caption, self.maps).float().cpu().numpy()
            generated = _word_maps(content_words(description), tokens, spans, attentions)
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
    """Raises ``InputError`` for an unknown source."""
    if source not in SOURCES:
        raise InputError(f"no alignment source {source!r}; use {' or '.join(SOURCES)}")


def detokenize(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """WordPiece tokens as text, and each token's span in it; hyphens and apostrophes join words as in "v-neck"."""
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
    """Each word's tokens and the mean of their maps (T, h, w); words lost by truncation are left out."""
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
