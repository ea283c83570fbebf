"""What the JSON API takes and gives; the JSON of the command line has the same fields."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from kaleidobert.data.images import ImageSource
from kaleidobert.data.product import Product
from kaleidobert.index.filters import parse_filters
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Answer, Evidence, Hit, Query
from kaleidobert.server.photos import decode_base64, decode_photo

LONGEST_TEXT = 2000  # characters
LARGEST_PAGE = 200
MOST_FILTERS = 50
PRODUCTS_AT_ONCE = 64
PHOTOS_OF_PRODUCT = 16


class Request(BaseModel):
    """Unknown fields are refused: a misspelt one would be passed over."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(Request):
    """Words, a photo, a product to be like, or several of them; and what every hit must have."""

    query: str = Field("", max_length=LONGEST_TEXT, description="What to look for, in words.", examples=["black shoes"])
    photo: str | None = Field(None, description="An image file as base64; in a multipart request, the part 'photo'.")
    like: str | None = Field(None, max_length=500, description="Id of an indexed product to find more of.")
    avoid: str = Field("", max_length=LONGEST_TEXT, description="What no hit should show, commas between.")
    filters: list[str] = Field(
        default_factory=list,
        max_length=MOST_FILTERS,
        description="NAME=VALUE (several of one name: any of them), NAME<=50, NAME=10..50. Names are category, "
        "subcategory and the attributes'.",
        examples=[["category=Footwear"]],
    )
    top: int = Field(24, ge=1, le=LARGEST_PAGE, description="Hits in this page of the answer.")
    offset: int = Field(0, ge=0, le=1000, description="Hits to leave out before it.")
    rerank: int | None = Field(None, ge=0, le=LARGEST_PAGE, description="Candidates the joint model reads; 0: none.")
    hybrid: float = Field(0.0, ge=0, le=1, description="Share of the full-text rank in the order.")
    sort: str = Field("match", max_length=100, description="match, title or an attribute; '-' in front: downwards.")
    threshold: float | None = Field(None, ge=0, le=1, description="Least match probability of a hit.")
    why: bool = Field(False, description="Tell of every hit which words point at which patches.")
    facets: list[str] | None = Field(None, max_length=100, description="Names to count values of; []: all of them.")
    timings: bool = Field(False, description="Tell how long each stage took.")

    def asked(self, photo: bytes | None = None) -> Query:
        """As the ranker takes it; ``photo`` is a file that came beside the JSON. Raises ``InputError``."""
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
            sort=self.sort,
            threshold=self.threshold,
            why=self.why,
            facets=None if self.facets is None else tuple(self.facets),
            thumbnails=False,
        )


class ProductFields(BaseModel):
    """A product as the catalogue has it."""

    id: str
    title: str
    description: str
    category: str
    subcategory: str
    attributes: dict[str, str]


class PatchWeightFields(BaseModel):
    """A patch of the photo, its box as fractions of the photo's sides."""

    patch: int
    x1: float
    y1: float
    x2: float
    y2: float
    weight: float = Field(description="1: the patch that the word points at most.")


class WordEvidence(BaseModel):
    """What of a photo one word of the query points at."""

    word: str
    start: int = Field(description="Where the word starts in the query, in characters.")
    end: int
    weight: float = Field(description="The word's share of the match; a query's words sum to 1.")
    patches: list[PatchWeightFields]

    @classmethod
    def of(cls, evidence: Evidence) -> WordEvidence:
        patches = [PatchWeightFields(**patch._asdict()) for patch in evidence.patches]
        return cls(word=evidence.word, start=evidence.start, end=evidence.end, weight=evidence.weight, patches=patches)


class SearchHit(ProductFields):
    """A product of an answer."""

    rank: int = Field(description="From 1.")
    match: float = Field(description="Calibrated probability, from 0 to 1, that this is what was asked for.")
    score: float = Field(description="What the order by match follows.")
    cosine: float = Field(description="Of the query's vector and the photo's, from -1 to 1.")
    view: int = Field(description="The product's photo that matches best.")
    image: str = Field(description="Where this photo is, small.")
    others: int = Field(description="Further products of its group: variants and near-duplicates.")
    why: list[WordEvidence] | None = None

    @classmethod
    def of(cls, hit: Hit) -> SearchHit:
        return cls(
            **fields_of(hit.product),
            rank=hit.rank,
            match=hit.match,
            score=hit.score,
            cosine=hit.cosine,
            view=hit.product.view,
            image=image_path(hit.product.id, hit.product.view),
            others=hit.others,
            why=None if hit.why is None else [WordEvidence.of(each) for each in hit.why],
        )


