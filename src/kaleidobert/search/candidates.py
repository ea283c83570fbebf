"""The candidates of a query and their match probabilities: by embeddings, and for the best by the joint model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.special import expit, logit

from kaleidobert.index.filters import Filters
from kaleidobert.index.operators import ID
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import Candidate
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.scoring.protocol import PairScorer, as_numpy
from kaleidobert.scoring.ranking import RERANK
from kaleidobert.search.ordering import RankedHits, by_match, collapse_groups, fused, mentions, sorted_by
from kaleidobert.search.photo_cache import PhotoCache
from kaleidobert.search.query import BEST_MATCH, Hit, Query
from kaleidobert.search.query_encoder import EncodedQuery, EncodedText
from kaleidobert.search.rules import boosts, passing
from kaleidobert.search.understanding import has
from kaleidobert.words import letters_of

FIRST = 200  # candidates of full-text search
# Where the tiers of retrieved products end: each is ranked before the next, so that a page does not depend on how deep
# another one looked. Queries that compare all vectors begin with the second.
TIERS = (200, 1000, 2000, 4000, 8000, 16_000)
BOOST = 1.0  # in nats, of products with all preferred values
NAMED = 20  # products with the same SKU or barcode, at most
CODES = ("sku", "gtin", "ean", "upc", "barcode", "mpn", "asin", "isbn", "articlenumber", "articleid", "productid")
PAIRS = 512  # of a text and a photo, per forward pass of the joint model


@dataclass
class ScoredCandidates:
    """N ``products`` retrieved for a query, in tiers that are ranked one after the other.

    ends: where each tier ends. named: the number of products, the first ones, whose id the text is. preferred (N,):
    what preferred values and rules add to the match, in nats. similarity (N,): of text and photo embeddings. words
    (N,): the shares of the text's words that the products have; None where they do not count. text (N,): probabilities
    that the text matches; 1 without a text. rest (N,): probabilities that the query's photo matches and that nothing to
    be avoided does. full_text: product ids found by full-text search, best first. exhausted: whether the index holds no
    further products, or no more are retrieved. pinned: ids that come first.
    """

    products: list[Candidate]
    ends: list[int]
    named: int
    preferred: np.ndarray
    similarity: np.ndarray
    words: np.ndarray | None
    text: np.ndarray
    rest: np.ndarray
    full_text: list[str]
    exhausted: bool
    pinned: tuple[str, ...] = ()

    def match(self) -> np.ndarray:
        return self.text * self.rest

    def head(self, count: int) -> np.ndarray:
        """Indices of the ``count`` most probable matches in the first tier, without the named products."""
        return self.named + np.argsort(-self.match()[self.named : self.ends[0]], kind="stable")[:count]


class CandidateRetriever:
    """Retrieves and scores candidates, with one scorer on one index."""

    def __init__(self, scorer: PairScorer, index: ProductIndex, calibration: Calibration) -> None:
        self._scorer = scorer
        self._index = index
        self._calibration = calibration
        self._photos = PhotoCache(scorer, index)

    def retrieve(self, query: Query, encoded: EncodedQuery, depth: int = 0) -> ScoredCandidates:
        """Retrieve candidates by embedding and by full-text search: ``depth`` tiers beyond the first."""
        named = self._named(query, encoded)
        speechless = bool(query.understand and encoded.text and not encoded.text.terms.meaning)
        if speechless and encoded.image is None and not named:
            nothing = np.zeros(0)
            return ScoredCandidates([], [0], 0, nothing, nothing, None, nothing, nothing, [], True)
        start = 0 if encoded.single else 1
        ends = TIERS[start : start + depth + 1]
        near = self._index.recall(encoded.vector, ends[-1] + 1, query.filters)
        exhausted = len(near) <= ends[-1] or start + depth + 1 >= len(TIERS)
        tiers = [near[begin:end] for begin, end in pairwise((0, *ends))]
        if speechless and encoded.image is None:
            tiers, exhausted = [[]], True  # a number that is an id is near to nothing
        pinned = self._with_ids(encoded.effects.pin, query, encoded)
        worded: list[Candidate] = []
        if encoded.text and (self.words_count(query) or query.hybrid):
            terms = encoded.text.terms
            worded = [each for each, _ in self._index.text_recall(terms, FIRST, query.filters, encoded.vector)]
        tiers = self._wanted([[*named, *pinned, *tiers[0], *worded], *tiers[1:]], query, encoded)
        near = [each for tier in tiers for each in tier]
        words = None
        if encoded.text and encoded.text.terms and self.words_count(query):
            words = np.array([encoded.text.terms.share(set(each.words.split())) for each in near])
        preferred = BOOST * np.array([_preferred_share(each, query) for each in near])
        preferred = preferred + boosts(encoded.effects, near, len(tiers[0]))
        similarity, text, rest = self._scored(near, encoded, words, preferred)
        if encoded.text is None:
            rest = boosted(rest, preferred)
        ids = {each.id for each in named}
        first = sum(each.id in ids for each in tiers[0])
        text[:first] = 1.0
        return ScoredCandidates(
            near,
            np.cumsum([len(tier) for tier in tiers]).tolist(),
            first,
            preferred,
            similarity,
            words,
            text,
            rest,
            [each.id for each in worded],
            exhausted,
            encoded.effects.pin,
        )

    def _wanted(self, tiers: list[list[Candidate]], query: Query, encoded: EncodedQuery) -> list[list[Candidate]]:
        """Each product once, in its first tier, without those that the query avoids or resembles."""
        seen = {query.like}
        found = []
        for tier in tiers:
            kept = {each.id: each for each in reversed(tier) if each.id not in seen}  # the first of each product
            seen |= set(kept)
            phrases = [phrase.text for phrase in encoded.avoid]
            wanted = [each for each in tier if kept.get(each.id) is each]
            found.append([each for each in wanted if not any(mentions(each, phrase) for phrase in phrases)])
        return found

    def _with_ids(self, ids: Sequence[str], query: Query, encoded: EncodedQuery) -> list[Candidate]:
        """The products with these ids that pass the filters, in this order."""
        if not ids:
            return []
        found = {each.id: each for each in self._equal(ID, ids, query, encoded)}
        return [found[each] for each in ids if each in found]

    def _equal(self, name: str, values: Sequence[str], query: Query, encoded: EncodedQuery) -> list[Candidate]:
        """Products with one of these values that pass the query's filters."""
        found = self._index.recall(encoded.vector, max(NAMED, len(values)), Filters.of({name: tuple(values)}))
        return [each for each, passes in zip(found, passing(query.filters, found), strict=True) if passes]

    def _named(self, query: Query, encoded: EncodedQuery) -> list[Candidate]:
        """The products whose id, SKU or barcode the text is."""
        text = query.text.strip()
        if not encoded.text or len(text.split()) != 1:
            return []
        names = [ID, *(name for name in self._index.filter_names() if letters_of(name) in CODES)]
        found: dict[str, Candidate] = {}
        for name in names:
            found |= {each.id: each for each in self._equal(name, [text], query, encoded)}
        return list(found.values())

    def words_count(self, query: Query) -> bool:
        """Whether the products' words count in the match of a query, by their fitted weight."""
        return query.hybrid is None and bool(self._calibration.vectors_words)

    def _scored(
        self, near: list[Candidate], encoded: EncodedQuery, words: np.ndarray | None, preferred: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``similarity``, ``text`` and ``rest`` of `ScoredCandidates`, (N,) each."""
        similarity, text, rest = np.zeros(len(near)), np.ones(len(near)), np.ones(len(near))
        if not near:
            return similarity, text, rest
        found = np.array([each.cosine for each in near])
        vectors = None if encoded.single else self._vectors(near)
        if encoded.text:
            cosine = found if vectors is None else vectors @ encoded.text.vector
            similarity = self._similarity(near, cosine, encoded.text)
            text = self._calibration.text(self._scorer.scale * similarity, encoded.text.words, words)
            text = boosted(text, preferred)
        if encoded.image is not None:
            rest = self._calibration.image(self._scorer.scale * (found if vectors is None else vectors @ encoded.image))
        for phrase in encoded.avoid:
            assert vectors is not None
            score = self._scorer.scale * self._similarity(near, vectors @ phrase.vector, phrase)
            rest = rest * (1 - self._calibration.text(score, phrase.words))
        return similarity, text, rest

    def _vectors(self, near: list[Candidate]) -> np.ndarray:
        """Embeddings (N, V); zeros for a photo that was deleted meanwhile."""
        stored = self._index.vectors(each.key for each in near)
        empty = np.zeros(self._index.info.vector_size, dtype=np.float32)
        return np.stack([stored.get(each.key, empty) for each in near])

    def _similarity(self, near: list[Candidate], cosine: np.ndarray, text: EncodedText) -> np.ndarray:
        hubness = np.array([each.hubness for each in near]) + text.hubness
        return self._scorer.similarity(cosine, hubness)

    def rerank_depth(self, query: Query, encoded: EncodedQuery) -> int:
        """How many candidates the joint model scores: 0 where it was fitted a weight of 0."""
        if encoded.text is None or self.idle():
            return 0
        return RERANK if query.rerank is None else query.rerank

    def idle(self) -> str:
        """Why the joint model re-ranks nothing; "" where it does."""
        if not self._scorer.weights.joint_weight["TIR"]:
            return "the joint model was fitted a weight of 0"
        return "" if self._calibration.combined else "the joint model has no match probabilities; run fit-ranker again"

    def rerank(
        self, queries: Sequence[Query], encoded: Sequence[EncodedQuery], found: Sequence[ScoredCandidates]
    ) -> None:
        """Score the best candidates of all queries with the joint model, in one batch."""
        heads = [
            candidates.head(self.rerank_depth(query, each))
            for query, each, candidates in zip(queries, encoded, found, strict=True)
        ]
        pairs = [
            (each.text, candidates.products[place])
            for each, candidates, head in zip(encoded, found, heads, strict=True)
            for place in head.tolist()
            if each.text
        ]
        scores = [self._joint_scores(pairs[start : start + PAIRS]) for start in range(0, len(pairs), PAIRS)]
        ends = np.cumsum([len(head) for head in heads])[:-1]
        joint = np.split(np.concatenate([np.zeros(0), *scores]), ends)
        for each, candidates, head, own in zip(encoded, found, heads, joint, strict=True):
            present = ~np.isnan(own)
            chosen = head[present]
            if not each.text or not len(chosen):
                continue
            combined = self._scorer.combine(candidates.similarity[chosen], own[present])
            words = None if candidates.words is None else candidates.words[chosen]
            match = self._calibration.text(combined, each.text.words, words, joint=True)
            candidates.text[chosen] = boosted(match, candidates.preferred[chosen])

    def _joint_scores(self, pairs: Sequence[tuple[EncodedText, Candidate]]) -> np.ndarray:
        """The joint score (N,) of each text with its product's photo; nan where that was deleted meanwhile."""
        photos = self._photos.photos([product for _, product in pairs])
        present = photos.rows >= 0
        scores = np.full(len(pairs), np.nan)
        if present.any():
            texts = [text for (text, _), there in zip(pairs, present, strict=True) if there]
            ids, mask = _padded([text.ids for text in texts]), _padded([text.mask for text in texts])
            own, rows = self._scorer.own_rows(photos.ids), photos.rows[present]
            joint = self._scorer.joint_scores(ids, mask, photos.states, rows, own=own, prefix=photos.prefix)
            scores[present] = as_numpy(joint)
        return scores


def _padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as (N, T), with zeros behind the shorter ones."""
    found = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, values in zip(found, rows, strict=True):
        row[: len(values)] = values
    return found


def boosted(match: np.ndarray, preferred: np.ndarray) -> np.ndarray:
    """Match probabilities (N,) with what is added to them (N,), in nats."""
    return expit(logit(match) + preferred)


def _preferred_share(product: Candidate, query: Query) -> float:
    if not query.preferred:
        return 0.0
    values = product.attributes | {"category": product.category, "subcategory": product.subcategory}
    return sum(has(values, *each) for each in query.preferred) / len(query.preferred)


def ranked(query: Query, candidates: ScoredCandidates) -> RankedHits:
    """The candidates as hits in the order of the query's ``sort``."""
    match = candidates.match()
    with np.errstate(divide="ignore"):
        scores = np.log(match)
    hits = [
        Hit(0, each, float(score), float(chance))
        for each, score, chance in zip(candidates.products, scores, match, strict=True)
    ]
    tiers = [hits[begin:end] for begin, end in pairwise((0, *candidates.ends))]
    if query.hybrid:
        tiers[0] = fused(tiers[0], candidates.full_text, query.hybrid)
    # above all others, whose scores are logarithms of probabilities or shares of ranks
    first = {product: 1.0 + place for place, product in enumerate(reversed(candidates.pinned))}
    tiers[0] = [replace(hit, score=first[hit.product.id]) if hit.product.id in first else hit for hit in tiers[0]]
    threshold = query.threshold or 0.0
    tiers = [[hit for hit in by_match(tier) if (hit.match or 0.0) >= threshold] for tier in tiers]
    if query.threshold is not None and query.sort != BEST_MATCH:
        tiers = [[hit for tier in tiers for hit in tier]]  # a threshold leaves good matches only, so all can be sorted
    found = sorted_by(tiers[0], query.sort) + [hit for tier in tiers[1:] for hit in tier]
    last = match[candidates.ends[-2] if len(candidates.ends) > 1 else 0 :]
    ended = query.threshold is not None and len(last) > 0 and last.max() < threshold
    exhausted = candidates.exhausted or ended
    return RankedHits(collapse_groups(found), [hit.product.id for hit in found], exhausted)
