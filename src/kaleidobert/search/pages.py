"""The service's pages, made from the templates in ``web/``."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape

from kaleidobert.search.ranking import Answer
from kaleidobert.search.schemas import MAX_RESULTS, Problem, SearchHit, SearchRequest
from kaleidobert.search.store import Store

WEB = Path(__file__).parent / "web"
PAGE_SIZE = 24
EXAMPLES = 8


class Pages:
    """Renders pages about one store. Addresses in them are relative: the service may lie below a prefix."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._examples: tuple[str, list[str]] = ("", [])  # valid for one version of the store
        self._templates = Environment(
            loader=FileSystemLoader(WEB / "templates"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def start(self) -> str:
        """The page before the first query: what can be asked here."""
        examples = [{"text": text, "href": href(text)} for text in self.examples()]
        return self._render("start.html", query="", focus=True, examples=examples, rows=self._store.rows())

    def results(self, request: SearchRequest, page: int, answer: Answer, hint: str) -> str:
        """One page of an answer; ``hint`` says why there is none."""
        query, filters = request.query, request.filters
        end = request.offset + request.top
        hits = [
            {
                "hit": SearchHit.of(hit),
                "label": hit.label,
                "category_href": href(query, {**filters, "subcategory": hit.product.subcategory}),
            }
            for hit in answer.hits[request.offset : end]
        ]
        chips = [
            {
                "name": name,
                "value": value,
                "href": href(query, {n: v for n, v in filters.items() if n != name}),
            }
            for name, value in filters.items()
        ]
        more = len(answer.hits) > end and end + PAGE_SIZE <= MAX_RESULTS
        return self._render(
            "results.html",
            query=query,
            filters=[f"{name}={value}" for name, value in filters.items()],
            chips=chips,
            hits=hits,
            hint=hint,
            page=page,
            previous=href(query, filters, page - 1) if page > 1 else None,
            next=href(query, filters, page + 1) if more else None,
            seconds=sum(answer.seconds.values()),
        )

    def error(self, query: str, problem: Problem) -> str:
        return self._render("error.html", query=query, problem=problem)

    def docs(self, openapi: dict[str, Any], address: str) -> str:
        """The API's operations, from its own description; ``address`` is the service's own."""
        operations = [
            {"method": method.upper(), "path": path, "summary": operation.get("summary", "")}
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
        ]
        return self._render("docs.html", query="", operations=operations, address=address)

    def examples(self) -> list[str]:
        """Queries that make sense here: the catalogue's commonest sub-categories, else categories."""
        version = self._store.version
        if self._examples[0] != version:
            labels = [subcategory or category for category, subcategory in self._store.subcategories()]
            self._examples = (version, list(dict.fromkeys(filter(None, labels)))[:EXAMPLES])
        return self._examples[1]

    def _render(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


def href(query: str, filters: dict[str, str] | None = None, page: int = 1) -> str:
    """The address of a page of results."""
    pairs = [("q", query), *(("filter", f"{name}={value}") for name, value in (filters or {}).items())]
    return "?" + urlencode(pairs + ([("page", str(page))] if page > 1 else []))
