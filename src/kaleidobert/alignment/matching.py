"""Which words of a product's text the captioner named (SEED: FIG. 5, token-attention map alignment 506).

A word is a run of letters and digits, with hyphens and apostrophes inside it: "v-neck" is one word, however a
tokenizer splits it. Stop words and punctuation are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

EXACT, STEM, PART = 1.0, 0.8, 0.6  # scores of a match: the same word; another ending or spelling; part of a compound
LEAST_PART = 4  # letters that a part of a compound has at least: "neck" of "v-neck", not "up" of "zip-up"
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
    """A content word and its characters ``start`` to ``end`` (exclusive) of the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """Which generated word names which word of the text, and how well: EXACT, STEM or PART."""

    generated: int
    word: int
    score: float


def content_words(text: str) -> list[Word]:
    """The words of a text that could name something to be seen: not stop words, at least one letter."""
    found = (Word(match.group(), *match.span()) for match in _WORD.finditer(text))
    return [word for word in found if word.text.lower() not in STOP_WORDS and any(map(str.isalpha, word.text))]


def match_words(generated: Sequence[str], words: Sequence[str]) -> list[Match]:
    """For each word of the text the generated word that names it best, if any; one match a word.

    Where a word comes more than once on both sides they are matched in order. Text words left over take the
    last generated one: "a navy shirt ... in navy" is looked at in one place.
    """
    matches, met = [], dict[str, int]()
    for index, word in enumerate(words):
        scored = [(likeness(other, word), position) for position, other in enumerate(generated)]
        best = max((score for score, _ in scored), default=0.0)
        if best > 0:
            places = [position for score, position in scored if score == best]
            turn = met.get(word.lower(), 0)
            met[word.lower()] = turn + 1
            matches.append(Match(places[min(turn, len(places) - 1)], index, best))
    return matches


@lru_cache(maxsize=1 << 16)
def likeness(one: str, other: str) -> float:
    """EXACT, STEM, PART or 0, whatever the case: "Shirt" and "shirts", "t-shirt" and "tshirt", "v-neck" and "neck"."""
    one, other = one.lower(), other.lower()
    if one == other:
        return EXACT
    if stem(_JOINTS.sub("", one)) == stem(_JOINTS.sub("", other)):
        return STEM
    compound = _JOINTS.search(one) or _JOINTS.search(other)
    return PART if compound and set(_parts(one)) & set(_parts(other)) else 0.0


def _parts(word: str) -> Iterator[str]:
    """The stems of a compound's longer parts; of a simple word, its own."""
    pieces = _JOINTS.split(word)
    yield from (stem(piece) for piece in pieces if len(piece) >= LEAST_PART or len(pieces) == 1)


def stem(word: str) -> str:
    """A word in lower case without plural and -ed: "dresses" and "dress", "dotted" and "dots", "pleated" and "pleats".

    -ing stays, since leggings are not legs.
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    elif len(word) > 5 and word.endswith("ed"):
        word = word[:-2]
        if word[-1] == word[-2] and word[-1] not in "sl":
            word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
