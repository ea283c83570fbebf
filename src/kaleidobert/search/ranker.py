"""Rank products for a query: retrieve candidates by embedding, then re-rank the best with the joint model.

Retrieval compares the query's embedding with all stored ones, less the hubness of photo and text. The joint model then
scores the query's tokens with the stored patch states of the best candidates (patent: TIR). Each score becomes a match
probability (`scoring.calibration`); a product's rank follows the product of the probabilities that it matches the text,
that it matches the photo, and that it does not match what is to be avoided. Products are ranked in tiers, the nearest
first (`candidates.TIERS`), as many as a page needs once variants are collapsed; so no page depends on how deep another
one looked.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from kaleidobert.errors import InputError
from kaleidobert.index.caching import CachedPerVersion
from kaleidobert.index.facet_column import number
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.opening import open_index
from kaleidobert.index.operators import ID
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.scoring.engine import Engine
from kaleidobert.scoring.loading import load_scorer
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.search.candidates import CandidateRetriever, ranked
from kaleidobert.search.explain import Explainer
from kaleidobert.search.ordering import RankedHits
from kaleidobert.search.query import BEST_MATCH, MAX_DEPTH, Answer, Evidence, Hit, Query
from kaleidobert.search.query_encoder import QueryEncoder
from kaleidobert.search.understanding import QueryUnderstanding

CACHED_HITS = 50_000  # of queries whose order is cached for their further pages; about 2 kB each
STAGES = ("encode", "recall", "rerank", "facets", "why", "photos")
__all__ = ["STAGES", "Answer", "Hit", "Query", "Ranker"]


class Ranker:
    """Answers queries on one index with the scorer that embedded its products. Thread-safe.

    Raises ``InputError`` where the index holds the embeddings of another model.
    """

    def __init__(self, scorer: PairScorer, store: ProductIndex, engine: Engine = Engine.torch) -> None:
        self.scorer = scorer
        self.store = store
        self.engine = engine
        self.fingerprint = scorer.fingerprint
        self.check()
        fitted = scorer.weights.calibration or store.info.calibration
        self.calibration = Calibration.of(fitted, scorer.scale)
        self.encoder = QueryEncoder(scorer, store)
        self.explainer = Explainer(scorer, store)
        self._retriever = CandidateRetriever(scorer, store, self.calibration)
        self._understanding = CachedPerVersion(lambda: QueryUnderstanding(store), lambda: store.version)
        self._orders: LRUCache[tuple, RankedHits] = LRUCache(CACHED_HITS, lambda order: len(order.ids) + 1)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, store_uri: str, model_folder: Path | None = None, engine: Engine = Engine.torch) -> Ranker:
        """Open a store with a model, by default the one that it was indexed with."""
        store = open_index(store_uri)
        folder = model_folder or Path(store.info.model)
        if not folder.is_dir():
            hint = "" if model_folder else f" ({store_uri} was indexed with it; give its present place with --model)"
            raise InputError(f"no model folder at {folder}{hint}")
        return cls(load_scorer(folder, engine), store, engine)

    def reopened(self) -> Ranker:
        """A ranker of the store's present version; where that is of another model, with the one that made it."""
        store = open_index(self.store.uri)
        if store.info.fingerprint == self.fingerprint:
            return Ranker(self.scorer, store, self.engine)
        return Ranker.open(self.store.uri, engine=self.engine)

    def check(self) -> None:
        """Raise ``InputError`` where the store has been re-indexed with another model."""
        self.store.check_model(self.fingerprint, self.scorer.name)

    def search(self, text: str = "", **settings: Any) -> list[Hit]:
        """The hits of a `Query` with this text and these settings."""
        return self.answer(Query(text, **settings)).hits

    def answer(self, query: Query) -> Answer:
        """One page of the answer. Raises ``InputError`` for a query that cannot be answered."""
        return self.answer_many([query])[0]

    def answer_many(self, queries: Sequence[Query]) -> list[Answer]:
        """One answer per query. All texts are encoded in one batch, and all pairs scored in one; each answer counts the
        time of the whole batch."""
        self.check()
        for query in queries:
            query.check()
            self._check_sort(query.sort)
            if query.threshold is not None and self.calibration.missing:
                raise InputError(f"leave the threshold out: {self.calibration.missing}")
        queries = [self._understood(query) for query in queries]
        seconds = [dict.fromkeys(STAGES, 0.0) for _ in queries]
        version = f"{self.store.version} {json.dumps(self.store.info.rules)}"
        keys = [_key(query, version) for query in queries]
        orders = [self._known_order(key, query) for key, query in zip(keys, queries, strict=True)]
        missing = [place for place, order in enumerate(orders) if order is None]
        found = self._rank([queries[i] for i in missing], [seconds[i] for i in missing])
        for place, order in zip(missing, found, strict=True):
            orders[place] = order
            with self._lock:
                self._orders[keys[place]] = order
        return [
            self._page(query, order, times)
            for query, order, times in zip(queries, orders, seconds, strict=True)
            if order is not None
        ]

    def ids(self, queries: Sequence[Query]) -> list[list[str]]:
        """The ids of all ranked products of each query, best first, with the variants that an answer does not list."""
        self.check()
        for query in queries:
            query.check()
        queries = [self._understood(query) for query in queries]
        return [order.ids for order in self._rank(queries, [dict.fromkeys(STAGES, 0.0) for _ in queries])]

    def explain(self, text: str, product_id: str, view: int) -> list[Evidence]:
        """The patches of a stored photo that match each word of the text; [] where the photo was deleted.

        Words that are refused, and prices, are left out; the others keep their places in the text.
        """
        text = self._understanding().understand(text).text
        return self.explainer.explain(text, [(product_id, view)]).get((product_id, view), [])

    def why_nothing(self, filters: Filters = NO_FILTERS, text: str = "") -> str:
        """Why an answer to a text with these filters is empty, and what to try, in one sentence."""
        if not self.store.rows():
            return "The store is empty."
        if text.strip() and not self.store.lexicon().terms(text).meaning:
            return "There are no words to search for: name a kind of product, a colour or a brand."
        names = self.store.filter_names()
        unknown = [name for name in filters.names if name not in (*names, ID)]
        if unknown:
            return f"No product has {unknown[0]!r}; filters are: {', '.join(names)}."
        if wordy := [name for name in filters.names if filters.limits(name) and not self._has_numbers(name)]:
            return f"{wordy[0]!r} is a number in no product: filter it by {wordy[0]}=VALUE."
        if self.store.count(filters):
            return "No product matches well enough: lower the threshold, or avoid less."
        return "No product passes the filters: drop one, or check the spelling."

    def _has_numbers(self, name: str) -> bool:
        values = self.store.facets(NO_FILTERS, [name]).get(name, [])
        return any(number(value) is not None for value, _ in values)

    def _understood(self, query: Query) -> Query:
        if not (query.understand and query.text.strip()):
            return query
        alone = query.image is None and not query.like
        return self._understanding().understand(query.text, alone).applied_to(query)

    def _rank(self, queries: Sequence[Query], seconds: Sequence[dict[str, float]]) -> list[RankedHits]:
        if not queries:
            return []
        with _timed(seconds, "encode"):
            encoded = self.encoder.encode(queries)
        orders: dict[int, RankedHits] = {}
        left, depth = list(range(len(queries))), 0
        while left:
            asked, about = [queries[i] for i in left], [encoded[i] for i in left]
            found = []
            for query, each, place in zip(asked, about, left, strict=True):
                with _timed([seconds[place]], "recall"):
                    found.append(self._retriever.retrieve(query, each, depth))
            with _timed([seconds[place] for place in left], "rerank"):
                self._retriever.rerank(asked, about, found)
            orders |= {
                place: ranked(query, candidates) for place, query, candidates in zip(left, asked, found, strict=True)
            }
            left, depth = [place for place in left if not _suffices(orders[place], queries[place])], depth + 1
        return [orders[place] for place in range(len(queries))]

    def _page(self, query: Query, order: RankedHits, seconds: dict[str, float]) -> Answer:
        end = query.offset + query.top
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(order.hits[query.offset : end], query.offset + 1)]
        with _timed([seconds], "facets"):
            total, exact, facets = self._counts(query, order)
        with _timed([seconds], "why"):
            if query.why and query.text.strip():
                why = self.explainer.explain(query.text, [hit.product.key for hit in hits])
                hits = [replace(hit, why=why.get(hit.product.key, [])) for hit in hits]
        with _timed([seconds], "photos"):
            if query.thumbnails:
                photos = self.store.thumbnails(hit.product.key for hit in hits)
                hits = [replace(hit, thumbnail=photos.get(hit.product.key, b"")) for hit in hits]
        more = len(order.hits) > end and end < MAX_DEPTH
        best = max((hit.match or 0.0 for hit in order.hits[: query.top]), default=0.0)
        words = self._retriever.words_count(query)
        limit = self.calibration.weak_words if words else self.calibration.weak
        text_alone = bool(query.text.strip()) and query.image is None and not query.like
        weak = not order.hits or (text_alone and best < limit)
        if self.calibration.missing:
            hits = [replace(hit, match=None) for hit in hits]
        note = "; ".join(filter(None, [self.rerank_note(query), self.calibration.missing]))
        nothing = "" if order.hits else self.why_nothing(query.filters, query.text)
        effects = self.encoder.rules().effects(query.text if query.understand else "", query.filters)
        shown = {"banner": effects.banner, "redirect": effects.redirect}
        return Answer(hits, query, total, exact, end if more else None, facets, seconds, weak, note, nothing, **shown)

    def rerank_note(self, query: Query) -> str:
        """Why a ``rerank`` that the query asks for has no effect; "" where it has, or none is asked for."""
        if not query.rerank:
            return ""
        reason = self._retriever.idle() if query.text.strip() else "the joint model reads a text, and there is none"
        return f"rerank {query.rerank} has no effect: {reason}" if reason else ""

    def _counts(self, query: Query, order: RankedHits) -> tuple[int, bool, dict[str, list[tuple[str, int]]]]:
        """The number of matching products, whether it is exact or a lower bound, and their facets."""
        filters, names = query.filters, query.facets or None
        whole = query.threshold is None and not query.avoid.strip() and not query.like
        if whole:
            facets = {} if query.facets is None else self._facets(filters, names)
            none = not order.ids and order.exhausted  # of a text without words
            return 0 if none else self.store.count(filters), True, facets
        facets = {} if query.facets is None else self.store.facets(filters, names, order.ids)
        return len(order.ids), order.exhausted, facets

    def _facets(self, filters: Filters, names: tuple[str, ...] | None) -> dict[str, list[tuple[str, int]]]:
        """Facets of the products that pass; of a name that is filtered by, those that its other values would give."""
        facets = self.store.facets(filters, names)
        for name in filters.names:
            if name in facets:
                facets |= self.store.facets(filters.without(name), [name])
        return facets

    def _check_sort(self, order: str) -> None:
        name = order.removeprefix("-")
        names = [BEST_MATCH, "title", *self.store.filter_names()]
        if name not in names:
            raise InputError(f"cannot sort by {name!r}; use {', '.join(names)}, with - in front for the other way")

    def _known_order(self, key: tuple, query: Query) -> RankedHits | None:
        """The order of this query as computed for an earlier page, if it has enough candidates for this one."""
        with self._lock:
            order = self._orders.get(key)
        return order if order is not None and _suffices(order, query) else None


def _suffices(order: RankedHits, query: Query) -> bool:
    """Whether an order holds the query's page and, unless it is the last one, the next hit."""
    wanted = min(query.offset + query.top + 1, MAX_DEPTH)
    return order.exhausted or (len(order.hits) >= wanted and query.threshold is None)


def _key(query: Query, version: str) -> tuple:
    """All that the order of an answer depends on."""
    photo = hashlib.sha256(query.image.tobytes()).hexdigest() if query.image is not None else ""
    settings = (query.text.strip(), query.like, query.avoid, query.filters, query.rerank, query.hybrid, query.sort)
    return version, photo, query.threshold, query.preferred, *settings


@contextmanager
def _timed(seconds: Sequence[dict[str, float]], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    for each in seconds:
        each[stage] += time.perf_counter() - started
