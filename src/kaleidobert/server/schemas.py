"""Requests and responses of the JSON API. The JSON output of the command line has the same fields."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kaleidobert.data.columns import cell_text
from kaleidobert.data.images import ImageSource
from kaleidobert.data.product import Product
from kaleidobert.index.filters import parse_filters
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Answer, Evidence, Hit, Query
from kaleidobert.server.photos import decode_base64, decode_photo

MAX_TEXT = 2000  # characters
MAX_ID = 500  # characters
MAX_TOP = 200  # hits per page
MAX_OFFSET = 1000
MAX_VIEW = 2**31 - 1
MAX_FILTERS = 50
MAX_PRODUCTS = 64  # per request
MAX_PHOTOS = 16  # per product


class RequestBody(BaseModel):
    """Refuses unknown fields, because a misspelt one would otherwise be ignored silently."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(RequestBody):
    """A text, a photo, a product to resemble, or several of them, and the filters that every hit must pass."""

    query: str = Field("", max_length=MAX_TEXT, description="Text to search for.", examples=["black shoes"])
    photo: str | None = Field(None, description="Image file as base64; in a multipart request, the part 'photo'.")
    like: str | None = Field(None, max_length=MAX_ID, description="Id of an indexed product to find similar ones to.")
    avoid: str = Field("", max_length=MAX_TEXT, description="Phrases that hits should not match, comma-separated.")
    filters: list[str] = Field(
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
    ignore: list[str] = Field(
        default_factory=list,
        max_length=MAX_FILTERS,
        description="Values of facets, as name=value, not to look for.",
    )
    sort: str = Field("match", max_length=100, description="match, title or an attribute; prefix '-' to reverse.")
    threshold: float | None = Field(None, ge=0, le=1, description="Minimum match probability of a hit.")
    why: bool = Field(False, description="Explain each hit: which patches each word of the query matches.")
    facets: list[str] | None = Field(None, max_length=100, description="Names whose values to count; []: all names.")
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


class ProductFields(BaseModel):
    """A product's data from the catalogue."""

    id: str
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]


class SearchHit(ProductFields):
    """A product that was found."""

    rank: int = Field(description="Position in the result, from 1.")
    match: float = Field(description="Calibrated probability that the product matches the query, from 0 to 1.")
    score: float = Field(description="Score by which hits are ordered unless sorted otherwise.")
    cosine: float = Field(description="Cosine similarity of query and photo, from -1 to 1.")
    view: int = Field(description="Index of the product's best matching photo.")
    image: str = Field(description="Path of this photo's thumbnail.")
    variants: int = Field(description="Further hits in the product's group (variants, near-duplicates) not listed.")
    why: list[Evidence] | None = None

    @classmethod
    def of(cls, hit: Hit) -> SearchHit:
        return cls(
            **fields_of(hit.product),
            rank=hit.rank,
            match=hit.match,
            score=hit.score,
            cosine=hit.cosine,
            view=hit.product.view,
            image=image_path(hit.product.id, hit.product.view, hit.product.content),
            variants=hit.variants,
            why=hit.why,
        )


class FacetValue(BaseModel):
    """A value and the number of products that have it."""

    value: str
    count: int


class UnderstoodText(BaseModel):
    """What was understood of the text: the rest of it, and the conditions that the search had."""

    text: str
    avoid: str
    filters: list[str]
    preferred: dict[str, str]

    @classmethod
    def of(cls, asked: Query) -> UnderstoodText:
        text, filters = " ".join(asked.text.split()), asked.filters.to_strings()
        return cls(text=text, avoid=asked.avoid, filters=filters, preferred=dict(asked.preferred))


