"""The REST binding of the Universal Commerce Protocol (https://ucp.dev) for catalogues, and the service's profile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from ucp_sdk.models.schemas.shopping.catalog_lookup import GetProductRequest, LookupRequest
from ucp_sdk.models.schemas.shopping.catalog_search import SearchRequest

from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.errors import Responder
from kaleidobert.server.request_parsing import read_json
from kaleidobert.server.routes.products import cached_response
from kaleidobert.server.schemas import ProblemDetails
from kaleidobert.server.ucp.catalogue import UcpCatalogue
from kaleidobert.server.ucp.envelope import LOOKUP, PREFIX, SEARCH, UcpError, business_profile, failure
from kaleidobert.server.ucp.platforms import Platforms
from kaleidobert.server.ucp.settings import UcpSettings

Asked = TypeVar("Asked", bound=BaseModel)


def ucp_routes(batched_ranker: BatchedRanker, settings: UcpSettings) -> APIRouter:
    """Raises ``InputError`` for a currency that does not exist, or a store without prices."""
    catalogue = UcpCatalogue(batched_ranker, settings)
    platforms = Platforms(settings.local)
    profile = written(business_profile(settings.address))
    router = APIRouter(include_in_schema=False)

    async def negotiated(request: Request, capability: str) -> bool:
        """Whether the calling platform has a capability, too. Raises ``UcpError`` if it cannot be told."""
        return capability in await platforms.capabilities(request.headers.get("UCP-Agent"))

    def incompatible(capability: str) -> Response:
        reason = f"the platform's profile does not have {capability}"
        return answer(failure("capabilities_incompatible", reason, settings.address))

    @router.get("/.well-known/ucp")
    def discovery(request: Request) -> Response:
        return cached_response(request, profile, "application/json")

    def offer(name: str, model: type[Asked], capability: str, run: Callable[[Asked], Awaitable[BaseModel]]) -> None:
        @router.post(f"{PREFIX}/catalog/{name}", name=f"catalog {name}")
        async def _(request: Request) -> Response:
            body = await read_body(request, model)
            if not await negotiated(request, capability):
                return incompatible(capability)
            return answer(await run(body))

    offer("search", SearchRequest, SEARCH, catalogue.search)
    offer("lookup", LookupRequest, LOOKUP, catalogue.lookup)
    offer("product", GetProductRequest, LOOKUP, catalogue.product)
    return router


def ucp_errors(app: FastAPI, settings: UcpSettings, otherwise: Responder) -> Responder:
    """Errors of the protocol's paths as it writes them; those of other paths as ``otherwise`` does."""

    def written_error(status: int, code: str, content: str) -> Response:
        return JSONResponse({"code": code, "content": content, "continue_url": settings.address + "/"}, status)

    @app.exception_handler(UcpError)
    async def _(_request: Request, error: UcpError) -> Response:
        response = written_error(error.status_code, error.code, error.detail)
        response.headers.update(error.headers or {})
        return response

    def respond(request: Request, problem: ProblemDetails) -> Response:
        if not request.url.path.startswith(PREFIX + "/"):
            return otherwise(request, problem)
        return written_error(problem.status, HTTPStatus(problem.status).name.lower(), problem.detail)

    return respond


async def read_body(request: Request, model: type[Asked]) -> Asked:
    """The body. Raises ``UcpError`` 400 for one that is not of this model."""
    try:
        return await read_json(request, model, forms=False)
    except HTTPException as error:
        if error.status_code != 422:
            raise
        raise UcpError(400, "invalid_request", error.detail) from error


def answer(response: BaseModel) -> Response:
    return Response(written(response), media_type="application/json")


def written(model: BaseModel) -> bytes:
    return model.model_dump_json(by_alias=True, exclude_none=True).encode()
