"""Renders the web pages from the templates in ``web/``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape

from kaleidobert.index.facet_column import number
from kaleidobert.index.filters import NO_FILTERS, Filters
from kaleidobert.index.records import Candidate
from kaleidobert.search.query import BEST_MATCH, Answer, Evidence, Hit, Query
from kaleidobert.search.query_encoder import phrases_of
from kaleidobert.server.facet_panels import FacetPanel, facet_panels, title_of, value_text
from kaleidobert.server.page_params import LAST_PAGE, NO_PARAMS, PAGE_SIZE, PageParams, filter_href
from kaleidobert.server.schemas import ProblemDetails, image_path
from kaleidobert.server.start_page import StartPageContent

WEB = Path(__file__).parent / "web"
NO_CONTENT = StartPageContent(0, [], [])
LIMITS = {"<=": "up to", ">=": "from", "<": "under", ">": "over"}
STRONG, FAIR = 0.5, 0.15  # match probabilities from which a match is called so
SORTS = [(BEST_MATCH, "Best match"), ("title", "Name")]


class PageRenderer:
    """Renders pages as HTML."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def start(self, content: StartPageContent) -> str:
        """The page before the first search."""
        examples = [{"text": text, "href": PageParams(text).href()} for text in content.examples]
        return self._render(
            "start.html",
            site=content,
            focus=True,
            examples=examples,
            tiles=content.tiles,
            rows=content.rows,
        )

    def results(
        self,
        params: PageParams,
        answer: Answer,
        site: StartPageContent,
        correction: str | None = None,
        like: Candidate | None = None,
    ) -> str:
        """One page of hits. ``like``: the product with the id ``params.like``."""
        kicker, heading = headings(params, like)
        panels = facet_panels(answer.facets, params.filters)
        return self._render(
            "results.html",
            params=params,
            site=site,
            kicker=kicker,
            heading=heading,
            count=count_text(answer),
            hits=[_card(params, hit) for hit in answer.hits],
            first=answer.hits[0].rank if answer.hits else 1,
            weak=answer.weak,
            banner=answer.banner,
            facets=panels,
            chips=[
                {"name": title_of(name), "value": value, "href": params.href(filters=others)}
                for name, value, others in chips(params.filters)
            ],
            understood=understood_chips(params, answer.asked),
            clear_href=params.href(filters=NO_FILTERS),
            hidden_fields=[
                pair for pair in replace(params, page=1).pairs() if pair[0] in ("q", "photo", "like", "ignore")
            ],
            sorts=sorts(panels),
            nothing=answer.nothing,
            correction=correction and {"text": correction, "href": params.href(text=correction)},
            previous=params.href(page=params.page - 1) if params.page > 1 else None,
            next=params.href(page=params.page + 1) if answer.next_offset and params.page < LAST_PAGE else None,
            last_page=min(math.ceil(answer.total / PAGE_SIZE), LAST_PAGE) if answer.exact else None,
        )

    def product(
        self,
        params: PageParams,
        product: Candidate,
        views: list[int],
        site: StartPageContent,
        evidence: list[Evidence],
        size: tuple[int, int],
        similar: list[Hit],
    ) -> str:
        """The page of one product. ``evidence`` explains the first of ``views``, whose thumbnail has this ``size``."""
        labels = [(name, getattr(product, name)) for name in ("category", "subcategory")]
        return self._render(
            "product.html",
            params=params,
            site=site,
            product=product,
            title=product.title or product.id,
            back=params.href() if params else None,
            crumbs=[{"text": value, "href": filter_href(name, value)} for name, value in labels if value],
            images=[{"src": large_image(product, view)} for view in views],
            image=image_path(product.id, views[0], product.content)[1:],
            like_href=PageParams(like=product.id).href(),
            details=[
                {"name": title_of(name), "value": value_text(value), "href": filter_href(name, value)}
                for name, value in product.attributes.items()
                if value
            ],
            evidence=[
                {
                    "word": each.word,
                    "share": round(100 * each.weight),
                    "position": position_text(each),
                    "patches": each.patches,
                }
                for each in evidence
            ],
            width=size[0],
            height=size[1],
            similar=[_card(PageParams(like=product.id), hit) for hit in similar],
        )

    def error(self, params: PageParams, problem: ProblemDetails, retry: str, site: StartPageContent) -> str:
        """``retry``: the URL that failed."""
        sentence = as_sentence(problem.detail)
        return self._render("error.html", params=params, site=site, problem=problem, sentence=sentence, retry=retry)

    def docs(self, openapi: dict[str, Any], address: str) -> str:
        """The API's operations and schemas, from its OpenAPI description; ``address``: the service's base URL."""
        operations = [
            {"method": method.upper(), "path": path, **operation}
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
        ]
        schemas = openapi["components"]["schemas"]
        return self._render("docs.html", operations=operations, schemas=schemas, address=address)

    def _render(
        self, template: str, params: PageParams = NO_PARAMS, site: StartPageContent = NO_CONTENT, **values: Any
    ) -> str:
        current = params.filters.values.get("category", ())
        links = [
            {"name": name, "href": filter_href("category", name), "current": (name,) == current}
            for name in site.categories
        ]
        return self._templates.get_template(template).render(
            params=params, categories=links, direction=site.direction, **values
        )


