"""The search as tools of the Model Context Protocol, for agents that shop: the same ranker as the pages and the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from kaleidobert.errors import InputError
from kaleidobert.index.filters import parse_filters
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.server.schemas import MAX_FILTERS, MAX_ID, MAX_TEXT, FacetValue, ProductResponse, SearchResponse

MAX_HITS = 50  # of one call: an agent reads them all
MAX_VALUES = 30  # of one filter

Text = Annotated[str, Field(max_length=MAX_TEXT)]
INSTRUCTIONS = (
    "Search a shop's products by text. Call list_filters once to learn the names and values that filters may use; "
    "then search_products, and get_product for one product with all its photos."
)


class Filter(BaseModel):
    """A name that filters may use, and its most frequent values."""

    name: str
    values: list[FacetValue]


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Tell the agent what is wrong with its call; other errors are told to the server's log alone."""
    try:
        yield
    except InputError as error:
        raise ToolError(str(error)) from error


def mcp_server(ranker: Ranker) -> MCPServer:
    """A server with the tools search_products, get_product and list_filters on one store."""
    server = MCPServer("kaleidobert", instructions=INSTRUCTIONS)
    opened = [ranker]

    def current() -> Ranker:
        """The ranker of the version that is searched now."""
        if opened[0].store.superseded:
            opened[0] = opened[0].reopened()
        return opened[0]

    @server.tool()
    def search_products(
        query: Annotated[Text, Field(description="What to look for, in a shopper's words.")] = "",
        like: Annotated[str, Field(max_length=MAX_ID, description="Id of a product that hits should resemble.")] = "",
        avoid: Annotated[Text, Field(description="Phrases that hits should not match, comma-separated.")] = "",
        filters: Annotated[
            list[str] | None,
            Field(max_length=MAX_FILTERS, description="NAME=VALUE, NAME<=50 or NAME=10..50; all must hold."),
        ] = None,
        sort: Annotated[str, Field(description="match, title or a filter's name; prefix - to reverse.")] = "match",
        top: Annotated[int, Field(ge=1, le=MAX_HITS)] = 10,
        offset: Annotated[int, Field(ge=0)] = 0,
    ) -> SearchResponse:
        """Find products by text, by likeness to another product, or both; the best match first."""
        settings: dict[str, Any] = {"avoid": avoid, "sort": sort, "top": top, "offset": offset, "thumbnails": False}
        with mistakes_told():
            asked = Query(query, like=like or None, filters=parse_filters(filters or []), **settings)
            chosen = current()
            return SearchResponse.of(query, chosen.answer(asked), chosen.fingerprint)

    @server.tool()
    def get_product(product_id: Annotated[str, Field(max_length=MAX_ID)]) -> ProductResponse:
        """All that is known of one product."""
        with mistakes_told():
            found = current().store.product(product_id)
        if found is None:
            raise ToolError(f"no product with id {product_id!r}")
        return ProductResponse.of(*found)

    @server.tool()
    def list_filters() -> list[Filter]:
        """The names that filters and sort may use, with their most frequent values and numbers of products."""
        with mistakes_told():
            counts: dict[str, Any] = current().store.facets()
        return [
            Filter(name=name, values=[FacetValue(value=value, count=count) for value, count in values[:MAX_VALUES]])
            for name, values in counts.items()
        ]

    return server
