"""The JSON API for queries: search, completions, and descriptions of photos."""

from __future__ import annotations

from typing import Annotated

import fastapi
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from kaleidobert.search.suggestions import Suggester
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.describing import PhotoDescriber
from kaleidobert.server.errors import PROBLEM_RESPONSES
from kaleidobert.server.photos import decode_base64, decode_photo
from kaleidobert.server.request_parsing import body_schema, is_form, read_form, read_json, single_photo
from kaleidobert.server.request_schemas import DescribeRequest, SearchRequest
from kaleidobert.server.routes.parameters import QueryText
from kaleidobert.server.schemas import DescribeResponse, SearchResponse, SuggestResponse
from kaleidobert.server.search_log import SearchLog


def search_routes(
    batched_ranker: BatchedRanker, suggester: Suggester, describer: PhotoDescriber, log: SearchLog
) -> APIRouter:
    router = APIRouter(responses=PROBLEM_RESPONSES)

    @router.post(
        "/api/search",
        summary="Rank the catalogue for a text, a photo, or both",
        openapi_extra=body_schema(SearchRequest, "request"),
    )
    async def search(request: Request) -> SearchResponse:
        batched_ranker.admit()
        photo = None
        if is_form(request):
            body, photos = await read_form(request, "request", SearchRequest)
            photo = single_photo(photos)
        else:
            body = await read_json(request, SearchRequest)
        has_photo = photo is not None or body.photo is not None
        query = await batched_ranker.decoder.run(lambda: body.to_query(photo)) if has_photo else body.to_query()
        answer, fingerprint = await batched_ranker.answer_with_fingerprint(query)
        await log.searched(body.query, body.offset, answer)
        return SearchResponse.of(body.query, answer, fingerprint, body.timings)

    @router.get("/api/suggest", summary="Complete a query with words from the catalogue")
    def suggest(q: QueryText, top: Annotated[int, fastapi.Query(ge=1, le=50)] = 8) -> SuggestResponse:
        return SuggestResponse(query=q, suggestions=suggester.suggest(q, top))

    @router.post(
        "/api/describe",
        summary="Suggest a title, category and sub-category for a photo",
        openapi_extra=body_schema(DescribeRequest, "request"),
    )
    async def describe(request: Request) -> DescribeResponse:
        batched_ranker.admit()
        if is_form(request):
            body, photos = await read_form(request, "request", DescribeRequest)
            photo = single_photo(photos)
        else:
            body = await read_json(request, DescribeRequest)
            photo = decode_base64(body.photo) if body.photo else None
        if photo is None:
            raise HTTPException(422, "photo: send an image file, as base64 or as the form part 'photo'")
        image = await batched_ranker.decoder.run(lambda: decode_photo(photo))
        return await batched_ranker.executor.run(lambda: describer.describe(image, body.text))

    return router
