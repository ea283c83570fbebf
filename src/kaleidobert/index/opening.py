"""Opens the product index at an address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kaleidobert.errors import StoreError
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.index.protocol import ProductIndex


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Raise ``StoreError``, with what to do, for damage that is found while the store at this address is used."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        if not reason.startswith("lance error") or "os error" in reason:
            raise
        raise StoreError(
            f"the store {uri} is damaged ({reason[:200]}): delete it, and index the catalogue again"
        ) from error


def open_index(uri: str, refresh_seconds: float = 2.0) -> ProductIndex:
    """Open the store at a folder or object-store address; others' writes are seen after ``refresh_seconds`` at most.

    Raises ``InputError`` when there is no store, or one of another format.
    """
    return LanceDBIndex.open(uri, refresh_seconds)