class FacetValue(BaseModel):
    """A value, and the number of products that have it."""

    value: str
    count: int


class SearchResponse(BaseModel):
    """One page of an answer."""

    query: str
    model: str = Field(description="Fingerprint of the model that answered.")
    hits: list[SearchHit]
    total: int = Field(description="Products that the answer holds, on all pages.")
    exact: bool = Field(description="Whether total is all of them, or there are at least so many.")
    weak: bool = Field(description="Nothing matches well: the hits are only the nearest there are.")
    next_offset: int | None = Field(description="Where the next page starts; null on the last one.")
    facets: dict[str, list[FacetValue]]
    milliseconds: dict[str, float] | None = Field(None, description="Of each stage, where timings were asked for.")

    @classmethod
    def of(cls, query: str, answer: Answer, fingerprint: str, timings: bool = False) -> SearchResponse:
        return cls(
            query=query,
            model=fingerprint,
            hits=[SearchHit.of(hit) for hit in answer.hits],
            total=answer.total,
            exact=answer.exact,
            weak=answer.weak,
            next_offset=answer.next_offset,
            facets={
                name: [FacetValue(value=value, count=count) for value, count in values]
                for name, values in answer.facets.items()
            },
            milliseconds=milliseconds(answer.seconds) if timings else None,
        )


class ProductResponse(ProductFields):
    """A product with the addresses of its photos."""

    images: list[str]

    @classmethod
    def of(cls, product: Candidate, views: list[int]) -> ProductResponse:
        return cls(**fields_of(product), images=[image_path(product.id, view) for view in views])


class NewProduct(Request):
    """A product to store. Its photos are base64, or parts of a multipart request named 'photo:' and its id."""

    id: str = Field(min_length=1, max_length=500)
    title: str = Field("", max_length=LONGEST_TEXT)
    description: str = Field("", max_length=20_000)
    category: str = Field("", max_length=500)
    subcategory: str = Field("", max_length=500)
    attributes: dict[str, str] = Field(default_factory=dict, max_length=200)
    photos: list[str] = Field(default_factory=list, max_length=PHOTOS_OF_PRODUCT)

    def product(self, photos: list[bytes]) -> Product:
        """With the photos that came beside the JSON after its own."""
        encoded = [decode_base64(photo, f"a photo of product {self.id!r}") for photo in self.photos]
        images: tuple[ImageSource, ...] = (*encoded, *photos)
        fields = self.model_dump(exclude={"photos"})
        return Product(**fields, images=images)


class StoreRequest(Request):
    """Products to insert, or to replace where their ids are stored already."""

    products: list[NewProduct] = Field(min_length=1, max_length=PRODUCTS_AT_ONCE)


class StoreResponse(BaseModel):
    """What was stored; the next search finds it."""

    stored: list[str] = Field(description="Ids.")
    photos: int


class DescribeRequest(Request):
    """A photo as base64, or the part 'photo' of a multipart request."""

    photo: str | None = None
    text: str | None = Field(None, max_length=LONGEST_TEXT, description="What is known of it, for runs that read it.")


class Guess(BaseModel):
    """A label and how likely it is, from 0 to 1."""

    label: str
    probability: float


class DescribeResponse(BaseModel):
    """What a photo shows."""

    title: str
    category: list[Guess]
    subcategory: list[Guess]
    told_by: dict[str, str] = Field(description="Of each: 'model', a run trained for it, or 'catalogue', its likes.")


class WhyResponse(BaseModel):
    """What of a photo each word of a query points at."""

    query: str
    id: str
    view: int
    why: list[WordEvidence]


class SuggestResponse(BaseModel):
    """Queries that what was typed may become, the likeliest first."""

    query: str
    suggestions: list[str]


class Problem(BaseModel):
    """RFC 9457: what went wrong, in one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def image_path(product_id: str, view: int) -> str:
    """Where the service shows a view's photo, small."""
    return f"/images/{quote(product_id, safe='')}/{view}"


def fields_of(product: Candidate) -> dict:
    return {name: getattr(product, name) for name in ProductFields.model_fields}


def milliseconds(seconds: dict[str, float]) -> dict[str, float]:
    return {stage: round(1000 * each, 2) for stage, each in seconds.items()}
