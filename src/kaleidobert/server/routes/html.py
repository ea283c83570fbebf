"""The web pages: start page, results, a product, and photos to search with."""

from __future__ import annotations

import html
import io
from typing import Annotated, Any

import fastapi
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from PIL import Image

from kaleidobert.index.filters import parse_filters
from kaleidobert.search.query import BEST_MATCH, Evidence, Query
from kaleidobert.search.suggestions import Suggester
from kaleidobert.server.batched_ranker import BatchedRanker, product_or_404
from kaleidobert.server.errors import Responder, problem_response
from kaleidobert.server.metrics import Metrics
from kaleidobert.server.page_params import LAST_PAGE, PageParams
from kaleidobert.server.pages import PageRenderer
from kaleidobert.server.photos import PhotoCache, decode_photo
from kaleidobert.server.request_parsing import read_parts, single_photo
from kaleidobert.server.routes.parameters import FilterConditions, ProductId, QueryText
from kaleidobert.server.routes.products import cached_jpeg
from kaleidobert.server.schemas import MAX_FILTERS, MAX_TEXT, MAX_VIEW, ProblemDetails
from kaleidobert.server.search_log import SearchLog, by_person
from kaleidobert.server.start_page import StartPageContent, cached_start_page

PAGE_PATHS = ("/", "/product", "/photo", "/docs")  # their errors are shown as pages, all others as JSON
SIMILAR_PRODUCTS = 10  # on a product's page


class PageHandlers:
    """Gathers what each page shows and renders it."""

    def __init__(
        self,
        batched_ranker: BatchedRanker,
        suggester: Suggester,
        renderer: PageRenderer,
        metrics: Metrics,
        log: SearchLog,
    ) -> None:
        self.batched_ranker = batched_ranker
        self.log = log
        self.photos = PhotoCache()
        self._suggester = suggester
        self._renderer = renderer
        self._start_page = cached_start_page(batched_ranker, metrics)
        self.site = StartPageContent.unread(batched_ranker.store)

    async def start(self) -> str:
        return self._renderer.start(await self.current_site())

    async def current_site(self) -> StartPageContent:
        """What pages show of the catalogue; ``site`` stays the last one, for error pages, which read no store."""
        self.site = await self.batched_ranker.executor.run(self._start_page)
        return self.site

    async def results(self, params: PageParams, logged: bool = False) -> str | Response:
        """``logged``: log the search, unless it only changes filters or the order of one before."""
        ranker, run = self.batched_ranker.ranker, self.batched_ranker.executor.run
        image = await run(lambda: self.photos.get(params.photo).image()) if params.photo else None
        query = params.to_query(image)
        query.check()
        site = await self.current_site()
        like = (await run(lambda: product_or_404(ranker, params.like)))[0] if params.like else None
        answer = await self.batched_ranker.answer(query)
        if logged and params == PageParams(params.text):
            await self.log.searched(params.text, query.offset, answer)
        if answer.redirect:
            return redirected(answer.redirect)
        correction = None
        if params.text:
            correction = await run(lambda: self._suggester.correction(params.text))
        return self._renderer.results(params, answer, site, correction, like)

    async def product(self, params: PageParams, product_id: str, view: int | None) -> str:
        """``view`` is shown first, for example the one that a search found."""
        ranker, run = self.batched_ranker.ranker, self.batched_ranker.executor.run
        site = await self.current_site()
        product, views = await run(lambda: product_or_404(ranker, product_id))
        first = view if view in views else product.view
        evidence: list[Evidence] = []
        size = (3, 4)
        if params.text.strip():
            evidence = await run(lambda: ranker.explain(params.text, product_id, first))
            thumbnails = await run(lambda: ranker.store.thumbnails([(product_id, first)]))
            size = Image.open(io.BytesIO(thumbnails[product_id, first])).size
        similar = await self.batched_ranker.answer(Query(like=product_id, top=SIMILAR_PRODUCTS, thumbnails=False))
        views = sorted(views, key=lambda each: each != first)
        return self._renderer.product(params, product, views, site, evidence, size, similar.hits)


