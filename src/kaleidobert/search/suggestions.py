"""Completions and spelling corrections of queries from the catalogue's own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from rapidfuzz import process
from rapidfuzz.distance import OSA

from kaleidobert.words import composed, folded

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
MIN_FUZZY_LENGTH = 3  # letters; shorter words have too many neighbours
BIGRAM_WEIGHT = 20.0  # of following the previous word once, relative to one occurrence anywhere
MAX_WORDS = 50_000
MAX_CORRECTED = 12  # words of a query; an unknown one is compared with the whole vocabulary
FUNCTION_WORDS = frozenset("a an and at by for from in of on or the to with without".split())  # never a completion


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Word counts (``words``) and bigram counts (``following``: word -> next words) of the catalogue's titles.

    All words are folded; ``spelling``: how the titles spell those that are not as folded. ``known``: further correct
    words, such as those of descriptions, in lower case.
    """

    words: Mapping[str, int]
    following: Mapping[str, Counter[str]] = field(default_factory=dict)
    known: Container[str] = frozenset()
    spelling: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, titles: Iterable[str], known: Container[str] = frozenset()) -> Vocabulary:
        words: Counter[str] = Counter()
        following: dict[str, Counter[str]] = {}
        spelling: dict[str, str] = {}
        for title in titles:
            spelt = [word.lower() for word in WORD.findall(composed(title))]
            found = [folded(word) for word in spelt]
            spelling |= {word: own for word, own in zip(found, spelt, strict=True) if word != own}
            words.update(found)
            for word, follower in zip(found, found[1:], strict=False):
                following.setdefault(word, Counter())[follower] += 1
        frequent = dict(words.most_common(MAX_WORDS))
        return cls(frequent, {word: following[word] for word in following if word in frequent}, known, spelling)

    def spelt(self, word: str) -> str:
        """A folded word as the titles spell it."""
        return self.spelling.get(word, word)

    def correct(self, word: str) -> str:
        """The most likely similar word for an unknown word; a known word, or one without similar words, unchanged."""
        typed, word = word, folded(word)
        if word in self.words or typed in self.known or word in FUNCTION_WORDS:
            return typed
        if len(word) < MIN_FUZZY_LENGTH or word.isdigit():
            return typed
        inflections = (word + "s", word + "es", word.removesuffix("s"), word.removesuffix("es"))
        if any(form in self.words for form in inflections):
            return typed
        similar = self._similar(word, self.words)
        best = min(similar, key=lambda each: (similar[each], -self.words[each], each), default=None)
        return typed if best is None else self.spelt(best)

    def completions(self, start: str, previous: str | None, limit: int) -> list[str]:
        """The most likely words with this start, or a misspelling of it, after the word ``previous``."""
        start = folded(start)
        followers = self.following.get(folded(previous or ""), Counter())
        errors = dict.fromkeys((word for word in self.words if word.startswith(start)), 0)
        if len(errors) < limit and len(start) >= MIN_FUZZY_LENGTH:
            by_start: dict[str, list[str]] = {}
            for word in self.words:
                by_start.setdefault(word[: len(start)], []).append(word)
            for similar, distance in self._similar(start, by_start).items():
                for word in by_start[similar]:
                    errors.setdefault(word, distance)
        found = [word for word in errors if word not in FUNCTION_WORDS]
        likelihood = {word: self.words[word] + BIGRAM_WEIGHT * followers[word] for word in found}
        best = sorted(found, key=lambda word: (errors[word], -likelihood[word], word))[:limit]
        return [self.spelt(word) for word in best]

    def _similar(self, word: str, choices: Iterable[str]) -> dict[str, int]:
        """Choices within an edit distance of one, or two for long words, with their distances."""
        max_distance = 1 if len(word) < 6 else 2
        found = process.extract(word, [*choices], scorer=OSA.distance, score_cutoff=max_distance, limit=50)
        return {
            choice: int(distance) for choice, distance, _ in found if choice[:1] == word[:1] or distance < max_distance
        }


class Suggester:
    """Suggests queries from a vocabulary; ``vocabulary`` returns that of the current catalogue."""

    def __init__(self, vocabulary: Callable[[], Vocabulary]) -> None:
        self._vocabulary = vocabulary

    def suggest(self, typed: str, limit: int = 8) -> list[str]:
        """Completed queries, most likely first. After a space, the next word is predicted."""
        vocabulary = self._vocabulary()
        words = typed.lower().split()
        if not words:
            return []
        start = "" if typed[-1].isspace() else words.pop()
        corrected = [*map(vocabulary.correct, words[:MAX_CORRECTED]), *words[MAX_CORRECTED:]]
        previous = corrected[-1] if corrected else None
        found = [" ".join([*corrected, word]) for word in vocabulary.completions(start, previous, limit)]
        return [query for query in found if query != typed.lower()]

    def correction(self, query: str) -> str | None:
        """``query`` with those of its first words corrected that are misspelt; None if there are none."""
        vocabulary = self._vocabulary()
        corrected = WORD.sub(lambda found: vocabulary.correct(found[0].lower()), query, MAX_CORRECTED)
        return None if corrected.lower() == query.lower() else corrected
