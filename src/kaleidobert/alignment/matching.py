"""Matches a generated caption's words with a text's (patent: FIG. 5, token-attention map alignment 506).

A word is a run of letters and digits, with hyphens and apostrophes inside it: "v-neck" is one word, however a
tokenizer splits it. Stop words and punctuation are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

EXACT, STEM, PART = 1.0, 0.8, 0.6  # scores of a match: the same word; another ending or spelling; part of a compound
MIN_PART = 4  # minimum length of a compound's part that may match: "neck" of "v-neck", not "up" of "zip-up"
STOP_WORDS = frozenset(
    "a an the this that these those it its is are be been being was were am i you your yours he his she her hers we "
    "our they their them and or but nor so if as at by for from in into of off on onto out over per to too up via "
    "with within without under above than then not no all any both each every very more most other own such only "
    "has have had having do does did can will would may made make makes making come comes which who what where when "
    "how here there also just while after before during about between against through again once few some my me him "
    "us s t d ll m re ve".split()
)
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_JOINTS = re.compile(r"[-'’]")


@dataclass(frozen=True, slots=True)
class Word:
    """A content word, and its span of characters in the text, ``start`` to ``end`` (exclusive)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """Indices of a generated word and of the text's word that it matches; ``score`` is EXACT, STEM or PART."""

    generated: int
    word: int
    score: float


def content_words(text: str) -> list[Word]:
    """The words of a text that may describe something visible: no stop words, and at least one letter."""
    found = (Word(match.group(), *match.span()) for match in _WORD.finditer(text))
    return [word for word in found if word.text.lower() not in STOP_WORDS and any(map(str.isalpha, word.text))]


def match_words(generated: Sequence[str], words: Sequence[str]) -> list[Match]:
    """For each word of the text its best match among the generated words, if there is one.

    Repeated words are matched in order. If the text repeats a word more often than the caption, the last generated
    one serves the rest, as in "a navy shirt ... in navy".
    """
    matches, occurrences = [], dict[str, int]()
    for index, word in enumerate(words):
        scored = [(match_score(other, word), position) for position, other in enumerate(generated)]
        best = max((score for score, _ in scored), default=0.0)
        if best > 0:
            positions = [position for score, position in scored if score == best]
            occurrence = occurrences.get(word.lower(), 0)
            occurrences[word.lower()] = occurrence + 1
            matches.append(Match(positions[min(occurrence, len(positions) - 1)], index, best))
    return matches


@lru_cache(maxsize=1 << 16)
def match_score(one: str, other: str) -> float:
    """EXACT, STEM, PART or 0, ignoring case: "Shirt" and "shirts", "t-shirt" and "tshirt", "v-neck" and "neck"."""
    one, other = one.lower(), other.lower()
    if one == other:
        return EXACT
    if _same_stem(_JOINTS.sub("", one), _JOINTS.sub("", other)):
        return STEM
    compound = _JOINTS.search(one) or _JOINTS.search(other)
    return PART if compound and set(_parts(one)) & set(_parts(other)) else 0.0


def _parts(word: str) -> Iterator[str]:
    """The stems of a compound's longer parts; of a simple word, its own."""
    pieces = _JOINTS.split(word)
    yield from (stem(piece) for piece in pieces if len(piece) >= MIN_PART or len(pieces) == 1)


def _same_stem(one: str, other: str) -> bool:
    """Whether two words share their stem, or one is the other with a regular -s, -es or -d.

    The stemmer alone misses "bras", "buses" and "tie-dyed".
    """
    short, long = sorted((one, other), key=len)
    endings = {"s": ("es",), "e": ("s", "d")}.get(short[-1:], ("s",))
    return long in [short + ending for ending in endings] or stem(one) == stem(other)


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The Snowball stem of a lower-case word, "dress" of "dresses", "pleat" of "pleated" and "pleats".

    Words in -ing only lose their plural: the stemmer would take leggings for legs, and clothing for cloth.
    """
    if word.endswith(("ing", "ings")):
        return word.removesuffix("s")
    return snowballstemmer.stemmer("english").stemWord(word)
