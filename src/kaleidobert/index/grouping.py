"""Groups of products that are shown as one hit: near-duplicates and variants.

Only products of one family can be in one group. A family is named by the catalogue (the attribute ``item_group_id``,
as in product feeds), or else shares its text up to case and whitespace. A named family is one group. In the others,
products are grouped if their image embeddings are nearly equal as well, since a shop may sell a hundred different rings
as "silver ring".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from kaleidobert.data.product import Product

GROUP_ATTRIBUTE = "item_group_id"
NEARLY_EQUAL = 0.98  # cosine; measured in docs/experiments/variant-grouping.md

Member = tuple[str, np.ndarray]  # group, and the embeddings (views, P) of a product


def family_of(product: Product) -> str:
    """The key of the product's family; "" for a product without text."""
    named = product.attributes.get(GROUP_ATTRIBUTE, "")
    text = " ".join(product.text.lower().split())
    if not (named or text):
        return ""
    return ("named-" if named else "text-") + hashlib.sha256((named or text).encode()).hexdigest()[:16]


def group_of(product_id: str, family: str, vectors: np.ndarray, members: Sequence[Member]) -> str:
    """The group of a product with embeddings (views, P): that of the nearest member of its family, or a new one."""
    if not family:
        return product_id
    if family.startswith("named-"):
        return family
    nearest = max(members, key=lambda member: _max_cosine(vectors, member[1]), default=None)
    if nearest is not None and _max_cosine(vectors, nearest[1]) >= NEARLY_EQUAL:
        return nearest[0]
    group, taken = f"{family}/{product_id}", {group for group, _ in members}
    while group in taken:  # by products that were near to an earlier state of this one
        group += "'"
    return group


def assign_groups(products: Sequence[tuple[str, str, np.ndarray]], known: Mapping[str, list[Member]]) -> dict[str, str]:
    """Product id -> group, for products (id, family, embeddings); ``known``: the existing members of each family."""
    members = {family: list(found) for family, found in known.items()}
    groups: dict[str, str] = {}
    for product_id, family, vectors in products:
        same_family = members.setdefault(family, [])
        groups[product_id] = group_of(product_id, family, vectors, same_family)
        same_family.append((groups[product_id], vectors))
    return groups


def _max_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The greatest cosine between views (V, P) and (W, P)."""
    return float((one @ other.T).max())
