import re
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient
from shop import Shop
from starlette.exceptions import HTTPException
from typer.testing import CliRunner

from kaleidobert.cli.index import index
from kaleidobert.cli.search import search
from kaleidobert.cli.serve import serve
from kaleidobert.errors import InputError
from kaleidobert.search.http import Gate
from kaleidobert.search.service import create_app, listen
from kaleidobert.search.store import Store


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop.ranker()), raise_server_exceptions=False) as client:
        yield client


class Page(HTMLParser):
    """What a browser would load, and the elements people use."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def problem(response: Any, status: int) -> str:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status and body["title"]
    return body["detail"]


def test_the_start_page_has_a_box_a_button_and_examples(client: TestClient) -> None:
    response = client.get("/")
    page = Page(response.text)
    assert response.status_code == 200 and "<h1>" in response.text
    assert any(each.get("name") == "q" and each.get("aria-label") for each in page.all("input"))
    assert ">Search</button>" in response.text
    assert {"?q=ellipse", "?q=rectangle"} <= set(page.loads)


def test_a_search_without_javascript_shows_cards(client: TestClient) -> None:
    response = client.get("/", params={"q": "red <b>bag</b>", "filter": "subcategory=ellipse"})
    page = Page(response.text)
    photos = [each for each in page.all("img") if each["alt"]]
    assert len(photos) == 6 and all(str(each["alt"]).startswith("Photo of ") for each in photos)
    assert all(client.get("/" + str(each["src"])).status_code == 200 for each in photos)
    assert "red &lt;b&gt;bag" in response.text and "<b>" not in response.text
    assert "% match" in response.text and 'aria-label="Remove the filter subcategory: ellipse"' in response.text


@pytest.mark.parametrize("path", ["/", "/?q=bag", "/?q=bag&filter=colour%3Dpink", "/?q=bag&page=0", "/docs"])
def test_nothing_is_loaded_from_other_hosts(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert not [address for address in Page(response.text).loads if re.match(r"(\w+:)?//|data:", address)]
    assert "style=" not in response.text and "<script>" not in response.text  # the policy forbids both
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'self'" in policy


def test_static_files_load_nothing_from_other_hosts(client: TestClient) -> None:
    for name in ("shop.css", "shop.js", "icon.svg"):
        text = client.get(f"/static/{name}").text
        assert "url(" not in text and "@import" not in text
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


def test_page_states(client: TestClient) -> None:
    assert "Nothing found for “bag”" in client.get("/?q=bag&filter=colour%3Dpink").text
    broken = client.get("/?q=bag&filter=pink")
    assert broken.status_code == 400 and "This search did not work" in broken.text and "NAME=VALUE" in broken.text
    assert client.get("/?q=bag&page=0").status_code == 422
    assert "There is no page 2" in client.get("/?q=bag&page=2").text


def test_api_search_pages_through_one_order(client: TestClient, shop: Shop) -> None:
    whole = client.post("/api/search", json={"query": "red bag", "top": 12}).json()
    first = client.post("/api/search", json={"query": "red bag", "top": 5}).json()
    last = client.post("/api/search", json={"query": "red bag", "top": 7, "offset": 5}).json()
    assert first["hits"] + last["hits"] == whole["hits"]
    assert (first["next_offset"], last["next_offset"]) == (5, None)
    assert whole["model"] == Store.open(shop.uri).info.fingerprint
    assert whole["milliseconds"]["rerank"] > 0
    assert [hit["rank"] for hit in whole["hits"]] == list(range(1, 13))


def test_api_filters_and_switches_reranking_off(client: TestClient) -> None:
    request = {"query": "bag", "filters": {"fabric": "it's 100% 'wool'"}, "rerank": 0}
    hits = client.post("/api/search", json=request).json()["hits"]
    assert sorted(hit["id"] for hit in hits) == ["p00", "p01", "p02", "p03"]
    assert all(hit["match"] is None for hit in hits)


def test_api_problems_are_documents_with_one_sentence(client: TestClient) -> None:
    def post(body: dict) -> Any:
        return client.post("/api/search", json=body)

    assert problem(post({"query": " "}), 400) == "the query is empty: give a text, a photo or both"
    assert "top" in problem(post({"query": "a", "top": 0}), 422)
    assert "colour" in problem(post({"query": "a", "colour": "red"}), 422)
    assert "query" in problem(post({"query": "a" * 3000}), 422)
    assert "no product with id" in problem(client.get("/api/products/none"), 404)
    assert "no photo 7" in problem(client.get("/images/p00/7"), 404)
    assert problem(client.get("/nowhere"), 404)
    assert problem(client.delete("/api/search"), 405)


def test_a_failure_inside_is_a_problem_too(shop: Shop) -> None:
    ranker = shop.ranker()
    ranker.answer = lambda *_, **__: 1 / 0  # type: ignore[method-assign, assignment]
    with TestClient(create_app(ranker), raise_server_exceptions=False) as client:
        assert "its log says why" in problem(client.post("/api/search", json={"query": "a"}), 500)
        assert "not available just now" in client.get("/?q=a").text
        assert 'status="500"' in client.get("/metrics").text


def test_products_and_photos(client: TestClient) -> None:
    product = client.get("/api/products/p00").json()
    assert product["title"] == "red ellipse bag" and product["attributes"]["colour"] == "red"
    assert product["images"] == ["/images/p00/0", "/images/p00/1", "/images/p00/2"]
    photo = client.get("/images/p00/2")
    assert photo.headers["content-type"] == "image/jpeg" and "max-age" in photo.headers["cache-control"]
    again = client.get("/images/p00/2", headers={"if-none-match": photo.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_ids_with_slashes_and_spaces_have_addresses(new_shop: Shop) -> None:
    new_shop.indexer().index([replace(new_shop.products[1], id="a/b c?ü")])
    with TestClient(create_app(new_shop.ranker())) as client:
        (hit,) = client.post("/api/search", json={"query": "bag"}).json()["hits"]
        assert client.get(hit["image"]).status_code == 200
        assert client.get("/api/products/a%2Fb%20c%3F%C3%BC").json()["id"] == "a/b c?ü"


def test_health_readiness_metrics_and_description(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok"
    assert client.get("/readyz").text == "ready"
    client.post("/api/search", json={"query": "bag"})
    metrics = client.get("/metrics").text
    assert 'kaleidobert_requests_total{route="/api/search",status="200"}' in metrics
    for stage in ("encode", "recall", "rerank"):
        assert f'kaleidobert_search_stage_seconds_count{{stage="{stage}"}}' in metrics
    assert "SearchRequest" in client.get("/openapi.json").json()["components"]["schemas"]
    assert "openapi.json" in client.get("/docs").text
    assert client.get("/redoc").status_code == 404


def test_not_ready_without_products(shop: Shop) -> None:
    ranker = shop.ranker()
    ranker.store.rows = lambda: 0  # type: ignore[method-assign]
    with TestClient(create_app(ranker)) as client:
        assert "is empty" in problem(client.get("/readyz"), 503)
        assert "The store is empty" in client.get("/").text


def test_a_full_queue_is_refused_at_once() -> None:
    import anyio

    async def scenario() -> list[str]:
        gate, release, results = Gate(workers=1, waiting=1), threading.Event(), []

        async def ask() -> None:
            try:
                await gate.run(release.wait)
                results.append("done")
            except HTTPException as error:
                results.append(str(error.status_code))
                release.set()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        return results

    assert anyio.run(scenario) == ["503", "done", "done"]


def run(verb: Any, *arguments: object) -> Any:
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_command_line(shop: Shop, new_shop: Shop, catalogue_file: Path) -> None:
    arguments = (catalogue_file, "--model", shop.model_folder, "--store", new_shop.uri, "--batch-size", 8)
    assert "indexed 12 products (12 photos)" in run(index, *arguments).output
    found = run(search, "red bag", "--store", new_shop.uri, "--filter", "colour=red", "--top", 3)
    assert found.exit_code == 0 and "red ellipse bag" in found.output
    assert "Example: kaleidobert search" in run(search, "--help").output


def test_command_line_refuses_in_one_line(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(verb: Any, *arguments: object) -> str:
        error = run(verb, *arguments).exception
        assert isinstance(error, InputError) and "\n" not in str(error)
        return str(error)

    assert "no product store" in refused(search, "a", "--store", tmp_path / "none")
    assert "NAME=VALUE" in refused(search, "a", "--store", shop.uri, "--filter", "red")
    assert "no product store" in refused(serve, "--store", tmp_path / "none", "--port", 0)
    assert "no model" in refused(serve, "--store", shop.uri, "--port", 0, "--model", tmp_path / "none")
    assert "no such file" in refused(
        index, tmp_path / "none.csv", "--model", shop.model_folder, "--store", tmp_path / "s"
    )
    assert "no model" in refused(index, tmp_path / "none.csv", "--model", tmp_path, "--store", tmp_path / "s")
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert "in use" in refused(serve, "--store", shop.uri, "--port", port)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "kaleidobert.search.service")
    assert "pip install 'kaleidobert[serve]'" in refused(serve, "--store", shop.uri)


def test_a_free_port_can_be_asked_for() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert isinstance(listener, socket.socket) and listener.getsockname()[1] > 0
