"""The query parameters of a results page's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from PIL import Image

from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.search.query import BEST_MATCH, MAX_DEPTH, Query
from kaleidobert.server.schemas import image_path

PAGE_SIZE = 24
LAST_PAGE = MAX_DEPTH // PAGE_SIZE


@dataclass(frozen=True)
class PageParams:
    """A search as the URL of its results page holds it.

    URLs are relative, because the service may be mounted below a path prefix.
    """

    text: str = ""
    photo: str = ""  # the name of an uploaded photo in the cache
    like: str = ""  # a product id
    avoid: str = ""
    filters: Filters = NO_FILTERS
    ignore: tuple[str, ...] = ()  # facets' values, as "name=value", that the text is not to mean
    sort: str = BEST_MATCH
    page: int = 1

    def __bool__(self) -> bool:
        return bool(self.ranks or self.filters)

    @property
    def ranks(self) -> bool:
        """Whether there is anything to rank by, rather than filters alone."""
        return bool(self.text.strip() or self.photo or self.like)

    @property
    def search_text(self) -> str:
        """The text to rank by; the filters' values when nothing else is given."""
        if self.ranks:
            return self.text
        return " ".join(value for values in self.filters.values.values() for value in values) or "product"

    @property
    def photo_src(self) -> str:
        """The uploaded photo, or the first photo of the product in ``like``."""
        return f"photos/{quote(self.photo, safe='')}" if self.photo else image_path(self.like, 0)[1:]

    def pairs(self) -> list[tuple[str, str]]:
        """The URL's (name, value) pairs."""
        named = {"q": self.text, "photo": self.photo, "like": self.like, "avoid": self.avoid}
        conditions = [("filter", condition) for condition in self.filters.to_strings()]
        conditions += [("ignore", each) for each in self.ignore]
        sort = [("sort", self.sort)] if self.sort != BEST_MATCH else []
        page = [("page", str(self.page))] if self.page > 1 else []
        return [(name, value) for name, value in named.items() if value] + conditions + sort + page

    def href(self, **changes: Any) -> str:
        """The URL with these fields changed; back on the first page unless ``page`` is given."""
        return "./?" + urlencode(replace(self, **{"page": 1, **changes}).pairs())

    def to_query(self, image: Image.Image | None = None) -> Query:
        """The query for this page; ``image`` is the uploaded photo."""
        return Query(
            text=self.search_text,
            image=image,
            like=self.like or None,
            avoid=self.avoid,
            filters=self.filters,
            ignore=self.ignore,
            understand=self.ranks,
            top=PAGE_SIZE,
            offset=(self.page - 1) * PAGE_SIZE,
            sort=self.sort,
            facets=(),
            thumbnails=False,
        )


NO_PARAMS = PageParams()


def filter_href(name: str, value: str) -> str:
    """The page of all products with this value."""
    return PageParams(filters=Filters.of({name: value})).href()
