"""Which products are shown as one: near-duplicates and variants share a group.

Two products can be of one group only where they are of one family: their catalogue says so (the attribute
``item_group_id``, as product feeds call it), or their texts are equal but for case and spaces. Those that the
catalogue names are of one group; those of equal text are where their photos' vectors are nearly equal, too,
since a shop may sell a hundred different rings as "silver ring".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from kaleidobert.data.product import Product

NAMED = "item_group_id"
NEARLY_EQUAL = 0.98  # cosine; docs/store.md says how it was found


def family_of(product: Product) -> str:
    """The products that this one may be of one group with; "" for one without text."""
    named = product.attributes.get(NAMED, "")
    text = " ".join(product.text.lower().split())
    if not (named or text):
        return ""
    return ("named-" if named else "text-") + hashlib.sha256((named or text).encode()).hexdigest()[:16]


Member = tuple[str, np.ndarray]  # group, and vectors (views, P) of a product's views


def group_of(product_id: str, family: str, vectors: np.ndarray, members: Sequence[Member]) -> str:
    """The group of a product with these vectors (views, P), among the members of its family.

    It joins the group of the member nearest to it, or starts one that no member has.
    """
    if not family:
        return product_id
    if family.startswith("named-"):
        return family
    nearest = max(members, key=lambda member: _nearness(vectors, member[1]), default=None)
    if nearest is not None and _nearness(vectors, nearest[1]) >= NEARLY_EQUAL:
        return nearest[0]
    group, taken = f"{family}/{product_id}", {group for group, _ in members}
    while group in taken:  # by products that were near to what this one was before
        group += "'"
    return group


def _nearness(one: np.ndarray, other: np.ndarray) -> float:
    """The greatest cosine between views."""
    return float((one @ other.T).max())


def grouped(products: Sequence[tuple[str, str, np.ndarray]], known: Mapping[str, list[Member]]) -> dict[str, str]:
    """Groups by product id, of products (id, family, vectors) that join those already ``known`` by family."""
    members = {family: list(found) for family, found in known.items()}
    groups: dict[str, str] = {}
    for product_id, family, vectors in products:
        own = members.setdefault(family, [])
        groups[product_id] = group_of(product_id, family, vectors, own)
        own.append((groups[product_id], vectors))
    return groups
