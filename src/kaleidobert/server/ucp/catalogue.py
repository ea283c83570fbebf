"""Search and batch lookup, from the protocol's requests to its responses, answered by the service's ranker."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import replace
from urllib.parse import urljoin

from starlette.exceptions import HTTPException
from ucp_sdk.models.schemas.common.types.error_response import ErrorResponse
from ucp_sdk.models.schemas.common.types.message_info import MessageInfo
from ucp_sdk.models.schemas.common.types.pagination import Response as Pagination
from ucp_sdk.models.schemas.shopping.catalog_lookup import (
    GetProductRequest,
    GetProductResponse,
    LookupRequest,
    LookupResponse,
    LookupVariant,
)
from ucp_sdk.models.schemas.shopping.catalog_lookup import Product as LookupProduct
from ucp_sdk.models.schemas.shopping.catalog_search import SearchRequest, SearchResponse
from ucp_sdk.models.schemas.shopping.types.input_correlation import InputCorrelation
from ucp_sdk.models.schemas.shopping.types.product import Product
from ucp_sdk.models.schemas.shopping.types.variant import Variant

from kaleidobert.errors import InputError
from kaleidobert.index.caching import CachedPerVersion
from kaleidobert.index.filters import Filters
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import MAX_DEPTH, Answer
from kaleidobert.search.rules import passing
from kaleidobert.search.understanding import price_name
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.page_params import PageParams
from kaleidobert.server.schemas import MAX_TEXT
from kaleidobert.server.start_page import STALE_SECONDS
from kaleidobert.server.ucp.detail import detail_product
from kaleidobert.server.ucp.envelope import LOOKUP, SEARCH, UcpError, envelope, failure, info
from kaleidobert.server.ucp.filters import filters_of
from kaleidobert.server.ucp.options import option_names
from kaleidobert.server.ucp.prices import Prices
from kaleidobert.server.ucp.products import ProductMapper
from kaleidobert.server.ucp.settings import UcpSettings

PAGE, MAX_PAGE = 10, 50  # products
MAX_IDS = 50  # of one lookup
MAX_VARIANTS = 50  # of one product
NO_PRICES = "--ucp needs prices, and the store has none: index products with the attribute price, a number"


class UcpCatalogue:
    """A store's products by the protocol. A product is a group of the store, its members are the variants.

    Products without a price cannot be expressed, and are left out.
    """

    def __init__(self, batched_ranker: BatchedRanker, settings: UcpSettings) -> None:
        """Raises ``InputError`` for a currency that does not exist, or a store whose products have no prices."""
        self._ranker = batched_ranker
        self._run = batched_ranker.executor.run
        self._address, self._prices = settings.address, Prices(settings.currency)
        self._price_name = CachedPerVersion(
            lambda: price_name(batched_ranker.store), lambda: batched_ranker.store.version, STALE_SECONDS
        )
        if batched_ranker.store.rows() and not self._price_name():
            raise InputError(NO_PRICES)

    async def search(self, request: SearchRequest) -> SearchResponse:
        """One page of products, each with the variant first that was found."""
        text = (request.query or "").strip()
        if len(text) > MAX_TEXT:
            raise UcpError(400, "invalid_request", f"the query has more than {MAX_TEXT} characters: shorten it")
        mapper, filters, messages = await self._run(lambda: self._prepared(request))
        if not text and filters == mapper.priced:
            ignored = "; ".join(message.content for message in messages)
            raise UcpError(400, "invalid_request", ignored or "the search is empty: send a query, filters, or both")
        asked = request.pagination
        offset = offset_of(asked.cursor) if asked and asked.cursor else 0
        limit = min((asked and asked.limit) or PAGE, MAX_PAGE, MAX_DEPTH - offset)
        query = replace(PageParams(text, filters=filters).to_query(), top=limit, offset=offset, facets=None)
        answer = await self._ranker.answer(query)
        groups = await self._run(lambda: self._variants({hit.product.group for hit in answer.hits}, mapper))
        products = []
        for hit in answer.hits:
            found = hit.product
            variants = [found, *(each for each in groups.get(found.group, ()) if each.id != found.id)]
            shown = passing_of(filters, variants)[:MAX_VARIANTS]
            names = option_names(variants)
            fields = mapper.product(variants, found)
            products.append(Product(**fields, variants=[Variant(**mapper.variant(each, names)) for each in shown]))
        following = {} if answer.next_offset is None else {"cursor": cursor_of(answer.next_offset)}
        return SearchResponse(
            ucp=envelope(SEARCH),
            products=products,
            pagination=Pagination(has_next_page=bool(following), **following),
            messages=[*messages, *(notes(answer, self._address) if text else ())] or None,
        )

    async def lookup(self, request: LookupRequest) -> LookupResponse:
        """The products and variants with these ids."""
        if len(request.ids) > MAX_IDS:
            raise UcpError(400, "request_too_large", f"the request has more than {MAX_IDS} ids: send fewer")
        return await self._run(lambda: self._lookup(request))

    async def product(self, request: GetProductRequest) -> GetProductResponse | ErrorResponse:
        """One product, with the variants that a selection of options leaves."""
        return await self._run(lambda: self._product(request))

    def _lookup(self, request: LookupRequest) -> LookupResponse:
        mapper, filters, messages = self._prepared(request)
        ids = list(dict.fromkeys(request.ids))
        found = {each: product[0] for each in ids if (product := self._ranker.store.product(each))}
        group_of = {each: found[each].group if each in found else each for each in ids}
        groups = self._variants(set(group_of.values()), mapper)
        products = []
        for group, variants in groups.items():
            shown = passing_of(filters, variants)
            inputs: dict[str, list[InputCorrelation]] = {}
            for each in (each for each in ids if group_of[each] == group):
                exact = each in found
                variant = next((variant.id for variant in shown if variant.id == each or not exact), None)
                if variant is not None:
                    correlation = InputCorrelation(id=each, match="exact" if exact else "featured")
                    inputs.setdefault(variant, []).append(correlation)
            resolved = [variant for variant in shown if variant.id in inputs]
            if resolved:
                names = option_names(variants)
                described = [LookupVariant(**mapper.variant(each, names), inputs=inputs[each.id]) for each in resolved]
                products.append(LookupProduct(**mapper.product(variants, resolved[0]), variants=described))
        priced = {each.id for variants in groups.values() for each in variants} | set(groups)
        messages += [info("not_found", each) for each in ids if each not in priced]
        return LookupResponse(ucp=envelope(LOOKUP), products=products, messages=messages or None)

    def _product(self, request: GetProductRequest) -> GetProductResponse | ErrorResponse:
        mapper, filters, messages = self._prepared(request)
        found = self._ranker.store.product(request.id)
        group = found[0].group if found else request.id
        variants = self._variants({group}, mapper).get(group, [])
        requested = next((each for each in variants if found and each.id == request.id), None)
        if not variants or (found and requested is None):
            return failure("not_found", f"no product with a price has the id {request.id}", self._address, LOOKUP)
        product = detail_product(
            request, variants, requested, mapper, lambda each: passing_of(filters, each)[:MAX_VARIANTS], self._views
        )
        if product is None:
            return failure("not_found", f"no variant of {request.id} passes the filters", self._address, LOOKUP)
        return GetProductResponse(ucp=envelope(LOOKUP), product=product, messages=messages or None)

    def _prepared(
        self, request: SearchRequest | LookupRequest | GetProductRequest
    ) -> tuple[ProductMapper, Filters, list[MessageInfo]]:
        """What a request's products are written with, its filters, and messages on those that are ignored.

        Raises ``HTTPException`` 503 for a store without prices.
        """
        name = self._price_name()
        if not name:
            raise HTTPException(503, NO_PRICES)
        names = self._ranker.store.filter_names()
        mapper = ProductMapper(self._address, self._prices, name)
        return mapper, *filters_of(request.filters, request.context, mapper, names)

    def _variants(self, groups: Collection[str], mapper: ProductMapper) -> dict[str, list[Candidate]]:
        """The members of each group that have a price, those that can be ordered first."""
        members: dict[str, list[Candidate]] = {}
        for each in sorted(self._ranker.store.members(groups), key=lambda each: not mapper.available(each)):
            if mapper.price(each) is not None:
                members.setdefault(each.group, []).append(each)
        return members

    def _views(self, product_id: str) -> list[int]:
        found = self._ranker.store.product(product_id)
        return found[1] if found else []


def passing_of(filters: Filters, variants: Sequence[Candidate]) -> list[Candidate]:
    return [each for each, passes in zip(variants, passing(filters, variants), strict=True) if passes]


def notes(answer: Answer, address: str) -> list[MessageInfo]:
    """What a shopper would see beside the hits of a search."""
    weak = "nothing matches well: these are the nearest products"
    found = {"weak_match": weak if answer.weak and answer.hits else "", "banner": answer.banner}
    found["redirect"] = answer.redirect and f"the shop answers this search at {urljoin(address, answer.redirect)}"
    return [info(code, content) for code, content in found.items() if content]


def cursor_of(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def offset_of(cursor: str) -> int:
    """Raises ``UcpError`` for what is no cursor of `cursor_of`."""
    try:
        name, _, offset = base64.urlsafe_b64decode(cursor.encode()).decode("ascii").partition(":")
        if name == "offset" and 0 <= int(offset) < MAX_DEPTH:
            return int(offset)
    except ValueError:
        pass
    raise UcpError(400, "invalid_cursor", "the cursor is none of this service: send the one of the page before")
