"""Rank products for a query: recall by embedding, then re-ranking of the head by the joint model.

Recall compares the query's embedding with every stored one and charges the nearest for being near to every text
(hubness); the joint model scores the query's tokens with the stored patch states of the best candidates (the seed's
text-to-image retrieval). Every score becomes a match probability (`scoring.calibration`). Text and photo of a query
must both match, and what it avoids must not: probabilities multiply, and the order follows their product. Results are
ranked in two tiers, the `candidates.FIRST` nearest and those behind, which never mix, so a page does not depend on how
deep another one looked.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from kaleidobert.errors import InputError
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.opening import open_index
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.scoring.calibration import Calibration
from kaleidobert.scoring.protocol import PairScorer
from kaleidobert.scoring.scorer import KaleidoBertScorer
from kaleidobert.search.candidates import CandidateRetriever, ranked
from kaleidobert.search.explain import Explainer
from kaleidobert.search.ordering import RankedHits
from kaleidobert.search.query import BEST_MATCH, MAX_DEPTH, Answer, Evidence, Hit, Query
from kaleidobert.search.query_encoder import QueryEncoder

KEPT = 256  # queries whose order is kept for their further pages
STAGES = ("encode", "recall", "rerank", "facets", "why", "photos")
__all__ = ["STAGES", "Answer", "Hit", "Query", "Ranker"]


class Ranker:
    """Answers queries on one index with the scorer that made it. Safe to call from several threads.

    Raises ``InputError`` when the index holds another model's embeddings, or where match probabilities were never
    fitted.
    """

    def __init__(self, scorer: PairScorer, store: ProductIndex) -> None:
        self.scorer = scorer
        self.store = store
        self.fingerprint = scorer.fingerprint
        self.check()
        self.calibration = Calibration.of(scorer.weights.calibration or store.info.calibration, scorer.name)
        self.encoder = QueryEncoder(scorer, store)
        self.explainer = Explainer(scorer, store)
        self._retriever = CandidateRetriever(scorer, store, self.calibration)
        self._orders: LRUCache[tuple, RankedHits] = LRUCache(KEPT)
        self._locked = threading.Lock()

    @classmethod
    def open(cls, store_uri: str, model_folder: Path | None = None) -> Ranker:
        """Open a store with its model: ``model_folder``, or the folder the store was made with."""
        store = open_index(store_uri)
        folder = model_folder or Path(store.info.model)
        if not folder.is_dir():
            hint = "" if model_folder else f" (the one {store_uri} was made with; say where it is with --model)"
            raise InputError(f"no model folder at {folder}{hint}")
        return cls(KaleidoBertScorer.from_pretrained(folder), store)

    def check(self) -> None:
        """Raise ``InputError`` when the store no longer belongs to this model."""
        self.store.check_model(self.fingerprint, self.scorer.name)

    def search(self, text: str = "", **settings: Any) -> list[Hit]:
        """The hits of a `Query` with these settings."""
        return self.answer(Query(text, **settings)).hits

    def answer(self, query: Query) -> Answer:
        """One page of the answer. Raises ``InputError`` for a query that cannot be answered."""
        return self.answer_many([query])[0]

    def answer_many(self, queries: Sequence[Query]) -> list[Answer]:
        """An answer each; texts and joint passes of all of them in one forward, whose time counts for each."""
        self.check()
        for query in queries:
            query.check()
            self._check_sort(query.sort)
        seconds = [dict.fromkeys(STAGES, 0.0) for _ in queries]
        version = self.store.version
        keys = [_key(query, version) for query in queries]
        orders = [self._known_order(key, query) for key, query in zip(keys, queries, strict=True)]
        missing = [place for place, order in enumerate(orders) if order is None]
        found = self._rank([queries[i] for i in missing], [seconds[i] for i in missing])
        for place, order in zip(missing, found, strict=True):
            orders[place] = order
            with self._locked:
                self._orders[keys[place]] = order
        return [
            self._page(query, order, times)
            for query, order, times in zip(queries, orders, seconds, strict=True)
            if order is not None
        ]

    def explain(self, text: str, product_id: str, view: int) -> list[Evidence]:
        """Which words of the text point at which patches of a stored photo; [] where it is gone."""
        return self.explainer.explain(text, [(product_id, view)]).get((product_id, view), [])

    def why_nothing(self, filters: Filters = NO_FILTERS) -> str:
        """Why an answer with these filters is empty and what to try, in one sentence."""
        if not self.store.rows():
            return "The store is empty."
        names = self.store.filter_names()
        unknown = [name for name in filters.names if name not in names]
        if unknown:
            return f"No product has {unknown[0]!r}; filters are: {', '.join(names)}."
        if self.store.count(filters):
            return "No product matches well enough: ask for a lower threshold, or avoid less."
        return "No product passes the filters: drop one, or check the spelling (case counts)."

    def _rank(self, queries: Sequence[Query], seconds: Sequence[dict[str, float]]) -> list[RankedHits]:
        if not queries:
            return []
        with _timed(seconds, "encode"):
            encoded = self.encoder.encode(queries)
        found = []
        for query, each, times in zip(queries, encoded, seconds, strict=True):
            with _timed([times], "recall"):
                found.append(self._retriever.retrieve(query, each, _is_deep(query)))
        with _timed(seconds, "rerank"):
            self._retriever.rerank(queries, encoded, found)
        return [ranked(query, candidates) for query, candidates in zip(queries, found, strict=True)]

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
        best = max((hit.match for hit in order.hits[: query.top]), default=0.0)
        text_alone = bool(query.text.strip()) and query.image is None and not query.like
        weak = not order.hits or (text_alone and best < self.calibration.weak)
        return Answer(hits, total, exact, end if more else None, facets, seconds, weak)

    def _counts(self, query: Query, order: RankedHits) -> tuple[int, bool, dict[str, list[tuple[str, int]]]]:
        """How many products the answer holds, whether that is all, and its facets."""
        filters, names = query.filters, query.facets or None
        whole = query.threshold is None and not query.avoid.strip() and not query.like
        if whole:
            facets = {} if query.facets is None else self.store.facets(filters, names)
            return self.store.count(filters), True, facets
        facets = {} if query.facets is None else self.store.facets(filters, names, order.ids)
        return len(order.ids), order.exhausted, facets

    def _check_sort(self, order: str) -> None:
        name = order.removeprefix("-")
        names = [BEST_MATCH, "title", *self.store.filter_names()]
        if name not in names:
            raise InputError(f"cannot sort by {name!r}; use {', '.join(names)}, with - in front for the other way")

    def _known_order(self, key: tuple, query: Query) -> RankedHits | None:
        """The order of this query from an earlier page, if it reaches deep enough."""
        with self._locked:
            order = self._orders.get(key)
        if order is None or (_is_deep(query) and not order.deep and not order.exhausted):
            return None
        return order


def _is_deep(query: Query) -> bool:
    """Whether the first tier is not all that this page needs; groups and repeats take some of it."""
    asked = query.threshold is not None or bool(query.avoid.strip()) or bool(query.like)
    return asked or query.offset + query.top > 100


def _key(query: Query, version: str) -> tuple:
    """What decides the order of an answer."""
    photo = hashlib.sha256(query.image.tobytes()).hexdigest() if query.image is not None else ""
    asked = (query.text.strip(), query.like, query.avoid, query.filters, query.rerank, query.hybrid, query.sort)
    return version, photo, query.threshold, *asked


@contextmanager
def _timed(seconds: Sequence[dict[str, float]], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    for each in seconds:
        each[stage] += time.perf_counter() - started
