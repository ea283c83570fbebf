"""The order of an answer: tiers that never mix, one hit a group, sorting by a field, and what total is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kaleidobert.index.facet_column import number
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import BEST_MATCH, Hit

FUSION = 60  # of reciprocal-rank fusion (Cormack et al., 2009)


@dataclass(frozen=True, slots=True)
class RankedHits:
    """An answer's hits in order, one a group. ids: of all its products, in groups, too.

    deep: whether all that can be paged through was ranked. exhausted: no further product passes the filters.
    """

    hits: list[Hit]
    ids: list[str]
    deep: bool
    exhausted: bool


def by_match(hits: Sequence[Hit]) -> list[Hit]:
    """The best score first; equal ones by id, so that the order is always the same."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.product.id))


def fused(hits: Sequence[Hit], texts: Sequence[str], share: float) -> list[Hit]:
    """The hits with the score of reciprocal-rank fusion: by match, and by the place of their id in ``texts``."""
    place = {product_id: rank for rank, product_id in enumerate(texts)}
    return [
        replace(
            hit,
            score=(1 - share) / (FUSION + rank)
            + (share / (FUSION + place[hit.product.id]) if hit.product.id in place else 0.0),
        )
        for rank, hit in enumerate(by_match(hits))
    ]


def collapse_groups(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each group, with the number of others after it."""
    first: dict[str, int] = {}
    kept: list[Hit] = []
    for hit in hits:
        group = hit.product.group or hit.product.id
        if group in first:
            place = first[group]
            kept[place] = replace(kept[place], variants=kept[place].variants + 1)
        else:
            first[group] = len(kept)
            kept.append(hit)
    return kept


def sorted_by(hits: Sequence[Hit], order: str) -> list[Hit]:
    """By a field: "title" or an attribute, "-" in front for the other way round; those without it come last."""
    if order == BEST_MATCH:
        return list(hits)
    name, value = order.removeprefix("-"), _values(hits, order.removeprefix("-"))
    if name == BEST_MATCH:
        return list(reversed(hits))
    have = [hit for hit in hits if value(hit.product) is not None]
    lack = [hit for hit in hits if value(hit.product) is None]
    have.sort(key=lambda hit: hit.product.id)
    have.sort(key=lambda hit: value(hit.product), reverse=order.startswith("-"))  # type: ignore[arg-type, return-value]
    return have + lack


def _values(hits: Sequence[Hit], name: str) -> Callable[[Candidate], str | float | None]:
    """How a product's value of a field compares: as numbers where all values are some."""

    def text(product: Candidate) -> str | None:
        labels = {"title": product.title, "category": product.category, "subcategory": product.subcategory}
        return (product.attributes | labels).get(name, "").lower() or None

    texts = [text(hit.product) for hit in hits]
    if all(number(each) is not None for each in texts if each):
        return lambda product: None if (each := text(product)) is None else number(each)
    return text


def mentions(product: Candidate, phrase: str) -> bool:
    """Whether the product's own text, labels or attributes have the phrase, in whole words."""
    own = " | ".join(
        [product.title, product.description, product.category, product.subcategory, *product.attributes.values()]
    )
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", own, re.IGNORECASE) is not None
