"""The service's pages, made from the templates in ``web/``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape

from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import MAX_DEPTH, Answer, Evidence, Hit, Query
from kaleidobert.server.facet_panels import FacetPanel, shown_facets, title_of, value_text
from kaleidobert.server.schemas import Problem, image_path

WEB = Path(__file__).parent / "web"
PAGE_SIZE = 24
LAST_PAGE = MAX_DEPTH // PAGE_SIZE
SORTS = [("match", "Best match"), ("title", "Name")]


@dataclass(frozen=True)
class PageQuery:
    """What a page's address asks for. Addresses are relative: the service may lie below a prefix."""

    text: str = ""
    photo: str = ""  # a name on the shelf of photos
    like: str = ""
    avoid: str = ""
    filters: Filters = NO_FILTERS
    sort: str = "match"
    page: int = 1
    like_view: int = 0

    def __bool__(self) -> bool:
        return bool(self.text.strip() or self.photo or self.like or self.filters)

    @property
    def words(self) -> str:
        """What to look for; where only filters are given, what they name."""
        if self.text.strip() or self.photo or self.like:
            return self.text
        return " ".join(value for _, values in self.filters.values for value in values) or "product"

    @property
    def photo_src(self) -> str:
        return f"photos/{quote(self.photo, safe='')}" if self.photo else image_path(self.like, self.like_view)[1:]

    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as the address has them."""
        named = {"q": self.text, "photo": self.photo, "like": self.like, "avoid": self.avoid}
        conditions = [("filter", condition) for condition in self.filters.to_strings()]
        sort = [("sort", self.sort)] if self.sort != "match" else []
        page = [("page", str(self.page))] if self.page > 1 else []
        return [(name, value) for name, value in named.items() if value] + conditions + sort + page

    def href(self, **changes: Any) -> str:
        """The address with something changed, on its first page unless ``page`` is given."""
        return "./?" + urlencode(replace(self, **{"page": 1, **changes}).pairs())


@dataclass(frozen=True)
class Tile:
    """A category on the start page."""

    name: str
    count: int
    image: str

    @property
    def href(self) -> str:
        return category_href(self.name)


class Pages:
    """Renders pages."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def start(self, rows: int, categories: list[str], tiles: list[Tile], examples: list[str]) -> str:
        """The page before the first query: what can be asked here."""
        links = [{"text": text, "href": PageQuery(text).href()} for text in examples]
        return self._render("start.html", categories=categories, focus=True, examples=links, tiles=tiles, rows=rows)

    def results(
        self,
        asked: PageQuery,
        answer: Answer,
        categories: list[str],
        hint: str = "",
        correction: str | None = None,
        like: Candidate | None = None,
    ) -> str:
        """One page of an answer; ``hint`` says why there is none, ``like`` is the product that it is like."""
        kicker, heading = headings(asked, like)
        pages = math.ceil(answer.total / PAGE_SIZE)
        facets = shown_facets(answer.facets, asked.filters)
        return self._render(
            "results.html",
            asked=asked,
            categories=categories,
            kicker=kicker,
            heading=heading,
            count=count_text(answer),
            hits=[self._card(asked, hit) for hit in answer.hits],
            first=answer.hits[0].rank if answer.hits else 1,
            weak=answer.weak,
            facets=facets,
            chips=[
                {"name": title_of(name), "value": value_text(value), "href": asked.href(filters=fewer)}
                for name, value, fewer in chips(asked.filters)
            ],
            clear_href=asked.href(filters=NO_FILTERS),
            kept=[pair for pair in replace(asked, page=1).pairs() if pair[0] in ("q", "photo", "like")],
            sorts=sorts(facets),
            hint=hint,
            correction=correction and {"text": correction, "href": asked.href(text=correction)},
            previous=asked.href(page=asked.page - 1) if asked.page > 1 else None,
            next=asked.href(page=asked.page + 1) if answer.next_offset and asked.page < LAST_PAGE else None,
            last_page=min(pages, LAST_PAGE) if answer.exact else None,
        )

    def product(
        self,
        asked: PageQuery,
        product: Candidate,
        views: list[int],
        categories: list[str],
        evidence: list[Evidence],
        size: tuple[int, int],
        alike: list[Hit],
    ) -> str:
        """A product's own page. ``evidence``: of the first of ``views``, which has this ``size``, for the query."""
        labels = [(name, getattr(product, name)) for name in ("category", "subcategory")]
        return self._render(
            "product.html",
            asked=asked,
            categories=categories,
            product=product,
            title=product.title or product.id,
            back=asked.href() if asked else None,
            crumbs=[{"text": value, "href": filter_href(name, value)} for name, value in labels if value],
            images=[{"src": image_path(product.id, view)[1:] + "?large=true"} for view in views],
            image=image_path(product.id, views[0])[1:],
            like_href=PageQuery(like=product.id).href(),
            details=[
                {"name": title_of(name), "value": value_text(value), "href": filter_href(name, value)}
                for name, value in product.attributes.items()
                if value
            ],
            evidence=[
                {
                    "word": each.word,
                    "share": round(100 * each.weight),
                    "place": place(each),
                    "patches": each.patches,
                }
                for each in evidence
            ],
            width=size[0],
            height=size[1],
            alike=[self._card(PageQuery(like=product.id), hit) for hit in alike],
        )

    def error(self, asked: PageQuery, problem: Problem, again: str) -> str:
        return self._render(
            "error.html", asked=asked, problem=problem, sentence=as_sentence(problem.detail), again=again
        )

    def docs(self, openapi: dict[str, Any], address: str) -> str:
        """The API's operations, from its own description; ``address`` is the service's own."""
        operations = [
            {"method": method.upper(), "path": path, **operation}
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
        ]
        schemas = openapi["components"]["schemas"]
        return self._render("docs.html", operations=operations, schemas=schemas, address=address)

    def _card(self, asked: PageQuery, hit: Hit) -> dict[str, Any]:
        product, own = hit.product, quote(hit.product.id, safe="")
        why = urlencode({"q": asked.text, "view": product.view})
        context = [(name, value) for name, value in replace(asked, page=1).pairs()]
        labels = [product.subcategory or product.category, value_text(product.attributes.get("colour", ""))]
        return {
            "title": product.title or product.id,
            "label": " · ".join(filter(None, labels)),
            "image": image_path(product.id, product.view)[1:],
            "href": "product?" + urlencode([("id", product.id), ("view", product.view), *context]),
            "like_href": PageQuery(like=product.id).href(),
            "why_src": f"api/products/{own}/why?{why}" if asked.text.strip() else "",
            "match": round(100 * hit.match) if asked.text.strip() or asked.photo or asked.like else None,
            "others": hit.others,
        }

    def _render(
        self, template: str, asked: PageQuery = PageQuery(), categories: list[str] | None = None, **values: Any
    ) -> str:
        current = dict(asked.filters.values).get("category", ())
        links = [
            {"name": name, "href": category_href(name), "current": (name,) == current} for name in categories or []
        ]
        return self._templates.get_template(template).render(asked=asked, categories=links, **values)


