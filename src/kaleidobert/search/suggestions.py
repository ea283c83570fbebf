"""Completions of what a shopper types, from the catalogue's own words, tolerant of typing errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from rapidfuzz import process
from rapidfuzz.distance import OSA

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
LEAST_FUZZY = 3  # shorter words have too many neighbours
PHRASE_WEIGHT = 20.0  # what following the word before it is worth, beside a word's plain count
MOST_WORDS = 50_000
JOINING = frozenset("a an and at by for from in of on or the to with without".split())  # no query ends in them


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a catalogue's titles, and which follow each other, with how often.

    ``known``: further words that are no errors, such as those of the descriptions.
    """

    words: Mapping[str, int]
    following: Mapping[str, Counter[str]] = field(default_factory=dict)
    known: Container[str] = frozenset()

    @classmethod
    def of(cls, titles: Iterable[str], known: Container[str] = frozenset()) -> Vocabulary:
        words: Counter[str] = Counter()
        following: dict[str, Counter[str]] = {}
        for title in titles:
            found = [word.lower() for word in WORD.findall(title)]
            words.update(found)
            for word, follower in zip(found, found[1:], strict=False):
                following.setdefault(word, Counter())[follower] += 1
        common = dict(words.most_common(MOST_WORDS))
        return cls(common, {word: following[word] for word in following if word in common}, known)

    def correct(self, word: str) -> str:
        """The word itself where it is known, else the likeliest known one near to it, else the word."""
        if word in self.words or word in self.known or word in JOINING or len(word) < LEAST_FUZZY or word.isdigit():
            return word
        if any(
            form in self.words for form in (word + "s", word + "es", word.removesuffix("s"), word.removesuffix("es"))
        ):
            return word  # an inflection is no error
        near = self._near(word, self.words)
        return min(near, key=lambda each: (near[each], -self.words[each], each), default=word)

    def completions(self, start: str, before: str | None, most: int) -> list[str]:
        """The likeliest words that begin with ``start`` or nearly so, after the word ``before``."""
        follows = self.following.get(before or "", Counter())
        errors = dict.fromkeys((word for word in self.words if word.startswith(start)), 0)
        if len(errors) < most and len(start) >= LEAST_FUZZY:
            starts: dict[str, list[str]] = {}
            for word in self.words:
                starts.setdefault(word[: len(start)], []).append(word)
            for near, distance in self._near(start, starts).items():
                for word in starts[near]:
                    errors.setdefault(word, distance)
        ends = [word for word in errors if word not in JOINING]
        likely = {word: self.words[word] + PHRASE_WEIGHT * follows[word] for word in ends}
        return sorted(ends, key=lambda word: (errors[word], -likely[word], word))[:most]

    def _near(self, word: str, choices: Iterable[str]) -> dict[str, int]:
        """Choices at most one error away, two for long words: letters left out, added, changed or swapped."""
        allowed = 1 if len(word) < 6 else 2
        found = process.extract(word, [*choices], scorer=OSA.distance, score_cutoff=allowed, limit=50)
        return {choice: int(distance) for choice, distance, _ in found if choice[:1] == word[:1] or distance < allowed}


class Suggester:
    """Suggestions from the vocabulary that ``vocabulary`` gives: of the catalogue as it is now."""

    def __init__(self, vocabulary: Callable[[], Vocabulary]) -> None:
        self._vocabulary = vocabulary

    def suggest(self, typed: str, limit: int = 8) -> list[str]:
        """Whole queries that ``typed`` may become; its last word is completed unless a blank follows it."""
        vocabulary = self._vocabulary()
        words = typed.lower().split()
        if not words:
            return []
        start = "" if typed[-1].isspace() else words.pop()
        known = [vocabulary.correct(word) for word in words]
        before = known[-1] if known else None
        found = [" ".join([*known, word]) for word in vocabulary.completions(start, before, limit)]
        return [query for query in found if query != typed.lower()]

    def correction(self, query: str) -> str | None:
        """``query`` with its unknown words corrected; None where there is nothing to correct."""
        vocabulary = self._vocabulary()
        corrected = WORD.sub(lambda found: vocabulary.correct(found[0].lower()), query)
        return None if corrected.lower() == query.lower() else corrected
