"""What the JSON API takes and gives; the JSON of the command line has the same fields."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from kaleidobert.search.ranking import RERANK, Answer, Hit
from kaleidobert.search.records import Candidate

MAX_RESULTS = 1000  # how deep an answer can be paged through


class SearchRequest(BaseModel):
    """A query: words, and what every hit must have."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(max_length=2000, description="What to look for, in words.", examples=["black shoes"])
    filters: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="category, subcategory or an attribute's name, with the value it must equal.",
        examples=[{"category": "Footwear"}],
    )
    top: int = Field(default=24, ge=1, le=200, description="Hits in this page of the answer.")
    offset: int = Field(default=0, ge=0, le=MAX_RESULTS, description="Hits to leave out before it.")
    rerank: int = Field(default=RERANK, ge=0, le=200, description="Candidates the joint model reads; 0: none.")


class ProductFields(BaseModel):
    """A product as the catalogue has it."""

    id: str
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]


class SearchHit(ProductFields):
    """A product of an answer."""

    rank: int = Field(description="From 1.")
    score: float = Field(description="What the order follows: combined where re-ranked, else the cosine less hubness.")
    cosine: float = Field(description="Of the query's vector and the photo's, from -1 to 1.")
    match: float | None = Field(description="Probability that text and photo belong together; null: not re-ranked.")
    view: int = Field(description="The product's photo that matches best.")
    image: str = Field(description="Where this photo's thumbnail is.")

    @classmethod
    def of(cls, hit: Hit) -> SearchHit:
        return cls(
            **_fields(hit.product),
            rank=hit.rank,
            score=hit.score,
            cosine=hit.cosine,
            match=hit.match,
            view=hit.product.view,
            image=image_path(hit.product.id, hit.product.view),
        )


class SearchResponse(BaseModel):
    """One page of an answer."""

    query: str
    model: str = Field(description="Fingerprint of the model that answered.")
    hits: list[SearchHit]
    next_offset: int | None = Field(description="Where the next page starts; null on the last one.")
    milliseconds: dict[str, float] = Field(description="How long each stage took.")

    @classmethod
    def of(cls, request: SearchRequest, answer: Answer, fingerprint: str) -> SearchResponse:
        """The page of ``answer`` that ``request`` asks for; one hit beyond it tells of a next page."""
        end = request.offset + request.top
        return cls(
            query=request.query,
            model=fingerprint,
            hits=[SearchHit.of(hit) for hit in answer.hits[request.offset : end]],
            next_offset=end if len(answer.hits) > end and end <= MAX_RESULTS else None,
            milliseconds={stage: round(1000 * seconds, 2) for stage, seconds in answer.seconds.items()},
        )


class ProductResponse(ProductFields):
    """A product with the addresses of its thumbnails."""

    images: list[str]

    @classmethod
    def of(cls, product: Candidate, views: list[int]) -> ProductResponse:
        return cls(**_fields(product), images=[image_path(product.id, view) for view in views])


class Problem(BaseModel):
    """RFC 9457: what went wrong, in one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def image_path(product_id: str, view: int) -> str:
    """Where the service shows a view's thumbnail."""
    return f"/images/{quote(product_id, safe='')}/{view}"


def _fields(product: Candidate) -> dict:
    return {name: getattr(product, name) for name in ProductFields.model_fields}
