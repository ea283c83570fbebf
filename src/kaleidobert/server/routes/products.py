"""The JSON API for single products: read them and their photos, store and remove them.

An id's own slashes may be sent plain or as %2F; plain, an id that ends in /why or /similar means that route.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.index.filters import parse_filters
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import ViewKey
from kaleidobert.search.query import Query
from kaleidobert.server.auth import Tokens
from kaleidobert.server.batched_ranker import BatchedRanker, product_or_404
from kaleidobert.server.errors import PROBLEM_RESPONSES
from kaleidobert.server.paths import ProductIdConvertor  # noqa: F401  # registers {product_id:product}
from kaleidobert.server.photos import as_jpeg
from kaleidobert.server.product_writer import ProductWriter
from kaleidobert.server.request_parsing import body_schema, is_form, parse, read_json, read_parts
from kaleidobert.server.request_schemas import NewProduct, PutProductsRequest
from kaleidobert.server.routes.parameters import FilterConditions, QueryText
from kaleidobert.server.schemas import (
    MAX_OFFSET,
    MAX_TOP,
    MAX_VIEW,
    ProductResponse,
    PutProductsResponse,
    SearchResponse,
    WhyResponse,
)


def product_routes(batched_ranker: BatchedRanker, photos: Path | None = None) -> APIRouter:
    """Routes that read. Ids may contain slashes, so the route of the product itself comes last.

    ``photos``: the folder of originals that the store keeps by reference.
    """
    router = APIRouter(responses=PROBLEM_RESPONSES)
    run = batched_ranker.executor.run

    @router.get("/api/products/{product_id:product}/similar", summary="Find products similar to this one")
    async def similar(
        product_id: str,
        q: QueryText = "",
        conditions: FilterConditions = None,
        top: Annotated[int, fastapi.Query(ge=1, le=MAX_TOP)] = 24,
        offset: Annotated[int, fastapi.Query(ge=0, le=MAX_OFFSET)] = 0,
        timings: bool = False,
    ) -> SearchResponse:
        await run(lambda: product_or_404(batched_ranker.ranker, product_id))
        filters = parse_filters(conditions or [])
        query = Query(q, like=product_id, filters=filters, top=top, offset=offset, thumbnails=False)
        return SearchResponse.of(q, *await batched_ranker.answer_with_fingerprint(query), timings)

    @router.get("/api/products/{product_id:product}/why", summary="Explain which patches each word of a query matches")
    async def why(
        product_id: str, q: QueryText, view: Annotated[int, fastapi.Query(ge=0, le=MAX_VIEW)] = 0
    ) -> WhyResponse:
        await run(lambda: product_or_404(batched_ranker.ranker, product_id))
        evidence = await run(lambda: batched_ranker.ranker.explain(q, product_id, view))
        return WhyResponse(query=q, id=product_id, view=view, why=evidence)

    @router.get("/api/products/{product_id:product}", summary="Get a product")
    def product(product_id: str) -> ProductResponse:
        return ProductResponse.of(*product_or_404(batched_ranker.ranker, product_id))

    @router.get("/images/{product_id:product}/{view}", summary="Get a photo as JPEG", response_class=Response)
    async def image(
        request: Request,
        product_id: str,
        view: Annotated[int, fastapi.Path(ge=0, le=MAX_VIEW)],
        large: bool = False,
        v: Annotated[str, fastapi.Query(max_length=100)] = "",  # noqa: ARG001  # changes with the photo
    ) -> Response:
        """The thumbnail, or with ``large`` the original photo where it is kept and can be read."""
        store, key = batched_ranker.store, (product_id, view)
        photo = (await run_in_threadpool(store.thumbnails, [key])).get(key)
        if photo is None:
            raise HTTPException(404, f"no photo {view} of a product with id {product_id!r}")
        if large:
            photo = await batched_ranker.decoder.run(lambda: original(store, key, photos)) or photo
        return cached_jpeg(request, photo)

    return router


def write_routes(batched_ranker: BatchedRanker, tokens: Tokens) -> APIRouter:
    """Routes that write. The token is checked before any of the body is read."""
    bearer = HTTPBearer(auto_error=False, description="One of the tokens that the service was started with.")
    router = APIRouter(responses=PROBLEM_RESPONSES, dependencies=[Depends(bearer)])
    writer = ProductWriter(batched_ranker)

    @router.put(
        "/api/products",
        summary="Insert or replace products",
        openapi_extra=body_schema(PutProductsRequest, "product", NewProduct),
    )
    async def put(request: Request) -> PutProductsResponse:
        """Several products as JSON, or one as a form: its JSON in the part 'product', and its photos."""
        tokens.check(request)
        if is_form(request):
            text, photos = await read_parts(request, "product")
            one = parse(text or "{}", NewProduct)
            return await writer.executor.run(lambda: writer.put([one.to_product(photos)]))
        body = await read_json(request, PutProductsRequest)
        return await writer.executor.run(lambda: writer.put([each.to_product([]) for each in body.products]))

    @router.delete("/api/products/{product_id:product}", summary="Remove a product", status_code=204)
    async def delete(request: Request, product_id: str) -> Response:
        tokens.check(request)
        await writer.executor.run(lambda: writer.delete(product_id))
        return Response(status_code=204)

    return router


def original(store: ProductIndex, key: ViewKey, folder: Path | None) -> bytes | None:
    """The catalogue's photo as a JPEG; None where it is not kept or no longer an image."""
    try:
        return as_jpeg(store.photos([key], folder)[key])
    except (InputError, OSError, KeyError):
        return None


def matches(conditions: Sequence[str], tag: str) -> bool:
    """Whether If-None-Match names this entity tag: in lists of tags, weak or strong, or as * (RFC 9110, 13.1.2)."""
    named = [each.strip().removeprefix("W/") for value in conditions for each in value.split(",")]
    return tag in named or "*" in named


def cached_jpeg(request: Request, photo: bytes, private: bool = False) -> Response:
    return cached_response(request, photo, "image/jpeg", private)


def cached_response(request: Request, content: bytes, media_type: str, private: bool = False) -> Response:
    """A response that may be cached for an hour; 304 when the client has it already."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"Cache-Control": f"{'private' if private else 'public'}, max-age=3600", "ETag": tag}
    if matches(request.headers.getlist("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