def headings(asked: PageQuery, like: Candidate | None) -> tuple[str, str]:
    """The small line above, and the heading."""
    if like is not None:
        title = like.title or like.id
        return ("Like " + title, f"but “{asked.text}”") if asked.text else ("More like", title)
    if asked.photo:
        return ("Like your photo", f"“{asked.text}”") if asked.text else ("", "Like your photo")
    if asked.text:
        return "Results for", f"“{asked.text}”"
    names = [value_text(value) for _, values in asked.filters.values for value in values]
    return "", ", ".join(names) or "All products"


def count_text(answer: Answer) -> str:
    if not answer.total:
        return "No products"
    return f"{answer.total:,} product{'s' if answer.total != 1 else ''}" + ("" if answer.exact else " or more")


def chips(filters: Filters) -> list[tuple[str, str, Filters]]:
    """Every filter in use: its name, what it asks, and the filters without it."""
    values = [(name, value, filters.without(name, value)) for name, given in filters.values for value in given]
    ranges = [
        (name, " and ".join(text.removeprefix(name) for text in limits.to_strings(name)), filters.without(name))
        for name, limits in filters.ranges
    ]
    return values + ranges


def sorts(facets: Sequence[FacetPanel]) -> list[tuple[str, str]]:
    """Orders to choose from, with their names: numbers can be sorted by, too."""
    numbers = [facet for facet in facets if facet.low is not None]
    up = [(facet.name, f"{facet.title}: low to high") for facet in numbers]
    down = [("-" + facet.name, f"{facet.title}: high to low") for facet in numbers]
    return [*SORTS, *(pair for pairs in zip(up, down, strict=True) for pair in pairs)]


def place(evidence: Evidence) -> str:
    """Where the word points: 'at the top, on the left'."""
    if not evidence.patches:
        return "nowhere in particular"
    patch = evidence.patches[0]
    across, down = (
        min(2, max(0, int(3 * middle))) for middle in ((patch.x1 + patch.x2) / 2, (patch.y1 + patch.y2) / 2)
    )
    rows, columns = ("at the top", "in the middle", "at the bottom"), (", on the left", "", ", on the right")
    return rows[down] + columns[across]


def category_href(name: str) -> str:
    return filter_href("category", name)


def filter_href(name: str, value: str) -> str:
    return PageQuery(filters=Filters.of({name: value})).href()


def query_of(asked: PageQuery, image: Any = None) -> Query:
    """As the ranker takes it."""
    return Query(
        text=asked.words,
        image=image,
        like=asked.like or None,
        avoid=asked.avoid,
        filters=asked.filters,
        top=PAGE_SIZE,
        offset=(asked.page - 1) * PAGE_SIZE,
        sort=asked.sort,
        facets=(),
        thumbnails=False,
    )


def as_sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
