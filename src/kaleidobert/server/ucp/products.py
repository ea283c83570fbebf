"""Products of the store as the protocol's: a group is a product, and its members are the variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from ucp_sdk.models.schemas.common.types.description import Description
from ucp_sdk.models.schemas.common.types.media import Media
from ucp_sdk.models.schemas.common.types.price import Price
from ucp_sdk.models.schemas.shopping.types.availability import Availability
from ucp_sdk.models.schemas.shopping.types.category import Category
from ucp_sdk.models.schemas.shopping.types.option_value import OptionValue
from ucp_sdk.models.schemas.shopping.types.product_option import ProductOption
from ucp_sdk.models.schemas.shopping.types.selected_option import SelectedOption
from ucp_sdk.models.schemas.shopping.types.variant import Barcode

from kaleidobert.index.facet_column import number
from kaleidobert.index.filters import Filters
from kaleidobert.index.operators import RANGE
from kaleidobert.index.records import Candidate
from kaleidobert.server.pages import large_image
from kaleidobert.server.ucp.options import Selection, option_names, selection_of, values_of
from kaleidobert.server.ucp.prices import Prices, price_range
from kaleidobert.words import folded, letters_of

BARCODES = ("gtin", "ean", "upc", "isbn", "jan")
AVAILABLE = ("in_stock", "backorder", "preorder")  # values of feeds that mean that it can be ordered
UNAVAILABLE = ("out_of_stock", "discontinued")
YES, NO = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True)
class ProductMapper:
    """``address``: of the service, for links. ``price_name``: the attribute with the price."""

    address: str
    prices: Prices
    price_name: str

    @property
    def priced(self) -> Filters:
        """What a product needs to be written at all: a price."""
        return Filters.collect([(self.price_name, RANGE, self.prices.limits())])

    def price(self, variant: Candidate) -> Price | None:
        return self.prices.price(variant.attributes.get(self.price_name, ""))

    def available(self, variant: Candidate) -> bool:
        """Whether a variant can be ordered, as far as the catalogue says."""
        found = availability(variant.attributes)
        return found is None or found.available is not False

    def product(self, variants: Sequence[Candidate], featured: Candidate) -> dict[str, Any]:
        """The fields of a product but its variants, from all that have a price."""
        names = option_names(variants)
        options = [
            ProductOption(name=name, values=[OptionValue(label=value) for value in values_of(name, variants)])
            for name in names
        ]
        return {
            "id": featured.group,
            **self._common(featured),
            "title": featured.title or featured.id,
            "price_range": price_range(price for each in variants if (price := self.price(each))),
            "options": options or None,
        }

    def variant(self, variant: Candidate, names: Sequence[str], views: Sequence[int] = ()) -> dict[str, Any]:
        """The fields of a variant. ``names``: its product's options; ``views``: its photos, if not its best alone."""
        selection = selection_of(variant, names)
        named = by_letters(variant.attributes)
        barcodes = [Barcode(type=each.upper(), value=named[each]) for each in BARCODES if named.get(each)]
        return {
            "id": variant.id,
            **self._common(variant, views),
            "title": " / ".join(selection.values()) or variant.title or variant.id,
            "price": self.price(variant),
            "sku": named.get("sku") or None,
            "barcodes": barcodes or None,
            "availability": availability(variant.attributes),
            "options": selected(selection) or None,
            "metadata": variant.attributes or None,
        }

    def _common(self, product: Candidate, views: Sequence[int] = ()) -> dict[str, Any]:
        title = product.title or product.id
        return {
            "description": Description(plain=product.description or title),
            "url": f"{self.address}/product?" + urlencode({"id": product.id}),
            "categories": [Category(value=product.category, taxonomy="merchant")] if product.category else None,
            "media": [
                Media(type="image", url=f"{self.address}/{large_image(product, view)}", alt_text=title)
                for view in views or [product.view]
            ],
        }


def selected(selection: Selection) -> list[SelectedOption]:
    return [SelectedOption(name=name, label=value) for name, value in selection.items()]


def availability(attributes: Mapping[str, str]) -> Availability | None:
    """As one of the attributes availability ("in stock"), in_stock (true) or stock (a number) says; None without."""
    named = by_letters(attributes)
    if status := "_".join(folded(named.get("availability", "")).replace("_", " ").split()):
        known = status in AVAILABLE or status in UNAVAILABLE
        return Availability(available=status in AVAILABLE if known else None, status=status)
    answer, stock = folded(named.get("instock", "")).strip(), number(named.get("stock", ""))
    if answer in YES or answer in NO:
        return Availability(available=answer in YES)
    return None if stock is None else Availability(available=stock > 0)


def by_letters(attributes: Mapping[str, str]) -> dict[str, str]:
    return {letters_of(name): value for name, value in attributes.items()}
