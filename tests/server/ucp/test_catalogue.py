"""The catalogue's operations, called as a platform does and read with the protocol's own models."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from fixtures.shop import COLOURS, Shop
from fixtures.ucp import ADDRESS, Platform
from kaleidobert.errors import InputError
from kaleidobert.server.app import ServerSettings, create_app
from kaleidobert.server.ucp.settings import UcpSettings

pytest.importorskip("ucp_sdk", reason="ucp-sdk is not installed: pip install 'kaleidobert[ucp]'")
from ucp_sdk.models.schemas.common.types.error_response import ErrorResponse  # noqa: E402
from ucp_sdk.models.schemas.profile import BusinessSchema  # noqa: E402
from ucp_sdk.models.schemas.shopping.catalog_lookup import GetProductResponse, LookupResponse  # noqa: E402
from ucp_sdk.models.schemas.shopping.catalog_search import SearchResponse  # noqa: E402

MANY = [str(number) for number in range(51)]


def ids(products: list[dict[str, Any]]) -> list[list[str]]:
    return [[variant["id"] for variant in product["variants"]] for product in products]


def codes(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["code"], message["content"]) for message in body.get("messages", [])]


def test_the_profile_says_where_the_catalogue_is(ucp: TestClient) -> None:
    response = ucp.get("/.well-known/ucp")
    profile = BusinessSchema.model_validate(response.json()).ucp
    assert str(profile.services["dev.ucp.shopping"][0].endpoint) == f"{ADDRESS}/ucp"
    assert set(profile.capabilities) == {"dev.ucp.shopping.catalog.search", "dev.ucp.shopping.catalog.lookup"}
    assert response.headers["cache-control"] == "public, max-age=3600"
    again = ucp.get("/.well-known/ucp", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


def test_a_search_gives_the_ranker_s_products_with_prices_in_cents(call: Any, priced_shop: Shop) -> None:
    body = call("search", query="red bag", filters={"categories": ["bags"]}, pagination={"limit": 3})
    SearchResponse.model_validate(body)
    expected = [hit.product.id for hit in priced_shop.ranker().search("red bag", top=20)]
    found = [variants[0] for variants in ids(body["products"])]
    assert found == [each for each in expected if each.startswith("bag-")][:3]
    for product in body["products"]:
        (variant,) = product["variants"]
        price = 1000 * (1 + COLOURS.index(variant["id"].removeprefix("bag-")))
        assert variant["price"] == {"amount": price, "currency": "EUR"} == product["price_range"]["max"]
        assert variant["availability"] == {"available": True}
        assert product["url"] == f"{ADDRESS}/product?id={variant['id']}"
        assert product["media"][0]["url"].startswith(f"{ADDRESS}/images/{variant['id']}/0?")


def test_pages_follow_each_other_until_the_last(call: Any) -> None:
    seen, pagination = [], {"limit": 4}
    while True:
        body = call("search", query="bag", pagination=pagination)
        seen += [product["id"] for product in body["products"]]
        if not body["pagination"]["has_next_page"]:
            break
        pagination = {"limit": 4, "cursor": body["pagination"]["cursor"]}
    assert len(seen) == len(set(seen)) == 7 and "cursor" not in body["pagination"]  # six bags, one group of skirts


def test_a_group_is_one_product_with_its_priced_members_as_variants(call: Any) -> None:
    (product,) = call("search", query="skirt", filters={"categories": ["Skirts"]})["products"]
    assert {each["id"] for each in product["variants"]} == {
        f"skirt/{each}" for each in ("red-S", "red-M", "red-L", "blue-S")
    }
    assert (product["price_range"]["min"]["amount"], product["price_range"]["max"]["amount"]) == (2900, 3300)
    options = {option["name"]: {value["label"] for value in option["values"]} for option in product["options"]}
    assert options == {"colour": {"red", "blue"}, "size": {"S", "M", "L"}}  # margin and sku are no choice of a shopper
    medium = next(each for each in product["variants"] if each["id"] == "skirt/red-M")
    assert medium["title"] == "red / M" and medium["sku"] == "SK-red-M"
    assert medium["availability"] == {"available": False, "status": "out_of_stock"}


@pytest.mark.parametrize(
    ("filters", "context", "expected"),
    [
        ({"price": {"min": 2000, "max": 3000}, "categories": ["Bags"]}, {"currency": "EUR"}, {"green", "blue"}),
        ({"price": {"max": 1000}}, {}, {"red"}),
        ({"colour": ["Red", "black"], "categories": ["Bags"]}, {}, {"red", "black"}),
        ({"in_stock": True, "colour": "orange"}, {}, {"orange"}),
    ],
)
def test_filters_alone_list_what_passes(call: Any, filters: dict, context: dict, expected: set[str]) -> None:
    body = call("search", filters=filters, context=context)
    assert {variants[0].removeprefix("bag-") for variants in ids(body["products"])} == expected
    assert "messages" not in body


def test_filters_that_cannot_be_applied_are_named(call: Any) -> None:
    filters = {"price": {"max": 1}, "condition": ["new"], "categories": ["Bags"]}
    body = call("search", filters=filters, context={"currency": "USD"})
    assert len(body["products"]) == 6
    assert [code for code, _ in codes(body)] == ["price_filter_ignored", "filter_ignored"]
    assert "prices are in EUR, not in USD" in codes(body)[0][1]


def test_a_search_for_nothing_in_the_shop_has_no_products(call: Any) -> None:
    assert call("search", query="bag", filters={"categories": ["Hats"]})["products"] == []


def test_lookup_tells_which_id_led_where_and_which_to_nothing(call: Any) -> None:
    skirt = call("lookup", ids=["skirt/red-M"])["products"][0]["id"]
    body = call("lookup", ids=["skirt/red-M", "bag-red", skirt, "bag-red", "gift", "none"])
    LookupResponse.model_validate(body)
    inputs = {variant["id"]: variant["inputs"] for product in body["products"] for variant in product["variants"]}
    featured = next(each for each in inputs if each not in ("skirt/red-M", "bag-red"))
    assert len(body["products"]) == 2 and featured.startswith("skirt/")
    assert inputs["skirt/red-M"] == [{"id": "skirt/red-M", "match": "exact"}]
    assert inputs["bag-red"] == [{"id": "bag-red", "match": "exact"}]
    assert inputs[featured] == [{"id": skirt, "match": "featured"}]
    assert codes(body) == [("not_found", "gift"), ("not_found", "none")]  # a gift has no price


def test_lookup_leaves_out_what_its_filters_exclude(call: Any) -> None:
    body = call("lookup", ids=["bag-red", "bag-blue"], filters={"price": {"min": 2000}})
    assert ids(body["products"]) == [["bag-blue"]] and "messages" not in body


def test_a_variant_s_detail_has_its_photos_and_what_other_choices_give(call: Any) -> None:
    body = call("product", id="skirt/red-M", selected=[{"name": "size", "label": "S"}])
    GetProductResponse.model_validate(body)
    product = body["product"]
    assert [each["id"] for each in product["variants"]] == ["skirt/red-M"] and len(product["media"]) == 2
    assert product["selected"] == [{"name": "colour", "label": "red"}, {"name": "size", "label": "M"}]
    signals = {
        (option["name"], value["label"]): (value["exists"], value["available"])
        for option in product["options"]
        for value in option["values"]
    }
    assert signals["size", "S"] == (True, True) and signals["size", "M"] == (True, False)
    assert signals["colour", "blue"] == (False, False)  # the blue one of size M has no price


@pytest.mark.parametrize(
    ("selected", "preferences", "kept", "variants"),
    [
        ([], [], [], 4),
        ([("Colour", "RED")], [], ["RED"], 3),
        ([("colour", "blue"), ("size", "L")], ["colour", "size"], ["blue"], 1),
        ([("colour", "blue"), ("size", "L")], ["size", "colour"], ["L"], 1),
        ([("size", "XXL"), ("colour", "red"), ("sleeve", "long")], ["size"], ["red"], 3),
    ],
)
def test_a_selection_is_relaxed_until_a_variant_has_it(
    call: Any, selected: list, preferences: list[str], kept: list[str], variants: int
) -> None:
    skirt = call("lookup", ids=["skirt/red-M"])["products"][0]["id"]
    chosen = [{"name": name, "label": label} for name, label in selected]
    product = call("product", id=skirt, selected=chosen, preferences=preferences)["product"]
    assert [each["label"] for each in product["selected"]] == kept
    assert len(product["variants"]) == variants


@pytest.mark.parametrize(
    "arguments", [{"id": "none"}, {"id": "gift"}, {"id": "bag-red", "filters": {"colour": "blue"}}]
)
def test_a_product_that_cannot_be_given_is_an_outcome(call: Any, arguments: dict) -> None:
    body = call("product", **arguments)
    ErrorResponse.model_validate(body)
    assert body["ucp"]["status"] == "error" and body["messages"][0]["code"] == "not_found"


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("search", {}, "invalid_request"),
        ("search", {"query": " ", "filters": {"categories": []}}, "invalid_request"),
        ("search", {"filters": {"condition": "new"}}, "invalid_request"),
        ("search", {"query": 5}, "invalid_request"),
        ("search", {"query": "bag", "pagination": {"cursor": "b2Zmc2V0Oi0x"}}, "invalid_cursor"),
        ("search", {"query": "bag", "pagination": {"cursor": "é"}}, "invalid_cursor"),
        (
            "search",
            {"query": "bag", "filters": {"colour": MANY}},
            "request_too_large",
        ),
        ("lookup", {"ids": []}, "invalid_request"),
        ("lookup", {"ids": MANY}, "request_too_large"),
        ("product", {"id": "skirt/red-M", "selected": [{"name": "size"}]}, "invalid_request"),
    ],
)
def test_wrong_requests_are_errors_of_the_protocol(
    ucp: TestClient, platform: Platform, operation: str, body: dict, code: str
) -> None:
    response = ucp.post(f"/ucp/catalog/{operation}", json=body, headers=platform.header())
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert response.json()["content"] and response.json()["continue_url"] == ADDRESS + "/"


def test_other_errors_of_its_paths_are_written_alike(ucp: TestClient) -> None:
    response = ucp.post("/ucp/catalog/search", json={"query": "x" * 200_000})
    assert (response.status_code, response.headers["content-type"]) == (413, "application/json")
    assert ucp.get("/ucp/catalog/search").json()["code"] == "method_not_allowed"


def test_a_service_without_the_option_does_not_offer_it(shop: Shop) -> None:
    with TestClient(create_app(shop.ranker())) as client:
        assert client.get("/.well-known/ucp").status_code == client.post("/ucp/catalog/search").status_code == 404


@pytest.mark.parametrize(
    ("address", "currency", "reason"),
    [
        ("http://shop.example", "EUR", "give the public address"),
        ("shop.example", "EUR", "give the public address"),
        ("https://shop.example", "EURO", "not an ISO 4217 code"),
        ("https://shop.example", "XAU", "has no minor unit"),
        ("https://shop.example", "EUR", "the store has none"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(
    shop: Shop, address: str, currency: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        create_app(shop.ranker(), ServerSettings(ucp=UcpSettings(address, currency)))
