"""The JSON API that reads: searches, products and their photos, completions, descriptions."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from kaleidobert.index.filters import parse_filters
from kaleidobert.search.query import Query as SearchQuery
from kaleidobert.search.suggestions import Suggester
from kaleidobert.server.batched_ranker import BatchedRanker, known
from kaleidobert.server.describing import PhotoReader
from kaleidobert.server.photos import as_jpeg, decode_base64, decode_photo
from kaleidobert.server.request_parsing import body_schema, is_form, one_photo, read_form, read_json
from kaleidobert.server.schemas import (
    LARGEST_PAGE,
    LONGEST_TEXT,
    MOST_FILTERS,
    DescribeRequest,
    DescribeResponse,
    ProductResponse,
    SearchRequest,
    SearchResponse,
    SuggestResponse,
    WhyResponse,
    WordEvidence,
)

Text = Annotated[str, Query(alias="q", max_length=LONGEST_TEXT)]


def search_routes(searcher: BatchedRanker, suggester: Suggester, reader: PhotoReader, responses: Any) -> APIRouter:
    """Questions about words and photos."""
    router = APIRouter(responses=responses)

    @router.post(
        "/api/search",
        summary="Rank the catalogue for words, a photo, or both",
        openapi_extra=body_schema(SearchRequest, "request"),
    )
    async def search(request: Request) -> SearchResponse:
        photo = None
        if is_form(request):
            asked, photos = await read_form(request, "request", SearchRequest)
            photo = one_photo(photos)
        else:
            asked = await read_json(request, SearchRequest)
        query = await searcher.gate.run(lambda: asked.asked(photo))
        return SearchResponse.of(asked.query, *await searcher.answer_by(query), asked.timings)

    @router.get("/api/suggest", summary="Completions of a query from the catalogue's own words")
    def suggest(q: Text, top: Annotated[int, Query(ge=1, le=50)] = 8) -> SuggestResponse:
        return SuggestResponse(query=q, suggestions=suggester.suggest(q, top))

    @router.post(
        "/api/describe",
        summary="A title and a category for a photo",
        openapi_extra=body_schema(DescribeRequest, "request"),
    )
    async def describe(request: Request) -> DescribeResponse:
        if is_form(request):
            asked, photos = await read_form(request, "request", DescribeRequest)
            photo = one_photo(photos)
        else:
            asked = await read_json(request, DescribeRequest)
            photo = decode_base64(asked.photo) if asked.photo else None
        if photo is None:
            raise HTTPException(422, "photo: give an image file, as base64 or as the form's part 'photo'")
        return await searcher.gate.run(lambda: reader.describe(decode_photo(photo), asked.text))

    return router


def product_routes(searcher: BatchedRanker, responses: Any) -> APIRouter:
    """Questions about one product, and photos."""
    router = APIRouter(responses=responses)

    @router.get("/api/products/{product_id:path}/similar", summary="Products like this one")
    async def similar(
        product_id: str,
        q: Text = "",
        conditions: Annotated[list[str] | None, Query(alias="filter", max_length=MOST_FILTERS)] = None,
        top: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 24,
        offset: Annotated[int, Query(ge=0, le=1000)] = 0,
        timings: bool = False,
    ) -> SearchResponse:
        await searcher.gate.run(lambda: known(searcher.ranker, product_id))
        filters = parse_filters(conditions or [])
        query = SearchQuery(q, like=product_id, filters=filters, top=top, offset=offset, thumbnails=False)
        return SearchResponse.of(q, *await searcher.answer_by(query), timings)

    @router.get("/api/products/{product_id:path}/why", summary="Which words of a query point at which patches")
    async def why(product_id: str, q: Text, view: Annotated[int, Query(ge=0)] = 0) -> WhyResponse:
        await searcher.gate.run(lambda: known(searcher.ranker, product_id))
        found = await searcher.gate.run(lambda: searcher.ranker.explain(q, product_id, view))
        return WhyResponse(query=q, id=product_id, view=view, why=[WordEvidence.of(each) for each in found])

    @router.get("/api/products/{product_id:path}", summary="One product")
    def product(product_id: str) -> ProductResponse:
        return ProductResponse.of(*known(searcher.ranker, product_id))

    @router.get("/images/{product_id:path}/{view}", summary="A photo (JPEG), small or large", response_class=Response)
    def image(request: Request, product_id: str, view: int, large: bool = False) -> Response:
        store, key = searcher.ranker.store, (product_id, view)
        found = (store.photos([key]) if large else {}) or store.thumbnails([key])
        if not found:
            raise HTTPException(404, f"no photo {view} of a product with id {product_id!r}")
        return cached_jpeg(request, as_jpeg(found[key]) if large else found[key])

    return router


def cached_jpeg(request: Request, photo: bytes, private: bool = False) -> Response:
    """With what a browser needs to ask no second time."""
    tag = f'"{hashlib.sha256(photo).hexdigest()[:16]}"'
    headers = {"Cache-Control": f"{'private' if private else 'public'}, max-age=3600", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(photo, media_type="image/jpeg", headers=headers)
