"""The JSON API that writes: products in and out, for those who have a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from kaleidobert.data.product import Product
from kaleidobert.data.readers import Problems
from kaleidobert.errors import InputError
from kaleidobert.index.embedder import Embedder
from kaleidobert.server.auth import Tokens
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.batching import Gate
from kaleidobert.server.photos import decode_photo
from kaleidobert.server.request_parsing import body_schema, is_form, parse, read_json, read_parts
from kaleidobert.server.schemas import PHOTOS_OF_PRODUCT, NewProduct, StoreRequest, StoreResponse

WAITING = 8  # writes that may wait for their turn: one at a time is written
PHOTOS_A_FORWARD = 16
OPTIMIZE_EVERY = 100  # writes: each is a version of the table, and many small ones slow searches down


class Writer:
    """Embeds products with the model that searches, and writes to the store that is searched, one call at a time."""

    def __init__(self, searcher: BatchedRanker) -> None:
        self._searcher = searcher
        self._writes = 0
        self.gate = Gate(1, WAITING)

    def put(self, products: Sequence[Product]) -> StoreResponse:
        """All of them or, where one has no photo or a broken one, none. Raises ``InputError``."""
        for product in products:
            check(product)
        problems = Problems()
        ranker = self._searcher.ranker
        kept = "stored" if ranker.store.info.photos == "stored" else "thumbnails"  # what is sent lies nowhere else
        embedder = Embedder(ranker.scorer, kept)
        views = embedder.embed(products, PHOTOS_A_FORWARD, problems)
        if problems.count:
            raise InputError(problems.summary())
        ranker.store.upsert(views)
        self._wrote()
        return StoreResponse(stored=[product.id for product in products], photos=len(views))

    def delete(self, product_id: str) -> None:
        """Raises ``HTTPException`` 404 where there is none."""
        if not self._searcher.ranker.store.delete([product_id]):
            raise HTTPException(404, f"no product with id {product_id!r}")
        self._wrote()

    def _wrote(self) -> None:
        self._writes += 1
        if self._writes % OPTIMIZE_EVERY == 0:
            self._searcher.ranker.store.optimize()


def check(product: Product) -> None:
    """Decode every photo as a stranger's. Raises ``InputError``."""
    if not 1 <= len(product.images) <= PHOTOS_OF_PRODUCT:
        raise InputError(f"product {product.id!r} has {len(product.images)} photos: send 1 to {PHOTOS_OF_PRODUCT}")
    for number, photo in enumerate(product.images):
        assert isinstance(photo, bytes)
        decode_photo(photo, f"photo {number} of product {product.id!r}")


def write_routes(searcher: BatchedRanker, tokens: Tokens, responses: Any) -> APIRouter:
    """Tokens are checked before a byte of the body is read."""
    bearer = HTTPBearer(auto_error=False, description="A token that the service was started with.")
    router = APIRouter(responses=responses, dependencies=[Depends(bearer)])
    writer = Writer(searcher)

    @router.put(
        "/api/products",
        summary="Insert or replace products",
        openapi_extra=body_schema(StoreRequest, "product", NewProduct),
    )
    async def put(request: Request) -> StoreResponse:
        """JSON holds several products; a form holds one, as JSON in the part 'product', beside its photos."""
        tokens.check(request)
        if is_form(request):
            text, photos = await read_parts(request, "product")
            one = parse(text or "{}", NewProduct)
            return await writer.gate.run(lambda: writer.put([one.product(photos)]))
        asked = await read_json(request, StoreRequest)
        return await writer.gate.run(lambda: writer.put([each.product([]) for each in asked.products]))

    @router.delete("/api/products/{product_id:path}", summary="Remove a product", status_code=204)
    async def delete(request: Request, product_id: str) -> Response:
        tokens.check(request)
        await writer.gate.run(lambda: writer.delete(product_id))
        return Response(status_code=204)

    return router