def redirected(address: str) -> Response:
    """A page that goes to another address by itself.

    Browsers stop a redirect from a form to another host, as the pages' own policy says; this page they follow.
    """
    link = html.escape(address, quote=True)
    icon = '<link rel="icon" href="static/icon.svg">'  # or else the browser asks for one that does not exist
    page = f'<!doctype html>{icon}<meta http-equiv="refresh" content="0;url={link}"><a href="{link}">{link}</a>'
    return HTMLResponse(page)


def page_routes(handlers: PageHandlers) -> APIRouter:
    router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @router.get("/")
    async def page(
        request: Request,
        q: QueryText = "",
        photo: QueryText = "",
        like: QueryText = "",
        avoid: QueryText = "",
        sort: Annotated[str, fastapi.Query(max_length=100)] = BEST_MATCH,
        number: Annotated[int, fastapi.Query(alias="page", ge=1, le=LAST_PAGE)] = 1,
        conditions: FilterConditions = None,
        ignore: Annotated[list[str] | None, fastapi.Query(max_length=MAX_FILTERS)] = None,
    ) -> Any:
        filters = parse_filters([*(conditions or []), *range_conditions(request)])
        params = PageParams(q.strip(), photo, like, avoid, filters, tuple(ignore or ()), sort, number)
        return await handlers.results(params, by_person(request)) if params else await handlers.start()

    @router.get("/product")
    async def product(
        request: Request,
        product_id: ProductId,
        view: Annotated[int | None, fastapi.Query(ge=0, le=MAX_VIEW)] = None,
        q: QueryText = "",
        photo: QueryText = "",
        like: QueryText = "",
        conditions: FilterConditions = None,
        rank: Annotated[int | None, fastapi.Query(ge=1, le=MAX_VIEW)] = None,
    ) -> str:
        params = PageParams(q.strip(), photo, like, filters=parse_filters(conditions or []))
        page = await handlers.product(params, product_id, view)
        if by_person(request) and params == PageParams(params.text, filters=params.filters):
            await handlers.log.clicked(params.text, product_id, rank)
        return page

    @router.post("/photo")
    async def upload(request: Request) -> Response:
        """Cache the photo and redirect to its results, so that they can be reloaded, paged through and filtered."""
        handlers.batched_ranker.admit()
        text, photos = await read_parts(request, "q")
        encoded = single_photo(photos) or b""
        image = await handlers.batched_ranker.decoder.run(lambda: decode_photo(encoded, "your photo"))
        params = PageParams(text.strip()[:MAX_TEXT], photo=handlers.photos.add(image))
        return RedirectResponse(params.href(), status_code=303)

    @router.get("/photos/{name}")
    def photo(request: Request, name: str) -> Response:
        return cached_jpeg(request, handlers.photos.get(name).jpeg, private=True)

    return router


def error_responder(renderer: PageRenderer, handlers: PageHandlers) -> Responder:
    """Errors of pages as a page, those of the API as a problem document."""

    def respond(request: Request, problem: ProblemDetails) -> Response:
        if request.url.path not in PAGE_PATHS:
            return problem_response(problem)
        retry = "." + request.url.path + ("?" + request.url.query if request.url.query else "")
        params = PageParams(request.query_params.get("q", "")[:MAX_TEXT])
        return HTMLResponse(renderer.error(params, problem, retry, handlers.site), problem.status)

    return respond


def range_conditions(request: Request) -> list[str]:
    """Filters from the number fields of the page's form: from:price=10 becomes price>=10."""
    signs = {"from": ">=", "to": "<="}
    fields = [(*name.partition(":"), value.strip()) for name, value in request.query_params.multi_items()]
    return [f"{name}{signs[end]}{value}" for end, colon, name, value in fields if colon and end in signs and value]
