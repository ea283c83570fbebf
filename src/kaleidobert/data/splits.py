"""Train, validation and test splits for sources without their own: by product, never by image."""

from __future__ import annotations

import hashlib
import math

SPLITS = ("train", "validation", "test")
Shares = tuple[float, float, float]
DEFAULT_SHARES: Shares = (0.8, 0.1, 0.1)


def split_of(product_id: str, seed: int = 0, shares: Shares = DEFAULT_SHARES) -> str:
    """The split of a product, by a hash of its id.

    It is the same on every machine, in every run and for any order of rows, and does not change when products are
    added. ``shares``: fractions of train, validation and test. Raises ``ValueError`` if they are negative or do not
    sum to 1.
    """
    if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1):
        raise ValueError(f"shares of train, validation and test must sum to 1, not {shares}")
    digest = hashlib.sha256(f"{seed}:{product_id}".encode()).digest()
    position = (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # in [0, 1): 53 bits are exact in a float
    train, validation, _ = shares
    if position < train:
        return "train"
    return "validation" if position < train + validation else "test"
