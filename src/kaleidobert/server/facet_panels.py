"""Facets as a page shows them: which ones, in which order, under which names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kaleidobert.index.filters import LABELS, Filters, Range, number

SHOWN = 6  # values before "more"
MOST_VALUES = 40
MOST_FACETS = 8
RANGE_ABOVE = 6  # numbers with more values than this are asked for as a range


@dataclass(frozen=True, slots=True)
class FacetOption:
    """A value to choose."""

    text: str
    condition: str  # as a filter is written
    count: int
    checked: bool


@dataclass(frozen=True, slots=True)
class FacetPanel:
    """A name with its values, or with the ends of its range where it is a number (``low`` is not None)."""

    name: str
    title: str
    values: list[FacetOption]
    shown: int = SHOWN
    low: str | None = None
    high: str | None = None
    start: str = ""
    stop: str = ""


def facet_panels(counts: Mapping[str, Sequence[tuple[str, int]]], filters: Filters) -> list[FacetPanel]:
    """What can narrow an answer with these counts, and what narrows it already; labels first, then the commonest."""
    chosen, ranges = dict(filters.values), dict(filters.ranges)
    facets = []
    for name in sorted({*counts, *chosen, *ranges}, key=lambda name: (_place(name), -_size(counts, name), name)):
        found = [(value, count) for value, count in counts.get(name, ()) if value]
        numbers = [each for each in (number(value) for value, _ in found) if each is not None]
        if name in ranges or (len(numbers) == len(found) > RANGE_ABOVE):
            facets.append(_range(name, numbers, ranges.get(name, Range())))
        elif len(found) > 1 or name in chosen:
            facets.append(_choice(name, found, chosen.get(name, ())))
    return facets[:MOST_FACETS]


def title_of(name: str) -> str:
    """'second_colour' and 'secondColour' -> 'Second colour'."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-]+", " ", name).lower().split()
    return " ".join(words).capitalize().replace("Subcategory", "Type")


def value_text(value: str) -> str:
    return value[:1].upper() + value[1:]


def _choice(name: str, found: list[tuple[str, int]], chosen: Sequence[str]) -> FacetPanel:
    missing = [(value, 0) for value in chosen if value not in dict(found)]
    first = sorted([*found[:MOST_VALUES], *missing], key=lambda each: each[0] not in chosen)  # stable: commonest first
    values = [FacetOption(value_text(value), f"{name}={value}", count, value in chosen) for value, count in first]
    return FacetPanel(name, title_of(name), values, shown=max(SHOWN, len(chosen)))


def _range(name: str, numbers: list[float], limits: Range) -> FacetPanel:
    low, high = (f"{end(numbers):g}" if numbers else "" for end in (min, max))
    start, stop = (f"{end:g}" if abs(end) != float("inf") else "" for end in (limits.low, limits.high))
    return FacetPanel(name, title_of(name), [], low=low, high=high, start=start, stop=stop)


def _place(name: str) -> int:
    return LABELS.index(name) if name in LABELS else len(LABELS)


def _size(counts: Mapping[str, Sequence[tuple[str, int]]], name: str) -> int:
    return sum(count for _, count in counts.get(name, ()))