def _card(params: PageParams, hit: Hit) -> dict[str, Any]:
    """What the template shows of a hit."""
    product, product_id = hit.product, quote(hit.product.id, safe="")
    why = urlencode({"q": params.text, "view": product.view})
    labels = [product.subcategory or product.category, value_text(product.attributes.get("colour", ""))]
    where = [("id", product.id), ("view", product.view), ("rank", hit.rank)]
    return {
        "title": product.title or product.id,
        "label": " · ".join(filter(None, labels)),
        "image": image_path(product.id, product.view, product.content)[1:],
        "href": "product?" + urlencode([*where, *replace(params, page=1).pairs()]),
        "like_href": PageParams(like=product.id).href(),
        "why_src": f"api/products/{product_id}/why?{why}" if params.text.strip() else "",
        "match": match_text(hit.match) if params.ranks and hit.match is not None else None,
        "percent": round(100 * (hit.match or 0.0)),
        "variants": hit.variants,
    }


def large_image(product: Candidate, view: int) -> str:
    """The original photo, where it is kept."""
    path = image_path(product.id, view, product.content)[1:]
    return path + ("&" if "?" in path else "?") + "large=true"


def headings(params: PageParams, like: Candidate | None) -> tuple[str, str]:
    """The small line above the heading, and the heading."""
    if like is not None:
        title = like.title or like.id
        return ("Like " + title, f"but “{params.text}”") if params.text else ("More like", title)
    if params.photo:
        return ("Like your photo", f"“{params.text}”") if params.text else ("", "Like your photo")
    if params.text:
        return "Results for", f"“{params.text}”"
    names = [value_text(value) for values in params.filters.values.values() for value in values]
    return "", ", ".join(names) or "All products"


def count_text(answer: Answer) -> str:
    if not answer.total:
        return "No products"
    return ("" if answer.exact else "At least ") + f"{answer.total:,} product{'s' if answer.total != 1 else ''}"


def chips(filters: Filters) -> list[tuple[str, str, Filters]]:
    """For each condition: its name, what it asks for, and the filters without it."""
    return [(name, condition_text(text), others) for name, text, others in filters.split()]


def understood_chips(params: PageParams, asked: Query) -> list[dict[str, str]]:
    """What was understood of the text, each with the search without it."""
    found = []
    rest, avoid, given = " ".join(asked.text.split()), phrases_of(asked.avoid), params.filters.to_strings()
    for phrase in avoid[len(phrases_of(params.avoid)) :]:
        left = ", ".join(each for each in avoid if each != phrase)
        href = params.href(text=rest, avoid=left, filters=asked.filters)
        found.append({"name": "Without", "value": phrase, "href": href})
    for condition, (name, text, others) in zip(asked.filters.to_strings(), asked.filters.split(), strict=True):
        if condition not in given:
            href = params.href(text=rest, avoid=asked.avoid, filters=others)
            found.append({"name": title_of(name), "value": condition_text(text), "href": href})
    for name, value in asked.preferred:
        href = params.href(ignore=(*params.ignore, f"{name}={value}"))
        found.append({"name": "Best with " + title_of(name).lower(), "value": value_text(value), "href": href})
    return found


def condition_text(text: str) -> str:
    """What a condition's sign and operand ask for, as people say it: "<=60" -> "up to 60", "=red" -> "Red"."""
    for sign, words in LIMITS.items():
        if text.startswith(sign):
            return f"{words} {text.removeprefix(sign)}"
    value = text.removeprefix("=")
    low, between, high = value.partition("..")
    if between and number(low) is not None and number(high) is not None:
        return f"{low} to {high}"
    return value_text(value.strip('"'))


def match_text(match: float) -> str:
    """A match in words: a percentage beside the right product reads as a mark."""
    return "Strong" if match >= STRONG else "Fair" if match >= FAIR else "Weak"


def sorts(panels: Sequence[FacetPanel]) -> list[tuple[str, str]]:
    """The sort orders to choose from, with their names; numeric facets can be sorted by as well."""
    numeric = [panel for panel in panels if panel.low is not None]
    ascending = [(panel.name, f"{panel.title}: low to high") for panel in numeric]
    descending = [("-" + panel.name, f"{panel.title}: high to low") for panel in numeric]
    return [*SORTS, *(pair for pairs in zip(ascending, descending, strict=True) for pair in pairs)]


def position_text(evidence: Evidence) -> str:
    """Where on the photo the word's strongest patch is: 'at the top, on the left'."""
    if not evidence.patches:
        return "nowhere in particular"
    patch = evidence.patches[0]
    column, row = (min(2, max(0, int(3 * centre))) for centre in ((patch.x1 + patch.x2) / 2, (patch.y1 + patch.y2) / 2))
    rows, columns = ("at the top", "in the middle", "at the bottom"), (", on the left", "", ", on the right")
    return rows[row] + columns[column]


def as_sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
