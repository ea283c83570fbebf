"""Encode queries, the texts of all in one batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kaleidobert.alignment.matching import content_words
from kaleidobert.errors import InputError
from kaleidobert.index.caching import CachedPerVersion
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.scoring.protocol import PairScorer, as_numpy
from kaleidobert.search.query import Query
from kaleidobert.search.rules import Effects, ShopRules
from kaleidobert.words import Terms

AVOID_WEIGHT = 0.3  # of phrases to avoid, in the vector for retrieval; ranking uses their match probabilities


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text with its embedding (V,), hubness, content words, token ids (T,) and attention mask (T,).

    ``words`` has None for a word that is in no product's text; ``terms`` are those of full-text search.
    """

    text: str
    vector: np.ndarray
    hubness: float
    words: tuple[str | None, ...]
    ids: np.ndarray
    mask: np.ndarray
    terms: Terms


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """A query's ``text``, or ``image`` embedding (V,), or both, the phrases to avoid, and what the rules do."""

    text: EncodedText | None
    image: np.ndarray | None
    avoid: list[EncodedText]
    effects: Effects = Effects()

    @property
    def single(self) -> bool:
        """Whether the query is one text or one image, so that the cosines of retrieval suffice for ranking."""
        return not self.avoid and (self.text is None or self.image is None)

    @property
    def vector(self) -> np.ndarray:
        """The normalised vector (V,) for retrieval: the mean of text and image, less a part of the phrases to avoid."""
        wanted = ([self.text.vector] if self.text else []) + ([self.image] if self.image is not None else [])
        mean = np.mean(wanted, axis=0)
        for phrase in self.avoid:
            mean = mean - AVOID_WEIGHT * phrase.vector
        return mean / np.linalg.norm(mean)


class QueryEncoder:
    """Encodes queries with one scorer; photos of ``like`` come from one index. Thread-safe."""

    def __init__(self, scorer: PairScorer, index: ProductIndex) -> None:
        self._scorer = scorer
        self._index = index
        self._rules = CachedPerVersion(lambda: ShopRules.of(index.info.rules), lambda: json.dumps(index.info.rules))

    def rules(self) -> ShopRules:
        """The shop's rules, as the store has them now."""
        return self._rules()

    def encode(self, queries: Sequence[Query]) -> list[EncodedQuery]:
        """Raises ``InputError`` where the index lacks the product that results should be ``like``."""
        phrases = [phrases_of(query.avoid) for query in queries]
        texts = [text for query, avoid in zip(queries, phrases, strict=True) for text in (query.text.strip(), *avoid)]
        found = self.texts(list(dict.fromkeys(filter(None, texts))))
        return [
            EncodedQuery(
                found.get(query.text.strip()),
                self._image(query),
                [found[phrase] for phrase in avoid],
                self.rules().effects(query.text if query.understand else "", query.filters),
            )
            for query, avoid in zip(queries, phrases, strict=True)
        ]

    def texts(self, texts: Sequence[str]) -> dict[str, EncodedText]:
        """Encode texts in one batch."""
        if not texts:
            return {}
        batch = self._scorer.encode_texts(texts)
        embeds, hubness, ids, masks = map(as_numpy, batch)
        parts = zip(texts, embeds, hubness.tolist(), ids, masks, strict=True)
        lexicon, rules = self._index.lexicon(), self.rules()
        return {
            text: EncodedText(
                text, embed, own, self._words(text), ids[mask > 0], mask[mask > 0], rules.terms(lexicon, text)
            )
            for text, embed, own, ids, mask in parts
        }

    def _words(self, text: str) -> tuple[str | None, ...]:
        """The content words; None for a word that is in no product's text."""
        known = self._index.words()
        words = [word.text for word in content_words(text)]
        return tuple(None if word.isalpha() and word.lower() not in known else word for word in words)

    def _image(self, query: Query) -> np.ndarray | None:
        embeds = []
        if query.image is not None:
            embeds.append(as_numpy(self._scorer.encode_images([query.image]).embeds)[0])
        if query.like:
            found = self._index.product(query.like)
            if found is None:
                raise InputError(f"no product has the id {query.like!r}; use an id from search results")
            key = (query.like, found[1][0])
            embeds.append(self._index.vectors([key])[key])
        if not embeds:
            return None
        mean = np.mean(embeds, axis=0)
        return mean / np.linalg.norm(mean)


def phrases_of(avoid: str) -> list[str]:
    """ "high heels, Leather" -> ["high heels", "Leather"]."""
    return [phrase.strip() for phrase in avoid.split(",") if phrase.strip()]
