"""The service's pages and its JSON API."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient

from fixtures.shop import Shop, drawn
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.server.app import ServerSettings, create_app


@pytest.fixture(scope="module")
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(create_app(shop.ranker()), raise_server_exceptions=False) as client:
        yield client


class Page(HTMLParser):
    """The elements of a page, and the addresses that it links to or loads."""

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


def test_the_start_page_has_a_search_box_a_photo_upload_and_categories(client: TestClient) -> None:
    response = client.get("/")
    page = Page(response.text)
    assert response.status_code == 200 and "<h1>" in response.text
    assert any(each.get("name") == "q" and each.get("aria-label") for each in page.all("input"))
    assert any(each.get("type") == "file" for each in page.all("input"))
    assert {"./?q=ellipse", "./?q=rectangle", "./?filter=category%3DWomen"} <= set(page.loads)
    assert "6 pieces" in response.text


def test_a_search_without_javascript_shows_cards(client: TestClient) -> None:
    response = client.get("/", params={"q": "red <b>bag</b>", "filter": "subcategory=ellipse"})
    page = Page(response.text)
    photos = [str(each["src"]) for each in page.all("img") if "images/" in str(each["src"])]
    assert len(photos) == 6 and all(client.get("/" + photo).status_code == 200 for photo in photos)
    assert "red &lt;b&gt;bag" in response.text and "<b>" not in response.text
    assert "% match" in response.text and 'aria-label="Remove the filter Type: Ellipse"' in response.text


@pytest.mark.parametrize(
    "path", ["/", "/?q=bag", "/?q=bag&filter=colour%3Dpink", "/?q=bag&page=0", "/product?id=p00&q=red", "/docs"]
)
def test_nothing_is_loaded_from_other_hosts(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert not [address for address in Page(response.text).loads if re.match(r"(\w+:)?//|data:", address)]
    assert "style=" not in response.text and "<script>" not in response.text  # the content security policy forbids both
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'self'" in policy and "unsafe" not in policy


def test_static_files_load_nothing_from_other_hosts(client: TestClient) -> None:
    for name in ("shop.css", "product.css", "shop.js", "suggest.js", "recent.js", "why.js", "icon.svg"):
        text = client.get(f"/static/{name}").text
        assert all(address.startswith('"fonts/') for address in re.findall(r"url\(([^)#$]*)", text) if address)
        assert "@import" not in text and set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


def test_page_states(client: TestClient) -> None:
    nothing = client.get("/?q=bag&filter=colour%3Dpink").text
    assert "Nothing found" in nothing and "No product passes the filters" in nothing
    broken = client.get("/?q=bag&filter=pink")
    assert broken.status_code == 400 and "That did not work" in broken.text and "NAME=VALUE" in broken.text
    assert client.get("/?q=bag&page=0").status_code == 422
    assert "There is no page 2" in client.get("/?q=bag&page=2").text
    assert client.get("/product?id=none").status_code == 404
    assert client.get("/?like=none").status_code == 404
    misspelt = client.get("/?q=purpel+bag").text
    assert "Did you mean" in misspelt and "./?q=purple+bag" in misspelt


def test_the_page_of_a_product(client: TestClient) -> None:
    text = client.get("/product?id=p00&view=2&q=red+bag").text
    first = Page(text[text.index("gallery") :]).all("img")[0]
    assert re.fullmatch(r"images/p00/2\?v=\w+&large=true", first["src"])  # the view that the search found comes first
    assert "You may also like" in text and "Why this matches “red bag”" in text
    assert "./?filter=colour%3Dred" in text


def test_an_uploaded_photo_is_cached_and_searched_with(client: TestClient) -> None:
    sent = client.post("/photo", files={"photo": drawn("red", "ellipse")}, data={"q": "blue"}, follow_redirects=False)
    assert sent.status_code == 303
    address = sent.headers["location"]
    assert address.startswith("./?q=blue&photo=")
    text = client.get(address.removeprefix(".")).text
    assert "Like your photo" in text and text.count("data-card") == 12
    (source,) = (each["src"] for each in Page(text).all("img") if str(each["src"]).startswith("photos/"))
    cached = client.get("/" + str(source))
    assert cached.headers["content-type"] == "image/jpeg" and "private" in cached.headers["cache-control"]
    assert client.post("/photo", files={"photo": b"none"}).status_code == 400
    assert client.post("/photo").status_code == 400


def test_api_search_pages_through_one_order(client: TestClient, shop: Shop) -> None:
    whole = client.post("/api/search", json={"query": "red bag", "top": 12}).json()
    first = client.post("/api/search", json={"query": "red bag", "top": 5}).json()
    last = client.post("/api/search", json={"query": "red bag", "top": 7, "offset": 5}).json()
    assert first["hits"] + last["hits"] == whole["hits"]
    assert (first["next_offset"], last["next_offset"]) == (5, None)
    assert whole["total"] == 12 and whole["exact"]
    assert whole["model"] == LanceDBIndex.open(shop.uri).info.fingerprint
    assert [hit["rank"] for hit in whole["hits"]] == list(range(1, 13))
    assert all(0 <= hit["match"] <= 1 and hit["why"] is None for hit in whole["hits"])


def test_timings_on_demand(client: TestClient) -> None:
    assert client.post("/api/search", json={"query": "a red bag"}).json()["milliseconds"] is None
    times = client.post("/api/search", json={"query": "one red bag", "timings": True}).json()["milliseconds"]
    assert {"queue", "encode", "recall", "rerank"} <= set(times) and times["encode"] > 0


def test_a_rerank_without_effect_is_told(client: TestClient) -> None:
    found = client.post("/api/search", json={"like": "p00", "rerank": 9}).json()
    assert found["note"] == "rerank 9 has no effect: the joint model reads a text, and there is none"
    assert client.post("/api/search", json={"query": "red bag", "rerank": 9}).json()["note"] == ""


def test_api_filters_facets_and_explanations(client: TestClient) -> None:
    request = {"query": "red bag", "filters": ["fabric=it's 100% 'wool'", "colour=red", "colour=green"]}
    found = client.post("/api/search", json={**request, "why": True, "facets": ["colour"], "rerank": 0}).json()
    assert sorted(hit["id"] for hit in found["hits"]) == ["p00", "p01"]
    counts = [{"value": colour, "count": 1} for colour in ("blue", "green", "orange", "red")]  # of the other filter
    assert sorted(found["facets"]["colour"], key=lambda each: each["value"]) == counts
    for hit in found["hits"]:
        assert [(each["word"], each["start"], each["end"]) for each in hit["why"]] == [("red", 0, 3), ("bag", 4, 7)]
        alone = client.get(f"/api/products/{hit['id']}/why", params={"q": "red bag", "view": hit["view"]}).json()
        assert alone["why"] == hit["why"]


def test_api_search_by_photo(client: TestClient) -> None:
    photo = drawn("red", "ellipse")
    form = client.post("/api/search", files={"photo": ("a.png", photo, "image/png")}, data={"request": '{"top": 5}'})
    text = base64.b64encode(photo).decode()
    body = client.post("/api/search", json={"photo": text, "top": 5})
    assert form.json()["hits"] == body.json()["hits"] and len(form.json()["hits"]) == 5
    assert form.json()["hits"][0]["cosine"] == pytest.approx(1.0, abs=1e-3)  # the index has this very photo
    both = client.post("/api/search", json={"photo": text, "query": "blue", "top": 5})
    assert both.json()["hits"] != body.json()["hits"]


def test_api_similar(client: TestClient) -> None:
    found = client.get("/api/products/p03/similar", params={"top": 3, "filter": "subcategory=ellipse"}).json()
    assert len(found["hits"]) == 3 and "p03" not in [hit["id"] for hit in found["hits"]]
    assert {hit["subcategory"] for hit in found["hits"]} == {"ellipse"}
    assert "no product with id" in problem(client.get("/api/products/none/similar"), 404)
    assert "no product with id" in problem(client.get("/api/products/none/why?q=red"), 404)


def test_api_suggest(client: TestClient) -> None:
    assert client.get("/api/suggest", params={"q": "purpel elli"}).json()["suggestions"][0] == "purple ellipse"
    assert len(client.get("/api/suggest", params={"q": "b", "top": 1}).json()["suggestions"]) == 1


def test_api_describe_falls_back_on_the_catalogue(client: TestClient) -> None:
    described = client.post("/api/describe", files={"photo": drawn("red", "ellipse")}).json()
    assert described["title"] == "red ellipse bag"
    assert described["sources"] == dict.fromkeys(("title", "category", "subcategory"), "catalogue")
    assert described["category"][0]["label"] in ("Women", 'Men\'s "best"')
    assert 0 < sum(each["probability"] for each in described["subcategory"]) <= 1 + 1e-6
    assert "photo" in problem(client.post("/api/describe", json={}), 422)


def test_api_errors_are_problem_documents_with_one_sentence(client: TestClient) -> None:
    def post(body: dict) -> Any:
        return client.post("/api/search", json=body)

    assert "the query is empty" in problem(post({"query": " "}), 400)
    assert "top" in problem(post({"query": "a", "top": 0}), 422)
    assert "colour" in problem(post({"query": "a", "colour": "red"}), 422)
    assert "query" in problem(post({"query": "a" * 3000}), 422)
    assert "not base64" in problem(post({"photo": "?"}), 400)
    assert "cannot be read" in problem(post({"photo": "aGk="}), 400)
    assert "NAME=VALUE" in problem(post({"query": "a", "filters": ["red"]}), 400)
    assert "Content-Type" in problem(client.post("/api/search", content=b"{}"), 415)
    assert "JSON" in problem(
        client.post("/api/search", content=b"{", headers={"content-type": "application/json"}), 422
    )
    two = [("photo", drawn("red", "ellipse")), ("photo", drawn("red", "ellipse"))]
    assert "send one" in problem(client.post("/api/search", files=two), 422)
    assert problem(client.post("/api/search", content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    assert "no product with id" in problem(client.get("/api/products/none"), 404)
    assert "no photo 7" in problem(client.get("/images/p00/7"), 404)
    assert problem(client.get("/nowhere"), 404)
    assert problem(client.delete("/api/search"), 405)
    assert "larger than" in problem(client.post("/api/search", json={"photo": "a" * 14_000_000}), 413)


def test_an_internal_error_is_a_problem_document_too(shop: Shop) -> None:
    ranker = shop.ranker()
    ranker.answer_many = lambda *_: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with TestClient(create_app(ranker), raise_server_exceptions=False) as client:
        failed = client.post("/api/search", json={"query": "a"})
        assert "see its log for the reason" in problem(failed, 500)
        assert failed.headers["connection"] == "close"
        assert "content-security-policy" in failed.headers
        assert "Something went wrong" in client.get("/?q=a").text
        assert 'status="500"' in client.get("/metrics").text


def test_searches_beyond_the_queue_are_refused_at_once(shop: Shop) -> None:
    ranker, go = shop.ranker(), threading.Event()
    answer_many = ranker.answer_many
    ranker.answer_many = lambda queries: go.wait(20) and answer_many(queries)  # type: ignore[method-assign]
    with TestClient(create_app(ranker, ServerSettings(workers=1, max_queue=1, max_batch=1))) as client:
        with ThreadPoolExecutor(4) as threads:
            requests = [threads.submit(client.post, "/api/search", json={"query": f"bag {n}"}) for n in range(4)]
            done, _ = wait(requests, return_when="FIRST_COMPLETED")
            refused = done.pop().result()
            assert "try again in a second" in problem(refused, 503) and refused.headers["retry-after"] == "1"
            assert client.get("/healthz").text == "ok"
            go.set()
        assert sorted(each.result().status_code for each in requests) == [200, 200, 503, 503]
        assert "kaleidobert_queue_waiting 0.0" in client.get("/metrics").text


def test_products_and_photos(client: TestClient) -> None:
    product = client.get("/api/products/p00").json()
    assert product["title"] == "red ellipse bag" and product["attributes"]["colour"] == "red"
    assert [address.partition("?v=")[0] for address in product["images"]] == [
        f"/images/p00/{view}" for view in range(3)
    ]
    assert all(client.get(address).status_code == 200 for address in product["images"])
    photo = client.get("/images/p00/2")
    assert photo.headers["content-type"] == "image/jpeg" and "max-age" in photo.headers["cache-control"]
    again = client.get("/images/p00/2", headers={"if-none-match": photo.headers["etag"]})
    assert again.status_code == 304 and not again.content
    for tags in (f'"x", {photo.headers["etag"]}', f"W/{photo.headers['etag']}", "*"):
        assert client.get("/images/p00/2", headers={"if-none-match": tags}).status_code == 304
    assert client.get("/images/p00/2", headers={"if-none-match": '"x"'}).status_code == 200
    assert client.get("/images/p00/2?large=true").headers["content-type"] == "image/jpeg"


def test_ids_with_slashes_and_spaces_have_addresses(new_shop: Shop) -> None:
    new_shop.indexer().index([replace(new_shop.products[1], id="a/b c?ü")])
    with TestClient(create_app(new_shop.ranker())) as client:
        (hit,) = client.post("/api/search", json={"query": "bag"}).json()["hits"]
        assert client.get(hit["image"]).status_code == 200
        assert client.get("/api/products/a%2Fb%20c%3F%C3%BC").json()["id"] == "a/b c?ü"


def test_ids_that_end_like_a_route_are_products_where_their_slash_is_encoded(new_shop: Shop) -> None:
    new_shop.indexer().index([replace(new_shop.products[1], id=each) for each in ("a", "a/why", "a/similar", "a/0")])
    with TestClient(create_app(new_shop.ranker())) as client:
        for product_id in ("a%2Fwhy", "a%2Fsimilar", "a%2F0", "a"):
            assert client.get(f"/api/products/{product_id}").json()["id"] == product_id.replace("%2F", "/")
            assert client.get(f"/images/{product_id}/0").status_code == 200
        assert client.get("/api/products/a%2Fwhy/why?q=bag").json()["id"] == "a/why"
        assert client.get("/api/products/a/why?q=bag").json()["id"] == "a"  # plain slashes mean the route


@pytest.mark.parametrize("path", ["/", "/?q=bag", "/product?id=p00", "/images/p00/0", "/api/products/p00", "/healthz"])
def test_head_has_the_headers_of_get_and_no_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers["content-length"] == get.headers["content-length"]
    assert client.head("/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/images/p00/{}", "/api/products/p00/why?q=bag&view={}", "/product?id=p00&view={}"])
def test_views_that_no_product_can_have_are_refused(client: TestClient, path: str) -> None:
    for view in (2**31, 10**30, -1):
        assert client.get(path.format(view)).status_code in (400, 404, 422)


def test_a_search_shows_what_was_understood(client: TestClient) -> None:
    page = client.get("/?q=red+bag+without+stripes").text
    assert "Search without Without: stripes" in page and "Search without Best with colour: Red" in page
    assert "Best with colour: Red" not in client.get("/?q=red+bag&ignore=colour%3Dred").text
    understood = client.post("/api/search", json={"query": "red bag without stripes"}).json()["understood"]
    assert understood == {"text": "red bag", "avoid": "stripes", "filters": [], "preferred": {"colour": "red"}}
    empty = client.get("/?q=%F0%9F%94%A5").text
    assert "There are no words to search for" in empty


def test_health_readiness_metrics_and_description(client: TestClient) -> None:
    assert client.get("/healthz").text == "ok"
    assert client.get("/readyz").text == "ready"
    client.post("/api/search", json={"query": "bag"})
    metrics = client.get("/metrics").text
    assert 'kaleidobert_requests_total{route="/api/search",status="200"}' in metrics
    for stage in ("encode", "recall", "rerank"):
        assert f'kaleidobert_search_stage_seconds_count{{stage="{stage}"}}' in metrics
    assert (
        'kaleidobert_cache_total{cache="start_page",outcome="miss"}' in metrics and "kaleidobert_batch_size" in metrics
    )
    description = client.get("/openapi.json").json()
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
    assert "SearchRequest" in references and references <= set(description["components"]["schemas"])
    assert description["paths"]["/api/products"]["put"]["security"]
    docs = client.get("/docs").text
    assert "openapi.json" in docs and 'id="SearchRequest"' in docs and 'href="#SearchRequest"' in docs
    assert client.get("/redoc").status_code == 404


def test_not_ready_without_products(shop: Shop) -> None:
    ranker = shop.ranker()
    ranker.store.rows = lambda: 0  # type: ignore[method-assign]
    ranker.store.facets = lambda **_: {}  # type: ignore[method-assign]
    with TestClient(create_app(ranker)) as client:
        assert "is empty" in problem(client.get("/readyz"), 503)
        assert "The store is empty" in client.get("/").text
