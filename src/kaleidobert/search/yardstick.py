"""How well a store answers short queries made of a catalogue's facts, such as "black flats" (docs/protocols.md).

A product is relevant if its labels and attributes say so; its title and description are not looked at.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from kaleidobert.data.product import Product
from kaleidobert.data.readers import read_products
from kaleidobert.data.reading import BY_DEFAULT, Reading
from kaleidobert.data.sources import splits_of
from kaleidobert.errors import InputError
from kaleidobert.search.judged import MIN_RELEVANT, JudgedQuery, judged_queries, read_judged
from kaleidobert.search.query import Answer, Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.words import stems

TOP = 10
BATCH = 64  # queries of one answer
METRICS = ("P@1", "P@10", "nDCG@10")
# The settings of a search that each row has.
ROWS: dict[str, dict[str, Any]] = {
    "vectors": {"rerank": 0, "hybrid": 0.0, "understand": False},
    "vectors + joint": {"hybrid": 0.0, "understand": False},
    "vectors + words": {"rerank": 0},
    "vectors + joint + words": {},
}
# Without any model: by words of title and description, and of labels and attributes as well.
PEERS: dict[str, Callable[[Product], str]] = {
    "BM25 of titles": lambda each: each.text,
    "BM25 of all words": lambda each: " ".join([each.text, each.category, each.subcategory, *each.attributes.values()]),
}


def evaluate_search(
    data: str | Path,
    store: str,
    split: str | None = None,
    model: Path | None = None,
    queries: int = 300,
    seed: int = 0,
    reading: Reading = BY_DEFAULT,
    judged_file: Path | None = None,
) -> dict[str, Any]:
    """`METRICS` and the shares of empty and weak answers, of each of ``ROWS`` and ``PEERS``, by kind and in all.

    The queries are of the store's products in ``split`` of the catalogue ``data``, by default in any. Products of
    the store that are not there are never relevant; their number is ``unjudged``. ``judged_file``: queries with what is
    right for them, in place of drawn ones (`judged.read_judged`).
    """
    ranker = Ranker.open(store, model)
    stored = set(ranker.store.product_ids())
    splits = [split] if split else splits_of(data)
    products = [
        each
        for name in splits
        for each in read_products(data, name, reading.columns, reading.max_bad)
        if each.id in stored
    ]
    if not products:
        raise InputError(f"{store} holds no product of {data}; give the catalogue that it was made of")
    left_out: list[str] = []
    if judged_file:
        judged, left_out = read_judged(judged_file, products)
    else:
        judged = judged_queries(products, queries, seed)
    if not judged:
        raise InputError(f"{data}: no type, colour, person, brand or usage is shared by {MIN_RELEVANT} products")
    rows: dict[str, Any] = {}
    for row, settings in ROWS.items():
        answers = _answers(ranker, [Query(each.text, top=TOP, thumbnails=False, **settings) for each in judged])
        rows[row] = _by_kind(judged, [[hit.product.id for hit in each.hits] for each in answers], answers)
    for row, text in PEERS.items():
        rows[row] = _by_kind(judged, _bm25(list(map(text, products)), products, judged))
    kinds = Counter(each.kind for each in judged)
    figures: dict[str, Any] = {"data": Path(data).name, "store": store, "split": split, "seed": seed}
    figures |= {"queries": len(judged), "kinds": dict(kinds), "products": len(stored), "left_out": left_out}
    figures |= {"judged": judged_file.name if judged_file else None}
    return figures | {"unjudged": len(stored - {each.id for each in products}), "rows": rows}


def figures_of(ranked: Sequence[Sequence[str]], judged: Sequence[JudgedQuery]) -> dict[str, float]:
    """`METRICS` of rankings, best first, averaged over queries; gains are 1 for relevant products, 0 for others."""
    sums = dict.fromkeys(METRICS, 0.0)
    for found, query in zip(ranked, judged, strict=True):
        hits = [each in query.relevant for each in found[:TOP]]
        ideal = sum(1 / math.log2(2 + place) for place in range(min(TOP, len(query.relevant))))
        sums["P@1"] += bool(hits and hits[0])
        sums["P@10"] += sum(hits) / min(TOP, len(query.relevant))
        sums["nDCG@10"] += sum(hit / math.log2(2 + place) for place, hit in enumerate(hits)) / ideal
    return {name: total / len(judged) for name, total in sums.items()}


def bm25(texts: Sequence[str], k1: float = 1.2, b: float = 0.75) -> Callable[[str], np.ndarray]:
    """A function from a query to the BM25 scores (N,) of N texts (Robertson and Zaragoza, 2009), over stemmed words."""
    counts = [Counter(stems(text)) for text in texts]
    place = {word: index for index, word in enumerate(sorted({word for each in counts for word in each}))}
    rows = np.repeat(np.arange(len(counts)), [len(each) for each in counts])
    columns = np.array([place[word] for each in counts for word in each], dtype=int)
    times = np.array([times for each in counts for times in each.values()], dtype=float)
    lengths = np.array([each.total() for each in counts], dtype=float)
    held = np.bincount(columns, minlength=len(place))
    idf = np.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
    scores = idf[columns] * times * (k1 + 1) / (times + k1 * (1 - b + b * lengths[rows] / lengths.mean()))
    table = csr_matrix((scores, (rows, columns)), shape=(len(texts), len(place))).tocsc()

    def score(query: str) -> np.ndarray:
        known = [place[word] for word in stems(query) if word in place]
        return np.asarray(table[:, known].sum(axis=1)).ravel() if known else np.zeros(len(texts))

    return score


def _bm25(texts: Sequence[str], products: Sequence[Product], judged: Sequence[JudgedQuery]) -> list[list[str]]:
    score = bm25(texts)
    ranked = []
    for query in judged:
        scores = score(query.text)
        best = np.argsort(-scores, kind="stable")[:TOP]
        ranked.append([products[place].id for place in best.tolist() if scores[place]])
    return ranked


def _answers(ranker: Ranker, queries: Sequence[Query]) -> list[Answer]:
    return [
        answer
        for start in range(0, len(queries), BATCH)
        for answer in ranker.answer_many(queries[start : start + BATCH])
    ]


def _by_kind(
    judged: Sequence[JudgedQuery], ranked: Sequence[Sequence[str]], answers: Sequence[Answer] = ()
) -> dict[str, dict[str, float]]:
    """The figures of each kind of query, and of "all"."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, query in enumerate(judged):
        places[query.kind].append(place)
    places["all"] = list(range(len(judged)))
    found = {}
    for kind, own in places.items():
        found[kind] = figures_of([ranked[place] for place in own], [judged[place] for place in own])
        found[kind]["empty"] = sum(not ranked[place] for place in own) / len(own)
        if answers:
            found[kind]["weak"] = sum(answers[place].weak for place in own) / len(own)
    return found
