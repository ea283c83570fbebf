"""The words of texts as full-text search compares them: folded, stemmed, compounds taken apart.

Queries, products, suggestions, ``avoid`` and filters all fold text in this one place, so that "Crème", "CREME" and a
decomposed "Crème" are the same everywhere.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import regex
import snowballstemmer
from rapidfuzz import process
from rapidfuzz.distance import OSA

WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*(?:[-'’.&/][\p{L}\p{N}\p{M}]+)*")
JOINTS = regex.compile(r"[-'’.&/]")
MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
# Scripts without spaces between words, whose words are pairs of neighbouring characters.
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]+")
LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "’": "'"})
DROPPED = dict.fromkeys(map(ord, "™®℠©\u00ad\u200b\u200c\u200d\ufe0e\ufe0f"))  # marks, and what no reader sees
MIN_PART = 3  # letters of each part of a compound that is a word by itself: "zip-front", not "t-shirt"
MIN_TYPO, MIN_TAIL = 4, 3  # letters of a word that may be misspelt, and that may end one longer by as many
MAX_REMEMBERED = 10_000  # misspelt words
MAX_CORRECTED = 8  # words of a query whose typing errors are looked for
MISSPELT, TAIL = 0.8, 0.6  # how far a correction counts, and a longer word with this end: "handbag" for "bag"
STOP_WORDS = frozenset(
    "a an and are as at be but by can could do for from get have i in is it its like look looking me my need of on or "
    "our please show some something that the their them these this those to want we what where which with you "
    "your".split()
)


def folded(text: str) -> str:
    """Without case, accents, and other forms of the same letters and digits: "Crème Ｎº ٥" -> "creme no 5"."""
    text = text.translate(DROPPED)
    if text.isascii():
        return text.casefold()
    letters = []
    # One letter at a time: ordering the marks of a whole text takes quadratic time.
    for letter in "".join(unicodedata.normalize("NFKD", each) for each in text).casefold().translate(LETTERS):
        mark = unicodedata.combining(letter)
        if letter.isdecimal():
            letters.append(str(unicodedata.decimal(letter)))
        elif mark < 10:  # 0 for letters, below 10 for marks that spell another letter, as in Japanese and Hindi
            letters.append(letter)
    return composed("".join(letters))


def composed(text: str) -> str:
    """In Unicode's form NFC, with at most 30 marks in a row (its stream-safe format): more take quadratic time."""
    return unicodedata.normalize("NFC", MARKS.sub(r"\1", text))


def letters_of(name: str) -> str:
    """The folded letters of a name, by which columns are known: "Sale_Price" -> "saleprice"."""
    return "".join(filter(str.isalpha, folded(name)))


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order; those of scripts without spaces in pairs of characters."""
    return [word for part in WORD.findall(folded(text)) for word in _spaced(part)]


def stems(text: str) -> list[str]:
    """The stem of each word, in order, compounds joined: "T-Shirts" -> "tshirt"."""
    return [stem("".join(JOINTS.split(word))) for word in words_of(text)]


def index_words(*texts: str) -> set[str]:
    """The words that a product with these texts is found by: stems, of compounds also the parts."""
    found: set[str] = set()
    for text in texts:
        for word in words_of(text):
            parts = JOINTS.split(word)
            found.add(stem("".join(parts)))
            if len(parts) > 1 and all(len(part) >= MIN_PART for part in parts):
                found |= {stem(part) for part in parts}
    return found


@lru_cache(100_000)
def stem(word: str) -> str:
    """The English stem of a folded word; of a word with digits or other letters, the word itself."""
    return snowballstemmer.stemmer("english").stemWord(word) if word.isascii() and word.isalpha() else word


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a query.

    forms: the catalogue's words that match it, each with how far it counts. weight: its idf. known: whether a product
    has it.
    """

    word: str
    forms: Mapping[str, float]
    weight: float
    known: bool

    def share(self, words: Collection[str]) -> float:
        """How far a product with these words has this one, from 0 to 1."""
        return max((counts for form, counts in self.forms.items() if form in words), default=0.0)


