"""The protocol's filters as those of the store. What cannot be applied is said in a message, not lost in silence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ucp_sdk.models.schemas.common.types.context import Context
from ucp_sdk.models.schemas.common.types.message_info import MessageInfo
from ucp_sdk.models.schemas.shopping.types.search_filters import SearchFilters

from kaleidobert.data.columns import cell_text
from kaleidobert.index.filters import Filters
from kaleidobert.index.operators import EQUAL, RANGE
from kaleidobert.server.schemas import MAX_FILTERS
from kaleidobert.server.ucp.envelope import UcpError, info
from kaleidobert.server.ucp.products import ProductMapper


def filters_of(
    given: SearchFilters | None, context: Context | None, mapper: ProductMapper, names: Collection[str]
) -> tuple[Filters, list[MessageInfo]]:
    """What products must fulfil, a price of their own among it, and messages on what is ignored.

    ``names``: that filters may use; beside the protocol's own, each takes one value or a list of alternatives.
    """
    prices = mapper.prices
    parts: list[tuple[str, str, Any]] = []
    messages = []
    if given is not None:
        parts += [("category", EQUAL, value) for value in given.categories or ()]
        if given.price is not None:
            currency = (context and context.currency) or prices.currency
            if currency == prices.currency:
                parts.append((mapper.price_name, RANGE, prices.limits(given.price.min, given.price.max)))
            else:
                reason = f"the price filter is ignored: prices are in {prices.currency}, not in {currency}"
                messages.append(info("price_filter_ignored", reason))
        for name, value in (given.model_extra or {}).items():
            values = value if isinstance(value, list) else [value]
            if name in names and all(isinstance(each, str | int | float) for each in values):
                parts += [(name, EQUAL, cell_text(each, name)) for each in values]
            else:
                reason = f"the filter {name!r} is ignored; names of one value or a list are: {', '.join(names)}"
                messages.append(info("filter_ignored", reason))
    if len(parts) > MAX_FILTERS:
        raise UcpError(400, "request_too_large", f"the request has more than {MAX_FILTERS} filters: send fewer")
    return mapper.priced.joined(Filters.collect(parts)), messages
