"""A running shop of 36 products, and a headless Chromium."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn

from fixtures.shop import COLOURS, SHAPES, Shop, drawn, save_model
from fixtures.visits import Site, open_page
from kaleidobert.data.product import Product
from kaleidobert.index.lancedb_store import LanceDBIndex
from kaleidobert.search.rules import parse_rules
from kaleidobert.server.app import create_app, listen

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FABRICS = ("wool", "silk", "linen")

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")


def products() -> list[Product]:
    kinds = [(colour, fabric, shape) for shape in SHAPES for fabric in FABRICS for colour in COLOURS]
    return [
        Product(
            id=f"bag/{number}",
            title=f"{colour} {fabric} {shape} bag",
            description=f"A bag of {fabric}.",
            category="Evening" if shape == "ellipse" else "Everyday",
            subcategory=f"{shape} bags",
            attributes={"colour": colour, "fabric": fabric, "price": str(10 * number)},
            images=(drawn(colour, shape),) if number else (drawn(colour, shape), drawn("black", shape)),
        )
        for number, (colour, fabric, shape) in enumerate(kinds)
    ]


def arabic_products() -> list[Product]:
    colours = {"red": "حمراء", "blue": "زرقاء", "green": "خضراء", "black": "سوداء"}
    return [
        Product(
            id=f"حقيبة/{colour}/{shape}",
            title=f"حقيبة يد {name}، طراز {number}",
            description="حقيبة من الصوف.",
            category="حقائب",
            attributes={"اللون": name, "price": str(10 + number)},
            images=(drawn(colour, shape),),
        )
        for number, shape in enumerate(SHAPES)
        for colour, name in colours.items()
    ]


RULES = """
rules:
  - query: party
    pin: [bag/35, bag/7]
    banner: Ready for the night
  - query: returns
    redirect: /docs
"""


def running(folder: Path, products: list[Product], rules: str = "") -> Iterator[Site]:
    """A service on a store of these products."""
    torch.set_num_threads(1)
    shop = Shop(str(folder / "store"), save_model(folder / "model", seed=1), products)
    shop.indexer().index(shop.products)
    LanceDBIndex.open(shop.uri).describe(rules=parse_rules(rules, "rules.yaml").model_dump(exclude_defaults=True))
    app = create_app(shop.ranker())
    with listen("127.0.0.1", 0) as socket:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        yield Site(f"http://127.0.0.1:{socket.getsockname()[1]}/", app)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from running(tmp_path_factory.mktemp("site"), products(), RULES)


@pytest.fixture(scope="module")
def arabic_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from running(tmp_path_factory.mktemp("arabic"), arabic_products())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium found: apt-get install chromium, or set CHROMIUM=/path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """A desktop page; afterwards, no request went to another host and the console has no errors."""
    page, visit = open_page(browser, site)
    yield page
    page.context.close()
    assert visit.foreign_requests == [] and visit.errors == []


@pytest.fixture
def phone(browser: Any, site: Site) -> Iterator[Any]:
    """A page on a small touch screen, with the same checks."""
    page, visit = open_page(browser, site, viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True)
    yield page
    page.context.close()
    assert visit.foreign_requests == [] and visit.errors == []


@pytest.fixture
def plain(browser: Any, site: Site) -> Iterator[Any]:
    """A page without JavaScript."""
    page, _ = open_page(browser, site, java_script_enabled=False)
    yield page
    page.context.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of a red bag, large enough for a search."""
    path = tmp_path / "red.png"
    path.write_bytes(drawn("red", "ellipse", (300, 400)))
    return path
