"""Requests and responses of the JSON API. The JSON output of the command line has the same fields."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import BaseModel, Field

from kaleidobert.index.filters import MAX_CONDITIONS
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Answer, Evidence, Hit, Query

MAX_TEXT = 2000  # characters
MAX_ID = 500  # characters
MAX_NAME = 200  # characters, of an attribute
MAX_TOP = 200  # hits per page
MAX_OFFSET = 1000
MAX_VIEW = 2**31 - 1
MAX_FILTERS = MAX_CONDITIONS
MAX_PRODUCTS = 64  # per request
MAX_PHOTOS = 16  # per product
MAX_EVENTS = 100  # per request


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
    match: float | None = Field(
        description="Calibrated probability that the product matches the query, from 0 to 1; null if not fitted."
    )
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
    note: str = Field(
        "", description="Why a setting had no effect, hits have no match, or there are no hits; empty otherwise."
    )
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
            note="; ".join(filter(None, [answer.note, answer.nothing])),
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


class PutProductsResponse(BaseModel):
    """What was stored. The next search finds it."""

    stored: list[str] = Field(description="Ids of the stored products.")
    photos: int = Field(description="Number of photos stored.")


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
