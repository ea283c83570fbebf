"""Who is ranked for whom: the queries of an evaluation, and each one's candidates, drawn or read from a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kaleidobert.errors import InputError
from kaleidobert.evaluation.metrics.retrieval import draw_candidates
from kaleidobert.training.dataset import PreparedDataset


def choose_queries(products: int, queries: int | None, seed: int) -> np.ndarray:
    """Sorted product indices that ask."""
    if queries is None or queries >= products:
        return np.arange(products)
    return np.sort(np.random.default_rng(seed).choice(products, queries, replace=False))


def candidate_table(catalogue: PreparedDataset, queries: np.ndarray, protocol: str, seed: int) -> np.ndarray:
    """(Q, C) product indices, the query's own product in column 0. ``full``: every product with another text."""
    others = 100 if protocol == "101" else len(catalogue)
    table = draw_candidates(catalogue.texts, catalogue.categories, catalogue.subcategories, queries, others, seed)
    if (table[:, 1:] < 0).all():
        raise InputError(f"{len(catalogue)} products are too few to rank: no product with another text")
    return table


def save_candidates(path: Path, catalogue: PreparedDataset, table: np.ndarray) -> None:
    """A JSON list of product ids a query, its own product first; `load_candidates` reads it back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([[catalogue.ids[index] for index in row if index >= 0] for row in table.tolist()]))


def load_candidates(path: Path, catalogue: PreparedDataset) -> np.ndarray:
    """(Q, C) product indices from such a file; -1 where a list is shorter than the longest.

    Raises ``InputError`` for a file that holds no such lists, and for ids that the split lacks or has twice.
    """
    rows = _lists(path)
    place = {product: index for index, product in enumerate(catalogue.ids)}
    unknown = sorted({product for row in rows for product in row} - set(place))
    if unknown:
        raise InputError(
            f"{path}: {len(unknown)} of its ids are not in the evaluated split, among them {unknown[0]!r}; "
            "choose the split that the lists were made for"
        )
    twice = {product for product, count in Counter(catalogue.ids).items() if count > 1}
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
