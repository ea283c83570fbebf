"""The search as tools of the Model Context Protocol, through the protocol's own client."""

from typing import Any

import anyio
import pytest

from fixtures.shop import Shop
from kaleidobert.index.filters import Filters

mcp = pytest.importorskip("mcp", reason="mcp is not installed: pip install 'kaleidobert[mcp]'")


def call(shop: Shop, tool: str, **arguments: Any) -> Any:
    from kaleidobert.server.mcp_tools import mcp_server

    async def run() -> Any:
        async with mcp.Client(mcp_server(shop.ranker())) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(run)


def test_tools_describe_themselves(shop: Shop) -> None:
    from kaleidobert.server.mcp_tools import mcp_server

    async def run() -> Any:
        async with mcp.Client(mcp_server(shop.ranker())) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(run)}
    assert set(tools) == {"search_products", "get_product", "list_filters"}
    assert all(tool.description for tool in tools.values())
    assert "comma-separated" in str(tools["search_products"].input_schema)


def test_a_search_is_that_of_the_ranker(shop: Shop) -> None:
    found = call(shop, "search_products", query="red bag", filters=["subcategory=ellipse"], top=3).structured_content
    expected = shop.ranker().search("red bag", filters=Filters.of({"subcategory": "ellipse"}), top=3)
    assert [hit["id"] for hit in found["hits"]] == [hit.product.id for hit in expected]
    assert found["total"] == 6 and found["next_offset"] == 3
    again = call(shop, "search_products", query="red bag", filters=["subcategory=ellipse"], top=3, offset=3)
    assert [hit["rank"] for hit in again.structured_content["hits"]] == [4, 5, 6]


def test_a_product_and_the_filters(shop: Shop) -> None:
    assert call(shop, "get_product", product_id="p01").structured_content["title"] == "green ellipse bag"
    filters = call(shop, "list_filters").structured_content["result"]
    assert {each["name"] for each in filters} == {"category", "subcategory", "colour", "fabric"}


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("search_products", {}, "the query is empty"),
        ("search_products", {"query": "bag", "filters": ["colour"]}, "a filter is written NAME=VALUE"),
        ("search_products", {"query": "bag", "top": 1000}, "less than or equal to 50"),
        ("get_product", {"product_id": "none"}, "no product with id 'none'"),
    ],
)
def test_mistakes_are_told_to_the_agent(shop: Shop, tool: str, arguments: dict, reason: str) -> None:
    result = call(shop, tool, **arguments)
    assert result.is_error and reason in result.content[0].text
