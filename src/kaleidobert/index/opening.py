"""Opens the product index at an address."""

from __future__ import annotations

from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.protocol import ProductIndex


def open_index(uri: str, refresh_seconds: float = 2.0) -> ProductIndex:
    """Open the store at a folder or object-store address; others' writes are seen after ``refresh_seconds`` at most.

    Raises ``InputError`` when there is no store, or one of another format.
    """
    return LanceDBIndex.open(uri, refresh_seconds)
