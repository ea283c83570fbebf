"""Queries and answers of the ranker, the same for the web pages, the API and the command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from kaleidobert.data.plain_text import is_unicode
from kaleidobert.errors import InputError
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.records import Candidate

MAX_AVOIDED = 20  # phrases
MAX_DEPTH = 1000  # hits that an answer can be paged through
BEST_MATCH = "match"  # the default sort order


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A text, a photo, an indexed product, or several of them, with what hits must fulfil and what they must bring.

    text: what to search for. image: a photo of something similar. like: the id of an indexed product to resemble.
    avoid: comma-separated words or phrases that hits should neither mention nor show.
    filters: conditions that every hit must meet.
    top, offset: number of hits to return and to skip.
    rerank: candidates to re-rank with the joint model; 0: none; None: the default.
    hybrid: None: the words of title, description, labels and attributes count as fitted; a number from 0 to 1: the
        weight of their rank in the order, 0: they do not count.
    understand: whether to look in the text for what to avoid, prices, and values of facets (see `understanding`).
    preferred: names and values of facets that hits should have if possible. ignore: those, as "name=value", that are
        not to be found in the text.
    sort: "match", "title" or an attribute; a prefix "-" reverses the order.
    threshold: minimum match probability of a hit, from 0 to 1.
    why: whether hits explain which patches each word of the text matches.
    facets: names whose values to count; () for all, None for none.
    thumbnails: whether hits bring their thumbnail.
    """

    text: str = ""
    image: Image.Image | None = None
    like: str | None = None
    avoid: str = ""
    filters: Filters = NO_FILTERS
    top: int = 24
    offset: int = 0
    rerank: int | None = None
    hybrid: float | None = None
    understand: bool = True
    preferred: tuple[tuple[str, str], ...] = ()
    ignore: tuple[str, ...] = ()
    sort: str = BEST_MATCH
    threshold: float | None = None
    why: bool = False
    facets: tuple[str, ...] | None = None
    thumbnails: bool = True

    def check(self) -> None:
        """Raise ``InputError`` for a query that cannot be answered."""
        if not self.text.strip() and self.image is None and not self.like:
            raise InputError(
                "the query is empty: give a text, a photo, the id of a similar product, or several of them"
            )
        for name in ("text", "like", "avoid"):
            if not is_unicode(getattr(self, name) or ""):
                raise InputError(f"{name} is not valid Unicode text: {getattr(self, name)[:80]!a}; write it again")
        if self.top < 1 or self.offset < 0 or self.offset + self.top > MAX_DEPTH:
            raise InputError(f"top must be at least 1, offset at least 0, and their sum at most {MAX_DEPTH}")
        if self.rerank is not None and not 0 <= self.rerank <= MAX_DEPTH:
            raise InputError(f"rerank is {self.rerank}: use 0 (off) to {MAX_DEPTH}")
        if self.avoid.count(",") >= MAX_AVOIDED:
            raise InputError(f"avoid has more than {MAX_AVOIDED} phrases: leave some out")
        for name in ("hybrid", "threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name} is {value}: use a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class PatchWeight:
    """A patch of a photo that a word matches.

    patch: its index in the sequence of all levels' patches. x1, y1, x2, y2: its box as fractions of the whole photo.
    weight: how well the word matches it, relative to the word's best patch, which has 1.
    """

    patch: int
    x1: float
    y1: float
    x2: float
    y2: float
    weight: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """A word of the query, at its characters ``start`` to ``end``, and what it matches on the photo.

    weight: the share of the match that the word explains; the shares of a query's words sum to 1.
    patches: the patches that the word matches, best first.
    """

    word: str
    start: int
    end: int
    weight: float
    patches: list[PatchWeight]


@dataclass(frozen=True, slots=True)
class Hit:
    """A product in an answer.

    rank: position over all pages, from 1. product: its fields and best view.
    score: what hits are ordered by unless sorted otherwise.
    match: calibrated probability that the product matches the query, from 0 to 1 (docs/search.md); None where no match
    probabilities were fitted.
    variants: further hits in the product's group (variants, near-duplicates) that are not listed.
    """

    rank: int
    product: Candidate
    score: float
    match: float | None
    variants: int = 0
    why: list[Evidence] | None = None
    thumbnail: bytes = b""  # JPEG

    @property
    def cosine(self) -> float:
        return self.product.cosine

    @property
    def label(self) -> str:
        """The match for display: '93 % match', or ''."""
        return "" if self.match is None else f"{self.match:.0%} match".replace("%", " %")


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of hits, and figures of the whole result.

    total: number of matching products on all pages, including unlisted variants; a lower bound unless ``exact``.
    next_offset: offset of the next page; None on the last one.
    facets: for each requested name its values with their number of products, most frequent first.
    asked: the query as it was understood. seconds: time of each stage.
    weak: nothing matches well, and the hits are only the nearest products.
    note: why a setting of the query had no effect, or hits have no match; "" otherwise.
    nothing: why there are no hits, and what to try; "" if there are.
    banner, redirect: what the shop's rules announce, and the address that they send such a search to.
    """

    hits: list[Hit]
    asked: Query
    total: int = 0
    exact: bool = True
    next_offset: int | None = None
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    weak: bool = False
    note: str = ""
    nothing: str = ""
    banner: str = ""
    redirect: str = ""
