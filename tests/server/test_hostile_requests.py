"""Requests made to harm: each gets an answer below 500, or one that says to come back, and costs little."""

import errno
import io
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fixtures.shop import Shop, drawn
from kaleidobert.index.filters import parse_filters
from kaleidobert.index.indexer import index_catalogue
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.server.app import ServerSettings, create_app
from kaleidobert.server.auth import Tokens
from kaleidobert.server.routes import search as search_routes

TOKEN = "0123456789abcdef"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient]:
    settings = ServerSettings(Tokens([TOKEN]), metrics_tokens=Tokens([TOKEN]))
    with TestClient(create_app(shop.ranker(), settings), raise_server_exceptions=False) as client:
        yield client


def test_json_may_come_as_a_file_of_a_form(client: TestClient) -> None:
    part = ("request.json", b'{"query": "red bag", "top": 2}', "application/json")
    found = client.post("/api/search", files={"request": part})
    assert found.status_code == 200 and len(found.json()["hits"]) == 2


def test_a_photo_that_is_no_file_is_refused_not_ignored(client: TestClient) -> None:
    form = {"request": (None, '{"query": "red bag"}'), "photo": (None, "shoe.jpg")}  # curl -F photo=shoe.jpg
    refused = client.post("/api/search", files=form)
    assert refused.status_code == 422 and "photo=@FILE" in refused.json()["detail"]


def test_a_client_that_hangs_up_is_no_failure_of_the_server(client: TestClient) -> None:
    sent: list[Any] = []
    headers = [(b"content-type", b"application/json"), (b"host", b"testserver")]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/api/search", "raw_path": b"/api/search"}
    scope |= {"query_string": b"", "headers": headers, "scheme": "http", "client": ("127.0.0.1", 1)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(client.app, scope, receive, send)
    assert sent[0]["status"] == 400


@pytest.mark.parametrize(
    "path",
    [
        f"/api/products/p00/why?q=red&view={2**31}",
        f"/images/p00/{2**31}",
        f"/product?id=p00&view={2**31}",
        "/?q=bag&filter=" + "a" * 3000 + "%3C%3D5",
        "/?q=bag" + "".join(f"&from:n{number}=1" for number in range(51)),
        "/?q=bag&page=999999999999999999999",
    ],
)
def test_parameters_out_of_range_are_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        {"query": "bag", "filters": ["n" * 1_000_000 + "<=5"]},
        {"query": "bag", "facets": ["n" * 1_000_000]},
        {"query": "bag", "avoid": ",".join("abc" for _ in range(500))},
        {"query": "bag", "avoid": ", ".join(f"phrase {number}" for number in range(1000))},
    ],
)
def test_requests_that_would_cost_much_are_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/api/search", json=body).status_code in (400, 422)


def test_attributes_of_written_products_have_limits(client: TestClient) -> None:
    for attributes in ({"n" * 201: "a"}, {"a": "v" * 2001}):
        body = {"products": [{"id": "x", "title": "x", "attributes": attributes, "photos": ["aGk="]}]}
        assert client.put("/api/products", json=body, headers=BEARER).status_code == 422


@pytest.mark.parametrize("product", ["a\nb", "a\0b", ".", ".."])
def test_ids_of_written_products_fit_into_addresses(client: TestClient, product: str) -> None:
    body = {"products": [{"id": product, "title": "x", "photos": ["aGk="]}]}
    answer = client.put("/api/products", json=body, headers=BEARER)
    assert answer.status_code == 422 and "id" in answer.json()["detail"]


def test_filters_may_name_anything(shop: Shop) -> None:
    index = LanceDBIndex.open(shop.uri)
    signs = [chr(code) for code in range(32, 127) if chr(code) not in '"<>=']
    for start in range(0, len(signs), 25):
        filters = parse_filters(f'"a{sign}b"<=5' for sign in signs[start : start + 25])
        assert index.recall(np.ones(16), 1, filters) == []


