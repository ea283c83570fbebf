"""What the start page and the search box show of the catalogue, computed once per version of the store."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kaleidobert.index.caching import CachedPerVersion
from kaleidobert.index.filters import Filters
from kaleidobert.index.protocol import ProductIndex
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import Query
from kaleidobert.search.ranker import Ranker
from kaleidobert.search.suggestions import Vocabulary
from kaleidobert.server.batched_ranker import BatchedRanker
from kaleidobert.server.metrics import Metrics
from kaleidobert.server.page_params import filter_href
from kaleidobert.server.schemas import image_path

MAX_CATEGORIES = 8  # shown in the page header and as tiles
MAX_EXAMPLES = 5
SAMPLED_TITLES = 1000  # that tell the direction
STALE_SECONDS = 10.0  # how outdated the content may be while the store is written to


@dataclass(frozen=True)
class CategoryTile:
    """A category on the start page."""

    name: str
    count: int
    image: str

    @property
    def href(self) -> str:
        return filter_href("category", self.name)


@dataclass(frozen=True)
class StartPageContent:
    """The catalogue at a glance: number of photos, largest categories, example queries, and "ltr" or "rtl"."""

    rows: int
    tiles: list[CategoryTile]
    examples: list[str]
    direction: str = "ltr"

    @property
    def categories(self) -> list[str]:
        return [tile.name for tile in self.tiles]

    @classmethod
    def unread(cls, store: ProductIndex) -> StartPageContent:
        """The direction of a store's titles alone, before anything has been searched."""
        return cls(0, [], [], direction(store.titles()[:SAMPLED_TITLES]))

    @classmethod
    def of(cls, ranker: Ranker) -> StartPageContent:
        counts = ranker.store.facets(names=["category", "subcategory"])
        categories = [(name, count) for name, count in counts.get("category", []) if name.strip()][:MAX_CATEGORIES]
        queries = [
            Query(name, filters=Filters.of({"category": name}), top=1, thumbnails=False) for name, _ in categories
        ]
        answers = ranker.answer_many(queries) if queries else []
        tiles = [
            CategoryTile(name, count, tile_image(answer.hits[0].product))
            for (name, count), answer in zip(categories, answers, strict=True)
            if answer.hits
        ]
        subcategories = [name.lower() for name, _ in counts.get("subcategory", []) if name.strip()]
        examples = subcategories[:MAX_EXAMPLES] or [name.lower() for name, _ in categories]
        titles = [hit.product.title for answer in answers for hit in answer.hits] or ranker.store.titles()
        return cls(ranker.store.rows(), tiles, examples, direction([*titles, *examples]))


def direction(texts: Iterable[str]) -> str:
    """ "rtl" where most letters of the texts are of a script that is written from right to left, else "ltr"."""
    letters = Counter(unicodedata.bidirectional(letter) for text in texts for letter in text)
    return "rtl" if letters["R"] + letters["AL"] > letters["L"] else "ltr"


def tile_image(product: Candidate) -> str:
    """View 0 shows the whole product."""
    return image_path(product.id, 0, product.content)[1:]


def cached_start_page(batched_ranker: BatchedRanker, metrics: Metrics) -> CachedPerVersion[StartPageContent]:
    return CachedPerVersion(
        lambda: StartPageContent.of(batched_ranker.ranker),
        lambda: batched_ranker.store.version,
        STALE_SECONDS,
        metrics.cache_observer("start_page"),
    )


def cached_vocabulary(batched_ranker: BatchedRanker, metrics: Metrics) -> CachedPerVersion[Vocabulary]:
    return CachedPerVersion(
        lambda: Vocabulary.of(batched_ranker.store.titles(), batched_ranker.store.words()),
        lambda: batched_ranker.store.version,
        STALE_SECONDS,
        metrics.cache_observer("vocabulary"),
    )
