"""The order of hits: by score, by rank fusion or by a field, with one hit per group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kaleidobert.index.facet_column import number, numeric
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import BEST_MATCH, Hit
from kaleidobert.words import JOINTS, STOP_WORDS, folded, stems

FUSION = 60  # the constant k of reciprocal rank fusion (Cormack et al., 2009)


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The ordered result of a query, before paging.

    hits: one per group. ids: all products, including those collapsed into a group.
    exhausted: whether no further product could be a hit.
    """

    hits: list[Hit]
    ids: list[str]
    exhausted: bool


def by_match(hits: Sequence[Hit]) -> list[Hit]:
    """Best score first; ties by id, so that the order is deterministic."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.product.id))


def fused(hits: Sequence[Hit], texts: Sequence[str], share: float) -> list[Hit]:
    """Hits scored by reciprocal rank fusion of their order by match with the ids ``texts``, best first.

    ``share``: weight of the latter, from 0 to 1.
    """
    text_rank = {product_id: rank for rank, product_id in enumerate(texts)}
    return [
        replace(
            hit,
            score=(1 - share) / (FUSION + rank)
            + (share / (FUSION + text_rank[hit.product.id]) if hit.product.id in text_rank else 0.0),
        )
        for rank, hit in enumerate(by_match(hits))
    ]


def collapse_groups(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each group, with the number of further ones as ``variants``."""
    position: dict[str, int] = {}
    kept: list[Hit] = []
    for hit in hits:
        group = hit.product.group or hit.product.id
        if group in position:
            first = kept[position[group]]
            kept[position[group]] = replace(first, variants=first.variants + 1)
        else:
            position[group] = len(kept)
            kept.append(hit)
    return kept


def sorted_by(hits: Sequence[Hit], order: str) -> list[Hit]:
    """Hits sorted by "match" (their given order), "title" or an attribute; a prefix "-" reverses the order.

    Hits without a value come last. If most values are numbers, these are compared as such, and the others come after.
    """
    if order == BEST_MATCH:
        return list(hits)
    name, descending = order.removeprefix("-"), order.startswith("-")
    if name == BEST_MATCH:
        return list(reversed(hits))
    key = _sort_key(hits, name)
    with_value = [hit for hit in hits if key(hit.product) is not None]
    without = [hit for hit in hits if key(hit.product) is None]
    with_value.sort(key=lambda hit: hit.product.id)
    with_value.sort(key=lambda hit: key(hit.product), reverse=descending)  # type: ignore[arg-type, return-value]
    return with_value + without


def _sort_key(hits: Sequence[Hit], name: str) -> Callable[[Candidate], str | float | None]:
    """A function from a product to its value of the field, None if it has none."""

    def text(product: Candidate) -> str | None:
        labels = {"title": product.title, "category": product.category, "subcategory": product.subcategory}
        return (product.attributes | labels).get(name, "").lower() or None

    if numeric(each for hit in hits if (each := text(hit.product))):
        return lambda product: None if (each := text(product)) is None else number(each)
    return text


def mentions(product: Candidate, phrase: str) -> bool:
    """Whether the phrase's words, by their stems, follow each other in the product's text, labels or attributes."""
    fields = [product.title, product.description, product.category, product.subcategory, *product.attributes.values()]
    wanted = stems(phrase)
    if not wanted:
        return folded(phrase).strip() in " | ".join(map(folded, fields))
    if product.words and not set(wanted) <= {*product.words.split(), *STOP_WORDS}:
        return False
    for field in fields:
        for found in (stems(field), stems(JOINTS.sub(" ", field))):  # "leather-trimmed" has leather
            if any(found[place : place + len(wanted)] == wanted for place in range(len(found) - len(wanted) + 1)):
                return True
    return False
