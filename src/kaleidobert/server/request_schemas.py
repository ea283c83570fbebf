"""Bodies of requests to the JSON API."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kaleidobert.data.columns import cell_text
from kaleidobert.data.events import Event
from kaleidobert.data.images import ImageSource
from kaleidobert.data.plain_text import plain_text
from kaleidobert.data.product import ID_LETTERS, Product, fault_of_id
from kaleidobert.errors import InputError
from kaleidobert.index.filters import parse_filters
from kaleidobert.search.query import Query
from kaleidobert.server.photos import decode_base64, decode_photo
from kaleidobert.server.schemas import (
    MAX_EVENTS,
    MAX_FILTERS,
    MAX_ID,
    MAX_NAME,
    MAX_OFFSET,
    MAX_PHOTOS,
    MAX_PRODUCTS,
    MAX_TEXT,
    MAX_TOP,
)

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Name = Annotated[str, Field(max_length=MAX_NAME)]


class RequestBody(BaseModel):
    """Refuses unknown fields, because a misspelt one would otherwise be ignored silently."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(RequestBody):
    """A text, a photo, a product to resemble, or several of them, and the filters that every hit must pass."""

    query: str = Field("", max_length=MAX_TEXT, description="Text to search for.", examples=["black shoes"])
    photo: str | None = Field(None, description="Image file as base64; in a multipart request, the part 'photo'.")
    like: str | None = Field(None, max_length=MAX_ID, description="Id of an indexed product to find similar ones to.")
    avoid: str = Field("", max_length=MAX_TEXT, description="Phrases that hits should not match, comma-separated.")
    filters: list[Text] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="NAME=VALUE (several with one name: any of them), NAME<=50, NAME=10..50. A name is category, "
        "subcategory or an attribute.",
        examples=[["category=Footwear"]],
    )
    top: int = Field(24, ge=1, le=MAX_TOP, description="Hits to return.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Hits to skip.")
    rerank: int | None = Field(
        None, ge=0, le=MAX_TOP, description="Candidates to re-rank with the joint model; 0: none; null: the default."
    )
    hybrid: float | None = Field(
        None, ge=0, le=1, description="Weight of the full-text rank in the order; 0: none; null: as fitted."
    )
    understand: bool = Field(True, description="Look in the text for refusals, prices and values of facets.")
    ignore: list[Text] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="Values of facets, as name=value, not to look for.",
    )
    sort: str = Field(
        "match", max_length=MAX_NAME + 1, description="match, title or an attribute; prefix '-' to reverse."
    )
    threshold: float | None = Field(None, ge=0, le=1, description="Minimum match probability of a hit.")
    why: bool = Field(False, description="Explain each hit: which patches each word of the query matches.")
    facets: list[Name] | None = Field(None, max_length=100, description="Names whose values to count; []: all names.")
    timings: bool = Field(False, description="Return the time of each stage.")

    def to_query(self, photo: bytes | None = None) -> Query:
        """The ranker's query; ``photo``: an uploaded file. Raises ``InputError`` for a bad photo or filter."""
        if photo is None and self.photo is not None:
            photo = decode_base64(self.photo)
        return Query(
            text=self.query,
            image=None if photo is None else decode_photo(photo),
            like=self.like or None,
            avoid=self.avoid,
            filters=parse_filters(self.filters),
            top=self.top,
            offset=self.offset,
            rerank=self.rerank,
            hybrid=self.hybrid,
            understand=self.understand,
            ignore=tuple(self.ignore),
            sort=self.sort,
            threshold=self.threshold,
            why=self.why,
            facets=None if self.facets is None else tuple(self.facets),
            thumbnails=False,
        )


class NewEvent(RequestBody):
    """What a shopper did with a product."""

    kind: Literal["view", "click", "cart"]
    product: str = Field(min_length=1, max_length=MAX_ID, description="The product's id.")
    query: str = Field("", max_length=MAX_TEXT, description="What was searched for, if a search led to the product.")
    position: int | None = Field(None, ge=1, le=MAX_OFFSET + MAX_TOP, description="Its rank in the answer, from 1.")

    def to_event(self) -> Event:
        return Event(self.kind, self.query, self.product, self.position)


class EventsRequest(RequestBody):
    events: list[NewEvent] = Field(min_length=1, max_length=MAX_EVENTS)


class NewProduct(RequestBody):
    """A product to store. Its photos are base64 strings, or the parts 'photo' of a multipart request."""

    model_config = ConfigDict(str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=MAX_ID, pattern=ID_LETTERS)
    title: str = Field("", max_length=MAX_TEXT)
    description: str = Field("", max_length=20_000)
    category: str = Field("", max_length=500)
    subcategory: str = Field("", max_length=500)
    attributes: dict[Name, Text | bool | float] = Field(default_factory=dict, max_length=200)
    photos: list[str] = Field(default_factory=list, max_length=MAX_PHOTOS)

    @field_validator("id")
    @classmethod
    def _in_addresses(cls, product_id: str) -> str:
        if fault := fault_of_id(product_id):
            raise ValueError(f"{fault}: send another one")
        return product_id

    def to_product(self, uploads: list[bytes]) -> Product:
        """The product, with uploaded photos after those in the JSON. Its cells become texts as those of catalogues do.

        Raises ``InputError`` for bad base64, and where there is no text.
        """
        decoded = [decode_base64(photo, f"a photo of product {self.id!r}") for photo in self.photos]
        images: tuple[ImageSource, ...] = (*decoded, *uploads)
        fields = self.model_dump(exclude={"id", "photos", "attributes"})
        texts: dict[str, Any] = {name: plain_text(cell_text(value, name)) for name, value in fields.items()}
        if not texts["title"] and not texts["description"]:
            raise InputError(f"product {self.id!r} has no text: send a title or a description")
        attributes = {name.strip(): plain_text(cell_text(value, name)) for name, value in self.attributes.items()}
        kept = {name: value for name, value in attributes.items() if name and value}
        return Product(id=self.id, **texts, attributes=kept, images=images)


class PutProductsRequest(RequestBody):
    """Products to insert, or to replace if their ids exist."""

    products: list[NewProduct] = Field(min_length=1, max_length=MAX_PRODUCTS)

    @field_validator("products")
    @classmethod
    def _once_each(cls, products: list[NewProduct]) -> list[NewProduct]:
        counts = Counter(each.id for each in products)
        twice = [product for product, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"the id {twice[0]!r} is given {counts[twice[0]]} times: send each product once")
        return products


class DescribeRequest(RequestBody):
    """A photo as base64, or as the part 'photo' of a multipart request."""

    photo: str | None = None
    text: str | None = Field(None, max_length=MAX_TEXT, description="The product's known text, for runs that use it.")
