"""Stores and removes products for the write API."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.exceptions import HTTPException

from kaleidobert.data.problems import Problems
from kaleidobert.data.product import Product
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.batching import BoundedExecutor
from kaleidobert.server.photos import decode_photo
from kaleidobert.server.schemas import MAX_PHOTOS, PutProductsResponse

MAX_QUEUE = 8  # writes that may wait; they run one at a time
MAX_WAIT = 60.0  # seconds
EMBED_BATCH = 16  # photos per forward pass
OPTIMIZE_EVERY = 100  # writes: each creates a table version, and many small ones slow searches down

_LOGGER = logging.getLogger(__name__)


class ProductWriter:
    """Embeds products with the model that searches, and writes them to the store that is searched.

    Run its methods on ``executor``, which serialises them.
    """

    def __init__(self, batched_ranker: BatchedRanker) -> None:
        self._batched_ranker = batched_ranker
        self._writes = 0
        self.executor = BoundedExecutor(1, MAX_QUEUE, MAX_WAIT)

    def put(self, products: Sequence[Product]) -> PutProductsResponse:
        """Store all products, or none: raises ``InputError`` when one has no photo or one that cannot be read."""
        for product in products:
            check_photos(product)
        problems = Problems()
        ranker = self._batched_ranker.ranker
        # uploaded photos exist nowhere else, so they cannot be kept by reference
        photos = "stored" if ranker.store.info.photos == "stored" else "thumbnails"
        embedder = Embedder(ranker.scorer, photos)
        views = embedder.embed(products, EMBED_BATCH, problems)
        if problems.count:
            raise InputError(problems.summary())
        with storage_errors():
            ranker.store.upsert(views)
        self._count_write()
        return PutProductsResponse(stored=[product.id for product in products], photos=len(views))

    def delete(self, product_id: str) -> None:
        """Raises ``HTTPException`` 404 for an unknown id."""
        with storage_errors():
            found = self._batched_ranker.store.delete([product_id])
        if not found:
            raise HTTPException(404, f"no product with id {product_id!r}")
        self._count_write()

    def _count_write(self) -> None:
        self._writes += 1
        if self._writes % OPTIMIZE_EVERY == 0:
            self._batched_ranker.store.optimize()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise ``HTTPException`` 507 where the store cannot be written, for example on a full disk."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        _LOGGER.warning("the store cannot be written: %s", error)
        raise HTTPException(507, "the store cannot be written, as on a full disk; the log says why") from error


def check_photos(product: Product) -> None:
    """Decode every photo as untrusted input. Raises ``InputError``."""
    if not 1 <= len(product.images) <= MAX_PHOTOS:
        raise InputError(f"product {product.id!r} has {len(product.images)} photos: send 1 to {MAX_PHOTOS}")
    for number, photo in enumerate(product.images):
        assert isinstance(photo, bytes)
        decode_photo(photo, f"photo {number} of product {product.id!r}")
