"""What the service logs, and the events that a shop's own pages send."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from fixtures.shop import Shop
from kaleidobert.data import events
from kaleidobert.data.events import Event, EventLog, read_events
from kaleidobert.server.app import ServerSettings, create_app

CLICK = {"kind": "click", "product": "p00", "query": "red bag", "position": 2}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture
def client(shop: Shop, log: Path) -> Iterator[TestClient]:
    app = create_app(shop.ranker(), ServerSettings(events=EventLog(log)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def logged(log: Path) -> list[tuple]:
    found, damaged = read_events(log)
    assert not damaged
    return [(each.kind, each.query, each.product, each.position) for each in found]


def test_events_of_a_shop_s_own_pages(client: TestClient, log: Path) -> None:
    sent = [CLICK, {"kind": "cart", "product": "p00"}, {"kind": "view", "product": "p01", "query": "hat"}]
    assert client.post("/api/events", json={"events": sent}).status_code == 204
    expected = [("click", "red bag", "p00", 2), ("cart", "", "p00", None), ("view", "hat", "p01", None)]
    assert logged(log) == expected


def test_searches_are_logged_once_with_what_they_found(client: TestClient, log: Path) -> None:
    client.get("/", params={"q": "red bag"})
    client.get("/", params={"q": "red bag", "page": 2})  # the same search
    client.get("/", params={"filter": "category=Women"})  # nothing was typed
    client.post("/api/search", json={"query": "bag", "filters": ["colour=none"]})
    found, _ = read_events(log)
    assert [(each.kind, each.query) for each in found] == [("search", "red bag"), ("search", "bag")]
    assert found[0].hits and found[1].hits == 0


def test_a_product_opened_from_an_answer_is_a_click(client: TestClient, log: Path) -> None:
    page = client.get("/", params={"q": "red bag"}).text
    links = [unescape(each) for each in re.findall(r'href="(product\?[^"]+)"', page)]
    assert client.get("/" + links[2]).status_code == 200  # of two links each: the second product
    client.get("/product?id=p00&q=red")  # not from an answer
    clicks = [each for each in logged(log) if each[0] == "click"]
    assert len(clicks) == 1 and clicks[0][1] == "red bag" and clicks[0][3] == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "search"}, "kind"),
        ({"product": ""}, "product"),
        ({"position": 0}, "position"),
        ({"query": "x" * 2001}, "query"),
        ({"who": "me"}, "who"),
    ],
)
def test_what_is_no_event_is_refused(client: TestClient, log: Path, changes: dict, field: str) -> None:
    response = client.post("/api/events", json={"events": [CLICK, CLICK | changes]})
    assert response.status_code == 422 and f"events.1.{field}" in response.json()["detail"]
    assert not log.exists()


def test_a_service_that_logs_nothing_says_so(shop: Shop) -> None:
    with TestClient(create_app(shop.ranker())) as client:
        response = client.post("/api/events", json={"events": [CLICK]})
        assert response.status_code == 403 and "--log-events" in response.json()["detail"]


def test_a_log_that_cannot_be_written_fails_no_search(
    client: TestClient, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "DAY_BYTES", -1)
    assert client.post("/api/search", json={"query": "bag"}).status_code == 200
    response = client.post("/api/events", json={"events": [CLICK]})
    assert response.status_code == 507 and "cannot be stored" in response.json()["detail"]
    assert Event("click") not in read_events(log)[0]


@pytest.mark.parametrize("headers", [{"sec-purpose": "prefetch"}, {"sec-fetch-dest": "image"}, {"purpose": "prefetch"}])
def test_what_nobody_reads_is_not_counted(client: TestClient, log: Path, headers: dict) -> None:
    for path in ("/?q=red+bag", "/product?id=p00&q=red&rank=1"):
        assert client.get(path, headers=headers).status_code == 200
        assert client.head(path).status_code == 200
    assert not log.exists()
    assert client.get("/product?id=p00&q=red&rank=1", headers={"sec-fetch-dest": "document"}).status_code == 200
    assert logged(log) == [("click", "red", "p00", 1)]


def test_a_query_that_is_more_than_its_words_is_not_logged(client: TestClient, log: Path) -> None:
    """ "in red" beside a product to resemble does not find red things."""
    assert client.get("/?q=in+red&like=p00").status_code == 200
    assert client.get("/product?id=p01&q=in+red&like=p00&rank=1").status_code == 200
    assert client.post("/api/search", json={"query": "in red", "like": "p00"}).status_code == 200
    assert client.get("/?q=red&filter=category%3DWomen").status_code == 200  # a filter of the search before
    assert not log.exists()


def test_a_hundred_long_events_fit_a_request_and_a_form_does_not(client: TestClient, log: Path) -> None:
    long = {"kind": "click", "product": "p00", "query": "ق" * 1000}
    assert client.post("/api/events", json={"events": [long] * 100}).status_code == 204
    assert len(logged(log)) == 100
    refused = client.post("/api/events", json={"events": [long | {"query": "x" * 12_000}] * 100})
    assert refused.status_code == 413 and "1 MB" in refused.json()["detail"]
    form = client.post("/api/events", files={"photo": b"x"})
    assert form.status_code == 415 and "form" not in form.json()["detail"]
