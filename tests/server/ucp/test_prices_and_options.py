"""Prices in minor units; and what attributes of feeds say of a variant's availability."""

from __future__ import annotations

import pytest

pytest.importorskip("ucp_sdk", reason="ucp-sdk is not installed: pip install 'kaleidobert[ucp]'")
from kaleidobert.server.ucp.prices import MAX_AMOUNT, Prices  # noqa: E402
from kaleidobert.server.ucp.products import availability  # noqa: E402


@pytest.mark.parametrize(
    ("currency", "text", "amount"),
    [
        ("EUR", "19.99", 1999),
        ("EUR", "٢٠", 2000),
        ("EUR", "1.005", 101),
        ("EUR", "0", 0),
        ("JPY", "1500", 1500),
        ("KWD", "1.5", 1500),
        ("EUR", "-1", None),
        ("EUR", "sold out", None),
        ("EUR", "", None),
        ("EUR", "999999999999999", None),  # beyond what the protocol can write
    ],
)
def test_a_price_is_whole_minor_units(currency: str, text: str, amount: int | None) -> None:
    price = Prices(currency).price(text)
    assert (price and price.amount) == amount


def test_limits_are_in_the_catalogue_s_numbers() -> None:
    assert Prices("EUR").limits(1999, 2500) == (19.99, 25.0)
    assert Prices("JPY").limits() == (0.0, float(MAX_AMOUNT))


@pytest.mark.parametrize(
    ("attributes", "available", "status"),
    [
        ({"availability": "In stock"}, True, "in_stock"),
        ({"Availability": "out of stock"}, False, "out_of_stock"),
        ({"availability": "by request"}, None, "by_request"),
        ({"in_stock": "true", "stock": "0"}, True, None),
        ({"inStock": "no"}, False, None),
        ({"stock": "3"}, True, None),
        ({"stock": "0"}, False, None),
    ],
)
def test_availability_as_feeds_write_it(attributes: dict[str, str], available: bool | None, status: str | None) -> None:
    found = availability(attributes)
    assert found is not None and (found.available, found.status) == (available, status)


def test_nothing_is_said_of_availability_where_the_catalogue_says_nothing() -> None:
    assert availability({"colour": "red", "stock": "many"}) is None
