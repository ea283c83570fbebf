"""What people open: the start page, results, a product, and photos to search with."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from PIL import Image

from kaleidobert.index.filters import NO_FILTERS, Filters, parse_filters
from kaleidobert.search.query import Evidence
from kaleidobert.search.query import Query as SearchQuery
from kaleidobert.search.ranker import Ranker
from kaleidobert.search.suggestions import Suggester
from kaleidobert.server.batched_ranker import BatchedRanker, known
from kaleidobert.server.caching import CachedPerVersion
from kaleidobert.server.errors import Metrics
from kaleidobert.server.pages import LAST_PAGE, PageQuery, Pages, Tile, query_of
from kaleidobert.server.photos import PhotoCache, decode_photo
from kaleidobert.server.request_parsing import one_photo, read_parts
from kaleidobert.server.routes.search import cached_jpeg
from kaleidobert.server.schemas import LONGEST_TEXT, MOST_FILTERS, image_path

PLACES = ("/", "/product", "/photo", "/docs")  # of pages: their errors are pages, too
AISLES = 8  # categories in the head
EXAMPLES = 5
ALIKE = 10  # products beside a product
STALE_SECONDS = 10.0  # how old the start page may be while the store is written to

Text = Annotated[str, Query(max_length=LONGEST_TEXT)]


@dataclass(frozen=True)
class Window:
    """What the catalogue shows before anything is asked."""

    rows: int
    tiles: list[Tile]
    examples: list[str]

    @property
    def categories(self) -> list[str]:
        return [tile.name for tile in self.tiles]

    @classmethod
    def of(cls, ranker: Ranker) -> Window:
        counts = ranker.store.facets(NO_FILTERS, ["category", "subcategory"])
        categories = [(name, count) for name, count in counts.get("category", []) if name][:AISLES]
        queries = [
            SearchQuery(name, filters=Filters.of({"category": name}), top=1, thumbnails=False) for name, _ in categories
        ]
        found = ranker.answer_many(queries) if queries else []
        tiles = [
            Tile(name, count, image_path(answer.hits[0].product.id, 0)[1:])  # the first view shows it whole
            for (name, count), answer in zip(categories, found, strict=True)
            if answer.hits
        ]
        types = [name.lower() for name, _ in counts.get("subcategory", []) if name]
        return cls(ranker.store.rows(), tiles, types[:EXAMPLES] or [name.lower() for name, _ in categories])


class HtmlPages:
    """The pages' needs: a shelf for photos, and what is derived from the catalogue."""

    def __init__(self, searcher: BatchedRanker, suggester: Suggester, pages: Pages, metrics: Metrics) -> None:
        self.searcher, self.suggester, self.pages = searcher, suggester, pages
        self.shelf = PhotoCache()
        self.window = CachedPerVersion(
            lambda: Window.of(searcher.ranker),
            lambda: searcher.ranker.store.version,
            STALE_SECONDS,
            metrics.cache_use("window"),
        )

    async def start(self) -> str:
        window = await self.searcher.gate.run(self.window)
        return self.pages.start(window.rows, window.categories, window.tiles, window.examples)

    async def results(self, asked: PageQuery) -> str:
        ranker, gate = self.searcher.ranker, self.searcher.gate
        image = await gate.run(lambda: self.shelf.get(asked.photo).image()) if asked.photo else None
        query = query_of(asked, image)
        query.check()
        window = await gate.run(self.window)
        like = (await gate.run(lambda: known(ranker, asked.like)))[0] if asked.like else None
        found = await self.searcher.answer(query)
        hint, correction = "", None
        if not found.hits:
            hint = await gate.run(lambda: ranker.why_nothing(asked.filters))
        if asked.text:
            correction = await gate.run(lambda: self.suggester.correction(asked.text))
        return self.pages.results(asked, found, window.categories, hint, correction, like)

    async def product(self, asked: PageQuery, product_id: str, view: int | None) -> str:
        ranker, gate = self.searcher.ranker, self.searcher.gate
        window = await gate.run(self.window)
        product, views = await gate.run(lambda: known(ranker, product_id))
        shown = view if view in views else product.view
        evidence: list[Evidence] = []
        size = (3, 4)
        if asked.text.strip():
            evidence = await gate.run(lambda: ranker.explain(asked.text, product_id, shown))
            photos = await gate.run(lambda: ranker.store.thumbnails([(product_id, shown)]))
            size = Image.open(io.BytesIO(photos[product_id, shown])).size
        alike = await self.searcher.answer(SearchQuery(like=product_id, top=ALIKE, thumbnails=False))
        return self.pages.product(
            asked, product, sorted(views, key=lambda each: each != shown), window.categories, evidence, size, alike.hits
        )


def page_routes(front: HtmlPages) -> APIRouter:
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/")
    async def page(
        request: Request,
        q: Text = "",
        photo: Text = "",
        like: Text = "",
        avoid: Text = "",
        sort: Annotated[str, Query(max_length=100)] = "match",
        number: Annotated[int, Query(alias="page", ge=1, le=LAST_PAGE)] = 1,
        conditions: Annotated[list[str] | None, Query(alias="filter", max_length=MOST_FILTERS)] = None,
    ) -> str:
        filters = parse_filters([*(conditions or []), *range_conditions(request)])
        asked = PageQuery(q.strip(), photo, like, avoid, filters, sort, number)
        return await front.results(asked) if asked else await front.start()

    @router.get("/product")
    async def product(
        product_id: Annotated[str, Query(alias="id", max_length=500)],
        view: int | None = None,
        q: Text = "",
        photo: Text = "",
        like: Text = "",
        conditions: Annotated[list[str] | None, Query(alias="filter", max_length=MOST_FILTERS)] = None,
    ) -> str:
        asked = PageQuery(q.strip(), photo, like, filters=parse_filters(conditions or []))
        return await front.product(asked, product_id, view)

    @router.post("/photo")
    async def upload(request: Request) -> Response:
        """Keeps the photo and shows what is like it: a page that can be reloaded, paged through and filtered."""
        words, photos = await read_parts(request, "q")
        encoded = one_photo(photos) or b""
        image = await front.searcher.gate.run(lambda: decode_photo(encoded, "your photo"))
        asked = PageQuery(words.strip()[:LONGEST_TEXT], photo=front.shelf.keep(image))
        return RedirectResponse(asked.href(), status_code=303)

    @router.get("/photos/{name}")
    def photo(request: Request, name: str) -> Response:
        return cached_jpeg(request, front.shelf.get(name).jpeg, private=True)

    return router


def range_conditions(request: Request) -> list[str]:
    """What the page's fields for numbers ask: from:price=10 -> price>=10."""
    signs = {"from": ">=", "to": "<="}
    fields = [(*name.partition(":"), value.strip()) for name, value in request.query_params.multi_items()]
    return [f"{name}{signs[end]}{value}" for end, colon, name, value in fields if colon and end in signs and value]
