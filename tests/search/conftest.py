"""The shop of the search tests, over both implementations of `ProductIndex`."""

from __future__ import annotations

import pytest

from fixtures.shop import Shop


@pytest.fixture(scope="session", params=["lancedb", "memory"])
def shop(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """Shared between tests: read only. A test for one index asks for it with ``indirect=True``."""
    return shop if request.param == "lancedb" else shop.in_memory()


@pytest.fixture(params=["lancedb", "memory"])
def writable_shop(request: pytest.FixtureRequest, new_shop: Shop) -> Shop:
    """The test's own shop, indexed."""
    if request.param == "memory":
        return new_shop.in_memory()
    new_shop.indexer().index(new_shop.products)
    return new_shop
