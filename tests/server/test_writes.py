"""Storing and removing products through the API."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fixtures.shop import Shop, drawn, loaded
from kaleidobert.index.indexer import Indexer
from kaleidobert.server import batched_ranker
from kaleidobert.server.app import ServerSettings, create_app
from kaleidobert.server.auth import Tokens

TOKEN = "correct-horse-battery-staple"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def client(new_shop: Shop) -> Iterator[TestClient]:
    new_shop.indexer().index(new_shop.products[:4])
    with TestClient(create_app(new_shop.ranker(), ServerSettings(Tokens([TOKEN])))) as client:
        yield client


def ids(client: TestClient, query: str = "bag") -> list[str]:
    found = client.post("/api/search", json={"query": query, "top": 50}).json()
    return sorted(hit["id"] for hit in found["hits"])


def detail(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["detail"]


def product(product_id: str = "new", **fields: Any) -> dict[str, Any]:
    photo = base64.b64encode(drawn("purple", "ellipse")).decode()
    return {"id": product_id, "title": "purple ellipse bag", "category": "Women", "photos": [photo], **fields}


def test_the_next_search_sees_stored_and_removed_products(client: TestClient) -> None:
    before = ids(client)
    many = [product(f"new/{number}", title=f"purple bag {number}") for number in range(3)]
    stored = client.put("/api/products", json={"products": many}, headers=HEADERS)
    assert stored.json() == {"stored": ["new/0", "new/1", "new/2"], "photos": 3}
    assert ids(client) == sorted([*before, "new/0", "new/1", "new/2"])
    assert client.get("/api/products/new%2F1").json()["title"] == "purple bag 1"
    gone = client.delete("/api/products/new%2F1", headers=HEADERS)
    assert gone.status_code == 204 and not gone.content
    assert ids(client) == sorted([*before, "new/0", "new/2"])
    assert "no product" in detail(client.delete("/api/products/new%2F1", headers=HEADERS), 404)


def test_an_id_given_twice_is_refused(client: TestClient) -> None:
    twice = [product("new", title="one"), product("other"), product("new", title="two")]
    answer = client.put("/api/products", json={"products": twice}, headers=HEADERS)
    assert "the id 'new' is given 2 times" in detail(answer, 422)
    assert "new" not in ids(client)


def test_blanks_are_trimmed_and_numbers_and_truths_are_attributes(client: TestClient) -> None:
    attributes = {" in_stock ": True, "price": 19.99, "pages": 7, "empty": " ", "colour": " Red "}
    one = product("new", title=" bag ", category="  ", subcategory=" Totes ", attributes=attributes)
    assert client.put("/api/products", json={"products": [one]}, headers=HEADERS).status_code == 200
    stored = client.get("/api/products/new").json()
    assert (stored["title"], stored["category"], stored["subcategory"]) == ("bag", "", "Totes")
    assert stored["attributes"] == {"in_stock": "true", "price": "19.99", "pages": "7", "colour": "Red"}
    for condition in ("in_stock=true", "in_stock=True", "price=19.99", "price=19.990", "price<20", "colour=red"):
        body = {"query": "bag", "filters": [condition]}
        found = {hit["id"] for hit in client.post("/api/search", json=body).json()["hits"]}
        assert found - {"p00"} == {"new"}, condition  # p00 is red, too
    assert client.get("/").status_code == 200


def test_the_address_of_a_photo_changes_with_it(client: TestClient) -> None:
    before = client.get("/api/products/p01").json()["images"]
    assert client.put("/api/products", json={"products": [product("p01")]}, headers=HEADERS).status_code == 200
    assert client.get("/api/products/p01").json()["images"] != before


def test_replacing_a_product_replaces_all_its_photos(client: TestClient) -> None:
    assert len(client.get("/api/products/p00").json()["images"]) == 3
    form = {"product": json.dumps({"id": "p00", "title": "green bag", "attributes": {"colour": "green"}})}
    photos = [("photo", ("a.png", drawn("green", shape), "image/png")) for shape in ("ellipse", "rectangle")]
    assert client.put("/api/products", data=form, files=photos, headers=HEADERS).json()["photos"] == 2
    changed = client.get("/api/products/p00").json()
    assert (changed["title"], len(changed["images"])) == ("green bag", 2)
    small = Image.open(io.BytesIO(client.get(changed["images"][0]).content))
    assert small.getpixel((30, 40))[1] > 100  # type: ignore[index]


def test_writes_need_a_token(client: TestClient, shop: Shop) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = client.put("/api/products", json={"products": [product()]}, headers=headers)
        assert "Authorization: Bearer" in detail(refused, 401) and refused.headers["www-authenticate"] == "Bearer"
        assert detail(client.delete("/api/products/p00", headers=headers), 401)
    assert "new" not in ids(client) and "p00" in ids(client)
    with TestClient(create_app(shop.ranker())) as read_only:
        put = read_only.put("/api/products", json={"products": [product()]}, headers=HEADERS)
        assert "read-only" in detail(put, 403)
        assert "read-only" in detail(read_only.delete("/api/products/p00", headers=HEADERS), 403)


def test_all_products_of_a_request_are_stored_or_none(client: TestClient) -> None:
    before = ids(client)
    broken = base64.b64encode(drawn("red", "ellipse")[:-60]).decode()
    for bad, status, complaint in (
        (product("b", photos=[broken]), 400, "photo 0 of product 'b' cannot be read"),
        (product("b", photos=[]), 400, "'b' has 0 photos"),
        (product("b", photos=["?"]), 400, "a photo of product 'b' is not base64"),
        (product(""), 422, "products.1.id"),
        (product("b", colour="red"), 422, "products.1.colour"),
        (product("b", attributes={"price": [3]}), 422, "products.1.attributes.price"),
    ):
        answer = client.put("/api/products", json={"products": [product("a"), bad]}, headers=HEADERS)
        assert complaint in detail(answer, status)
    assert ids(client) == before


def test_writes_are_limited(client: TestClient) -> None:
    many = {"products": [product(str(number), photos=[]) for number in range(65)]}
    assert "at most 64" in detail(client.put("/api/products", json=many, headers=HEADERS), 422)
    large = {"products": [product(description="a" * 65_000_000)]}
    assert "larger than 64 MB" in detail(client.put("/api/products", json=large, headers=HEADERS), 413)


def test_the_service_switches_to_a_new_version_of_the_store(
    new_shop: Shop, other_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert batched_ranker.VERSION_CHECK_SECONDS > 1
    monkeypatch.setattr(batched_ranker, "VERSION_CHECK_SECONDS", 0.05)
    new_shop.indexer().index(new_shop.products[:4])
    with TestClient(create_app(new_shop.ranker())) as client:
        old = client.post("/api/search", json={"query": "bag"}).json()["model"]
        other = loaded(other_model_folder)
        Indexer(other, new_shop.uri, new_version=True).index(new_shop.products)
        for _ in range(200):
            found = client.post("/api/search", json={"query": "bag"}).json()
            assert found["hits"]  # one of the two versions answers at any time
            if found["model"] != old:
                break
        assert found["model"] == other.fingerprint and found["total"] == 12


@pytest.mark.parametrize(
    "texts", [{"title": ""}, {"title": " n/a "}, {"title": "<p> </p>", "description": "<!-- x -->"}]
)
def test_a_product_without_text_is_refused_as_in_catalogues(client: TestClient, texts: dict[str, str]) -> None:
    answer = client.put("/api/products", json={"products": [product("bare", **texts)]}, headers=HEADERS)
    assert "'bare' has no text: send a title or a description" in detail(answer, 400)


def test_html_of_a_product_becomes_text_as_in_catalogues(client: TestClient) -> None:
    texts = {"title": "Shirt &amp; <b>tie</b>", "description": "<p>One</p><script>x</script><p>two</p>"}
    new = product("marked", **texts, attributes={"care": "<i>warm</i>"})
    assert client.put("/api/products", json={"products": [new]}, headers=HEADERS).status_code == 200
    found = client.get("/api/products/marked").json()
    assert (found["title"], found["description"]) == ("Shirt & tie", "One\ntwo")
    assert found["attributes"] == {"care": "warm"}
