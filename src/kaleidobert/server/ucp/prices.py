"""Prices as the protocol writes them: whole numbers of a currency's minor unit."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from iso4217 import Currency
from ucp_sdk.models.schemas.common.types.price import Price
from ucp_sdk.models.schemas.common.types.price_range import PriceRange

from kaleidobert.errors import InputError
from kaleidobert.index.facet_column import number
from kaleidobert.index.operators import Limits

MAX_AMOUNT = 2**53 - 1  # in minor units, the protocol's own limit


class Prices:
    """Converts a store's prices, numbers in one currency, to the protocol's and back."""

    def __init__(self, currency: str) -> None:
        """Raises ``InputError`` unless the currency is an ISO 4217 code with a minor unit."""
        try:
            found = Currency(currency)
        except ValueError:
            raise InputError(f"--currency {currency}: not an ISO 4217 code, such as EUR") from None
        if found.exponent is None:
            raise InputError(f"--currency {currency}: has no minor unit, and cannot be the currency of prices")
        self.currency = str(found.code)
        self._exponent = found.exponent

    def price(self, text: str) -> Price | None:
        """The price that a value of the catalogue is, rounded to the minor unit; None for any other value."""
        value = number(text)
        if value is None or value < 0:
            return None
        amount = int(Decimal(repr(value)).scaleb(self._exponent).quantize(Decimal(1), ROUND_HALF_UP))
        return Price(amount=amount, currency=self.currency) if amount <= MAX_AMOUNT else None

    def limits(self, low: int | None = None, high: int | None = None) -> Limits:
        """From minor units to the catalogue's; what is left open is bounded by what can be a price."""
        ends = (low or 0, MAX_AMOUNT if high is None else high)
        return float(self._major(ends[0])), float(self._major(ends[1]))

    def _major(self, amount: int) -> Decimal:
        return Decimal(amount).scaleb(-self._exponent)


def price_range(prices: Iterable[Price]) -> PriceRange:
    """From the lowest to the highest of one price or more."""
    ordered = sorted(prices, key=lambda price: price.amount)
    return PriceRange(min=ordered[0], max=ordered[-1])