class SearchResponse(BaseModel):
    """One page of hits."""

    query: str
    model: str = Field(description="Fingerprint of the model that answered.")
    hits: list[SearchHit]
    total: int = Field(description="Number of matching products on all pages.")
    exact: bool = Field(description="False if total is a lower bound.")
    weak: bool = Field(description="True if nothing matches well and the hits are only the nearest products.")
    note: str = Field("", description="Why a setting of the request had no effect; empty if all had.")
    understood: UnderstoodText
    banner: str = Field("", description="What the shop's rules announce for such a search.")
    redirect: str = Field("", description="The address that the shop's rules send such a search to.")
    next_offset: int | None = Field(description="Offset of the next page; null on the last page.")
    facets: dict[str, list[FacetValue]]
    milliseconds: dict[str, float] | None = Field(None, description="Time of each stage, if timings was set.")

    @classmethod
    def of(cls, query: str, answer: Answer, fingerprint: str, timings: bool = False) -> SearchResponse:
        return cls(
            query=query,
            model=fingerprint,
            hits=[SearchHit.of(hit) for hit in answer.hits],
            total=answer.total,
            exact=answer.exact,
            weak=answer.weak,
            note=answer.note,
            understood=UnderstoodText.of(answer.asked),
            banner=answer.banner,
            redirect=answer.redirect,
            next_offset=answer.next_offset,
            facets={
                name: [FacetValue(value=value, count=count) for value, count in values]
                for name, values in answer.facets.items()
            },
            milliseconds=milliseconds(answer.seconds) if timings else None,
        )


class ProductResponse(ProductFields):
    """A product and the paths of its photos."""

    images: list[str]

    @classmethod
    def of(cls, product: Candidate, views: list[int]) -> ProductResponse:
        return cls(**fields_of(product), images=[image_path(product.id, view, product.content) for view in views])


class NewProduct(RequestBody):
    """A product to store. Its photos are base64 strings, or the parts 'photo' of a multipart request."""

    model_config = ConfigDict(str_strip_whitespace=True)

    id: str = Field(min_length=1, max_length=MAX_ID)
    title: str = Field("", max_length=MAX_TEXT)
    description: str = Field("", max_length=20_000)
    category: str = Field("", max_length=500)
    subcategory: str = Field("", max_length=500)
    attributes: dict[str, str | bool | float] = Field(default_factory=dict, max_length=200)
    photos: list[str] = Field(default_factory=list, max_length=MAX_PHOTOS)

    def to_product(self, uploads: list[bytes]) -> Product:
        """The product, with uploaded photos after those in the JSON. Raises ``InputError`` for bad base64."""
        decoded = [decode_base64(photo, f"a photo of product {self.id!r}") for photo in self.photos]
        images: tuple[ImageSource, ...] = (*decoded, *uploads)
        fields = self.model_dump(exclude={"photos", "attributes"})
        attributes = {name.strip(): cell_text(value, name) for name, value in self.attributes.items()}
        kept = {name: value for name, value in attributes.items() if name and value}
        return Product(**fields, attributes=kept, images=images)


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


class PutProductsResponse(BaseModel):
    """What was stored. The next search finds it."""

    stored: list[str] = Field(description="Ids of the stored products.")
    photos: int = Field(description="Number of photos stored.")


class DescribeRequest(RequestBody):
    """A photo as base64, or as the part 'photo' of a multipart request."""

    photo: str | None = None
    text: str | None = Field(None, max_length=MAX_TEXT, description="The product's known text, for runs that use it.")


class Prediction(BaseModel):
    """A label and its probability, from 0 to 1."""

    label: str
    probability: float


class DescribeResponse(BaseModel):
    """A suggested title, and the most probable labels, best first."""

    title: str
    category: list[Prediction]
    subcategory: list[Prediction]
    sources: dict[str, str] = Field(
        description="Source of each field: 'model' (a fine-tuned run) or 'catalogue' (the most similar products)."
    )


class WhyResponse(BaseModel):
    """Which patches of a photo each word of a query matches."""

    query: str
    id: str
    view: int
    why: list[Evidence]


class SuggestResponse(BaseModel):
    """Completed queries, most likely first."""

    query: str
    suggestions: list[str]


class ProblemDetails(BaseModel):
    """An error (RFC 9457); ``detail`` is one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def image_path(product_id: str, view: int, content: str = "") -> str:
    """The path of a view's thumbnail; with the product's content hash, another one once the photo has changed."""
    return f"/images/{quote(product_id, safe='')}/{view}" + (f"?v={content[:12]}" if content else "")


def fields_of(product: Candidate) -> dict:
    return {name: getattr(product, name) for name in ProductFields.model_fields}


def milliseconds(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(1000 * each, 2) for stage, each in seconds.items()}