@pytest.mark.parametrize("gone", ["products-1.lance/data", ""])
def test_a_store_that_is_gone_is_503(shop: Shop, tmp_path: Path, gone: str) -> None:
    store = shutil.copytree(shop.uri, tmp_path / "store")
    ranker = replace(shop, uri=str(store)).ranker()
    product = shop.products[0].id
    with TestClient(create_app(ranker, ServerSettings(Tokens([TOKEN]))), raise_server_exceptions=False) as client:
        shutil.rmtree(store / gone)
        for path in (f"/api/products/{product}", f"/images/{product}/0", "/?q=red+bag", "/readyz"):
            answer = client.get(path)
            assert answer.status_code == 503 and "the store cannot be read" in answer.text.lower()
            assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("size", [0, 100])
def test_a_service_whose_store_is_damaged_is_not_ready(shop: Shop, tmp_path: Path, size: int) -> None:
    store = shutil.copytree(shop.uri, tmp_path / "store")
    ranker = replace(shop, uri=str(store)).ranker()
    with TestClient(create_app(ranker), raise_server_exceptions=False) as client:
        assert client.get("/readyz").status_code == 200
        for file in (store / "products-1.lance" / "data").iterdir():
            os.truncate(file, size)
        assert client.get("/readyz").status_code == 503


def test_a_full_disk_is_507(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = shop.ranker()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ranker.store, "upsert", full)
    with TestClient(create_app(ranker, ServerSettings(Tokens([TOKEN]))), raise_server_exceptions=False) as client:
        part = {"product": '{"id": "new", "title": "bag"}'}
        sent = client.put("/api/products", data=part, files={"photo": drawn("red", "ellipse")}, headers=BEARER)
    assert sent.status_code == 507 and "full disk" in sent.json()["detail"]


def test_no_answer_names_the_host_of_the_request_as_a_place_to_go(client: TestClient) -> None:
    for path in ("/docs/", "/static", "/api/search/", "/product/"):
        answer = client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
        assert answer.status_code < 500 and "evil.example" not in answer.headers.get("location", "")
    sent = client.post(
        "/photo", files={"photo": drawn("red", "ellipse")}, headers={"host": "evil.example"}, follow_redirects=False
    )
    assert sent.headers["location"].startswith("./?photo=")


def test_metrics_may_need_a_token(client: TestClient) -> None:
    assert client.get("/metrics").status_code == 401
    assert "kaleidobert_requests_total" in client.get("/metrics", headers=BEARER).text


def test_photos_kept_by_reference_are_shown_below_one_folder_and_only_as_images(
    new_shop: Shop, catalogue_file: Path
) -> None:
    folder = catalogue_file.parent
    index_catalogue(str(catalogue_file), new_shop.model_folder, new_shop.uri, photos="referenced")
    (folder / "p03.png").write_bytes(drawn("red", "ellipse", (600, 800)))
    (folder / "p04.png").write_text("a secret")
    sizes = []
    for photos in (None, folder):
        app = create_app(new_shop.ranker(), ServerSettings(photos=photos))
        with TestClient(app, raise_server_exceptions=False) as client:
            for product in ("p03", "p04"):
                photo = client.get(f"/images/{product}/0?large=true")
                sizes.append(Image.open(io.BytesIO(photo.content)).size)
    assert sizes == [(60, 80), (60, 80), (600, 800), (60, 80)]  # the thumbnail, where the file is not to be shown


def test_searches_do_not_wait_for_photos_being_decoded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go = threading.Event(), threading.Event()
    decode = search_routes.decode_photo

    def slow(encoded: bytes) -> Any:
        started.set()
        assert go.wait(60)
        return decode(encoded)

    monkeypatch.setattr(search_routes, "decode_photo", slow)
    with TestClient(create_app(shop.ranker(), ServerSettings(workers=1))) as client, ThreadPoolExecutor() as pool:
        describing = pool.submit(client.post, "/api/describe", files={"photo": drawn("red", "ellipse")})
        assert started.wait(60)
        assert client.post("/api/search", json={"query": "red bag"}).status_code == 200
        go.set()
        assert describing.result(60).status_code == 200
