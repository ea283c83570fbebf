"""A visitor's page, and what went wrong on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Site:
    """A running service."""

    address: str
    app: Any


@dataclass
class Visit:
    """What a page asked for from other hosts, and what its console complained about."""

    foreign: list[str]
    complaints: list[str]


def open_page(browser: Any, site: Site, **settings: Any) -> tuple[Any, Visit]:
    """A fresh visitor's page. Closing its context ends the visit."""
    context = browser.new_context(base_url=site.address, **{"viewport": {"width": 1280, "height": 900}, **settings})
    context.set_default_timeout(30_000)
    page, visit = context.new_page(), Visit([], [])
    page.on("request", lambda request: request.url.startswith(site.address) or visit.foreign.append(request.url))
    page.on("console", lambda told: told.type == "error" and visit.complaints.append(told.text))
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    return page, visit