@dataclass(frozen=True, slots=True)
class Terms:
    """The content words of a query; ``variants``: those of its synonyms, each with how far it counts."""

    terms: tuple[Term, ...]
    variants: tuple[tuple[Terms, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def with_variants(self, variants: Iterable[tuple[Terms, float]]) -> Terms:
        return Terms(self.terms, tuple(variants))

    @property
    def meaning(self) -> bool:
        """Whether any word can be searched for: it has letters, or a product has it."""
        return any(any(map(str.isalpha, term.word)) or term.known for term in self.terms)

    @property
    def forms(self) -> list[str]:
        """All words of the catalogue that match one of the query."""
        return sorted({form for terms in (self, *(each for each, _ in self.variants)) for form in terms._forms()})

    def _forms(self) -> set[str]:
        return {form for term in self.terms for form in term.forms}

    def share(self, words: Collection[str]) -> float:
        """The share of the query's words, by weight, that a product with these words has, from 0 to 1."""
        total = sum(term.weight for term in self.terms)
        own = sum(term.weight * term.share(words) for term in self.terms) / total if total else 0.0
        return max([own, *(counts * variant.share(words) for variant, counts in self.variants)])


class Lexicon:
    """How many of a catalogue's products have each word (`index_words`)."""

    def __init__(self, products: Iterable[Iterable[str]]) -> None:
        self.counts: Counter[str] = Counter()
        self.products = 0
        for words in products:
            self.counts.update(words)
            self.products += 1
        self._similar: dict[str, list[str]] = {}
        self._tails: dict[str, list[str]] = {}
        for word in self.counts:
            if len(word) >= 2 * MIN_TAIL and word.isalpha():
                self._tails.setdefault(_tail(word), []).append(word)

    def terms(self, text: str) -> Terms:
        """The content words of a query; empty for one of stop words or signs alone."""
        words = [word for word in words_of(text) if word not in STOP_WORDS]
        return Terms(tuple(self._term(words, place) for place in range(len(words))))

    def _term(self, words: list[str], place: int) -> Term:
        word = words[place]
        parts = JOINTS.split(word)
        forms = {stem("".join(parts)): 1.0}
        # "t shirt" for "tshirt"
        for first in (place - 1, place):
            if 0 <= first < len(words) - 1 and (pair := stem(words[first] + words[first + 1])) in self.counts:
                forms[pair] = 1.0
        own = [form for form in forms if form in self.counts]
        if not own and len(parts) > 1:
            forms |= {part: 1.0 for part in map(stem, parts) if part in self.counts and len(part) >= MIN_PART}
        end = stem(word).rstrip("e")
        if len(end) >= MIN_TAIL:
            longer = (each for each in self._tails.get(_tail(end), ()) if len(each) >= len(end) + MIN_TAIL)
            forms = dict.fromkeys((each for each in longer if each.rstrip("e").endswith(end)), TAIL) | forms
        if place < MAX_CORRECTED and not any(form in self.counts for form in forms):
            forms |= dict.fromkeys(self.similar(stem(word)), MISSPELT)
        exact = sum(self.counts[form] for form, counts in forms.items() if counts == 1.0)
        held = exact or max(self.counts[form] for form in forms)
        return Term(word, forms, math.log(1 + (self.products + 1) / (held + 1)), held > 0)

    def similar(self, word: str) -> list[str]:
        """The catalogue's words within one typing error of one of ``MIN_TYPO`` letters or more, frequent ones first."""
        if len(word) < MIN_TYPO or not word.isalpha():
            return []
        known = self._similar.get(word)
        if known is None:
            found = process.extract(word, self.counts.keys(), scorer=OSA.distance, score_cutoff=1, limit=20)
            known = sorted((each for each, *_ in found), key=lambda each: -self.counts[each])
            if len(self._similar) >= MAX_REMEMBERED:
                self._similar.clear()
            self._similar[word] = known
        return known


def _tail(word: str) -> str:
    """The last letters of a word; the stemmer takes a last "e" from long words alone."""
    return word.rstrip("e")[-MIN_TAIL + 1 :]


def _spaced(word: str) -> list[str]:
    if not UNSPACED.search(word):
        return [word]
    found, end = [], 0
    for run in UNSPACED.finditer(word):
        found += [word[end : run.start()]] if word[end : run.start()] else []
        characters = run.group()
        found += [characters[at : at + 2] for at in range(max(1, len(characters) - 1))]
        end = run.end()
    return found + ([word[end:]] if word[end:] else [])
