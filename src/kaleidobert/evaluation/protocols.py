"""The queries of a retrieval evaluation and the candidates of each, drawn at random or read from a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import draw_candidates
from kaleidobert.files import write_whole
from kaleidobert.training.dataset import PreparedDataset


def choose_queries(products: int, queries: int | None, seed: int) -> np.ndarray:
    """The sorted indices of the query products; all products by default."""
    if queries is None or queries >= products:
        return np.arange(products)
    return np.sort(np.random.default_rng(seed).choice(products, queries, replace=False))


def candidate_table(dataset: PreparedDataset, queries: np.ndarray, protocol: str, seed: int) -> np.ndarray:
    """Product indices (Q, C), the query's own product in column 0.

    protocol: "101" for 100 random candidates, see `draw_candidates`; "full" for all products with a different text.
    Raises ``InputError`` where no product has a different text.
    """
    others = 100 if protocol == "101" else len(dataset)
    table = draw_candidates(dataset.texts, dataset.categories, dataset.subcategories, queries, others, seed)
    if (table[:, 1:] < 0).all():
        raise InputError(f"{len(dataset)} products all have the same text: there is nothing to rank")
    return table


def save_candidates(path: Path, dataset: PreparedDataset, table: np.ndarray) -> None:
    """Write one JSON list of product ids per query, its own product first; `load_candidates` reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(json.dumps([[dataset.ids[index] for index in row if index >= 0] for row in table.tolist()]), path)


def load_candidates(path: Path, dataset: PreparedDataset) -> np.ndarray:
    """Product indices (Q, C) from a file of `save_candidates`; -1 where a list is shorter than the longest.

    Raises ``InputError`` for other content, and for ids that the split lacks or has twice.
    """
    rows = _lists(path)
    place = {product: index for index, product in enumerate(dataset.ids)}
    unknown = sorted({product for row in rows for product in row} - set(place))
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of its ids are not in the evaluated split, among them {unknown[0]!r}; "
            "choose the split that the lists were made for"
        )
    twice = {product for product, count in Counter(dataset.ids).items() if count > 1}
    unclear = sorted({product for row in rows for product in row} & twice)
    if unclear:
        raise InputError(
            f"{path}: the evaluated split has several products with the id {unclear[0]!r}; make ids unique"
        )
    table = np.full((len(rows), max(map(len, rows))), -1)
    for number, row in enumerate(rows):
        table[number, : len(row)] = [place[product] for product in row]
    return table


def _lists(path: Path) -> list[list[str]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())})") from None
    if not isinstance(content, list) or not content or not all(isinstance(row, list) for row in content):
        raise InputError(
            f"{path}: no lists of candidates; write [[query, candidate, ...], ...], all of them product ids"
        )
    rows = [[str(product) for product in row] for row in content]
    for number, row in enumerate(rows, start=1):
        _check(f"{path}: list {number}", row)
    return rows


def _check(where: str, row: Sequence[str]) -> None:
    if len(row) < 2:
        raise InputError(f"{where} has no candidate beside the query; write [query, candidate, ...]")
    again = [product for product, count in Counter(row).items() if count > 1]
    if again:
        raise InputError(f"{where} has {again[0]!r} twice; the query comes first, and each candidate once")
