"""What is asked of a ranker and what it answers: the same for page, API and command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from kaleidobert.errors import InputError
from kaleidobert.index.filters import Filters
from kaleidobert.index.records import Candidate

MAX_DEPTH = 1000  # hits that an answer can be paged through
BEST_MATCH = "match"  # the sort order that a search has by itself


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Words, a photo, an indexed product, or several of them; and what the hits must be like.

    text: what to look for. image: a photo of something alike. like: the id of an indexed product to find more of.
    avoid: words or phrases, commas between them, that no hit should show or say.
    filters: what every hit must have.
    top, offset: hits of this page, and hits before it.
    rerank: candidates that the joint model reads; 0: none; None: as many as measuring found best.
    hybrid: share of the full-text rank over titles and descriptions in the order, from 0 to 1.
    sort: "match", "title", or an attribute's name; "-" in front turns the order round.
    threshold: least match probability of a hit; None: no least.
    why: whether hits say which words point at which patches.
    facets: names to count the answer's values of; () for all, None for no counts.
    thumbnails: whether hits bring their photo.
    """

    text: str = ""
    image: Image.Image | None = None
    like: str | None = None
    avoid: str = ""
    filters: Filters = Filters()
    top: int = 24
    offset: int = 0
    rerank: int | None = None
    hybrid: float = 0.0
    sort: str = BEST_MATCH
    threshold: float | None = None
    why: bool = False
    facets: tuple[str, ...] | None = None
    thumbnails: bool = True

    def check(self) -> None:
        """Raises ``InputError`` for a query that cannot be answered."""
        if not self.text.strip() and self.image is None and not self.like:
            raise InputError("the query is empty: give a text, a photo, a product's id to be like, or several of them")
        if self.top < 1 or self.offset < 0 or self.offset + self.top > MAX_DEPTH:
            raise InputError(f"top is at least 1, offset at least 0, and both together at most {MAX_DEPTH}")
        if self.rerank is not None and not 0 <= self.rerank <= MAX_DEPTH:
            raise InputError(f"rerank is {self.rerank}: use 0 (off) to {MAX_DEPTH}")
        for name in ("hybrid", "threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name} is {value}: use a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class PatchWeight:
    """A patch of the hit's photo: its index among the levels' patches, its box as fractions of the PHOTO, and how
    strongly the word points at it, from 0 to 1 (1: the strongest patch of the word)."""

    patch: int
    x1: float
    y1: float
    x2: float
    y2: float
    weight: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """One word of the query, at characters ``start`` to ``end`` of it, and what of the photo it points at.

    weight: the share of the match that the word explains, from 0 to 1; those of a query's words sum to 1.
    patches: the patches that speak for the word, strongest first.
    """

    word: str
    start: int
    end: int
    weight: float
    patches: list[PatchWeight]


@dataclass(frozen=True, slots=True)
class Hit:
    """One product of an answer.

    rank: from 1, over all pages. product: its fields and its best view. score: what the order by match follows.
    match: the calibrated probability, from 0 to 1, that this is what was asked for (see docs/search.md).
    variants: further products of its group (variants, near-duplicates) that the answer holds and does not show.
    """

    rank: int
    product: Candidate
    score: float
    match: float
    variants: int = 0
    why: list[Evidence] | None = None
    thumbnail: bytes = b""  # JPEG

    @property
    def cosine(self) -> float:
        return self.product.cosine

    @property
    def label(self) -> str:
        """The match for people: '93 % match'."""
        return f"{self.match:.0%} match".replace("%", " %")


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of hits, and what is known of the whole answer.

    total: products that the answer holds, on all pages and in groups; ``exact`` says whether that is all of them.
    next_offset: where the next page starts; None on the last one.
    facets: of each name asked for its values with the number of products, the most frequent first.
    seconds: of each stage. weak: nothing here matches well, the hits are only the nearest there are.
    """

    hits: list[Hit]
    total: int = 0
    exact: bool = True
    next_offset: int | None = None
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    weak: bool = False
