"""The protocol's routes on a small shop, and a platform that calls them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from fixtures.shop import Shop
from fixtures.ucp import ADDRESS, CAPABILITIES, VERSION, Platform, platform_profile, priced_products
from kaleidobert.server.app import ServerSettings, create_app, listen
from kaleidobert.server.ucp.settings import UcpSettings


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    documents = {
        "profile": platform_profile(),
        "older": platform_profile("2026-01-23"),
        "without-lookup": platform_profile(capabilities=CAPABILITIES[:1]),
        "empty": {"ucp": {"version": VERSION}},
        "large": platform_profile() | {"padding": "x" * 300_000},
    }

    async def document(request: Request) -> Response:
        name = request.path_params["name"]
        platform.fetched.append(name)
        if name == "moved":
            return RedirectResponse("/profile")
        return JSONResponse(documents[name]) if name in documents else Response("gone", 404)

    with listen("127.0.0.1", 0) as socket:
        platform = Platform(f"http://127.0.0.1:{socket.getsockname()[1]}", documents)
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/{name}", document)]), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        yield platform
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def priced_shop(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Shop:
    shop = Shop(str(tmp_path_factory.mktemp("priced") / "store"), model_folder, priced_products())
    shop.indexer().index(shop.products, batch_size=5)
    return shop


@pytest.fixture(scope="session")
def ucp(priced_shop: Shop) -> Iterator[TestClient]:
    settings = ServerSettings(ucp=UcpSettings(ADDRESS + "/", "EUR"))
    with TestClient(create_app(priced_shop.ranker(), settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def call(ucp: TestClient, platform: Platform) -> Any:
    """Call an operation as the platform; gives the body of its answer."""

    def called(operation: str, **body: Any) -> Any:
        response = ucp.post(f"/ucp/catalog/{operation}", json=body, headers=platform.header())
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    return called
