"""The protocol's version, what this service offers of it, and how its answers and errors are wrapped."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from ucp_sdk.models.schemas.capability import BusinessSchema as OfferedCapability
from ucp_sdk.models.schemas.capability import ResponseSchema as ActiveCapability
from ucp_sdk.models.schemas.common.types.error_response import ErrorResponse
from ucp_sdk.models.schemas.common.types.message_error import MessageError
from ucp_sdk.models.schemas.common.types.message_info import MessageInfo
from ucp_sdk.models.schemas.profile import BusinessSchema as BusinessProfile
from ucp_sdk.models.schemas.service import BusinessSchema as RestService
from ucp_sdk.models.schemas.ucp import BusinessSchema, ResponseCatalogSchema

VERSION = "2026-08-25"  # that the models of ucp-sdk 0.5 have
SEARCH, LOOKUP = "dev.ucp.shopping.catalog.search", "dev.ucp.shopping.catalog.lookup"
PREFIX = "/ucp"  # of the paths of the REST binding
SPECIFICATION = f"https://ucp.dev/{VERSION}"


class UcpError(HTTPException):
    """A request that is not answered, with one of the protocol's error codes."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def business_profile(address: str) -> BusinessProfile:
    """What /.well-known/ucp tells platforms of a service at this address."""
    service = RestService(
        version=VERSION,
        spec=f"{SPECIFICATION}/specification/overview",
        transport="rest",
        schema=f"{SPECIFICATION}/services/shopping/rest.openapi.json",
        endpoint=address + PREFIX,
    )
    names = {SEARCH: "search", LOOKUP: "lookup"}
    capabilities = {
        capability: [
            OfferedCapability(
                version=VERSION,
                spec=f"{SPECIFICATION}/specification/shopping/catalog/{name}",
                schema=f"{SPECIFICATION}/schemas/shopping/catalog_{name}.json",
            )
        ]
        for capability, name in names.items()
    }
    services = {"dev.ucp.shopping": [service]}
    offered = BusinessSchema(version=VERSION, services=services, capabilities=capabilities, payment_handlers={})
    return BusinessProfile(ucp=offered)


def envelope(*capabilities: str, status: str = "success") -> ResponseCatalogSchema:
    """The metadata of a response, with the capabilities that it is an answer of."""
    active = {capability: [ActiveCapability(version=VERSION)] for capability in capabilities}
    return ResponseCatalogSchema(version=VERSION, status=status, capabilities=active)


def failure(code: str, content: str, address: str, *capabilities: str) -> ErrorResponse:
    """The answer of a request that was understood, but has no result."""
    message = MessageError(type="error", code=code, content=content, severity="unrecoverable")
    return ErrorResponse(ucp=envelope(*capabilities, status="error"), messages=[message], continue_url=address)


def info(code: str, content: str) -> MessageInfo:
    return MessageInfo(type="info", code=code, content=content)
