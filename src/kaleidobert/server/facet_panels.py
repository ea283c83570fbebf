"""The facet panels beside the results: which ones, in which order, with which values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from kaleidobert.index.facet_column import number, number_text, numeric, value_key
from kaleidobert.index.filters import Filters
from kaleidobert.index.operators import LABELS, Limits

VALUES_SHOWN = 6  # before "more"
MAX_VALUES = 40
MAX_PANELS = 8
MAX_NUMBERS = 6  # numeric facets with more values get a range instead of a list
BETWEEN_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\-]+")  # of a column's name


@dataclass(frozen=True, slots=True)
class FacetOption:
    """A value with a checkbox."""

    text: str
    condition: str  # the filter, as written
    count: int
    checked: bool


@dataclass(frozen=True, slots=True)
class FacetPanel:
    """A facet as a list of values, or as a range if it is numeric (``low`` is not None).

    low, high: the range of its values. start, stop: the range that is filtered for.
    """

    name: str
    title: str
    values: list[FacetOption]
    shown: int = VALUES_SHOWN
    low: str | None = None
    high: str | None = None
    start: str = ""
    stop: str = ""


def facet_panels(counts: Mapping[str, Sequence[tuple[str, int]]], filters: Filters) -> list[FacetPanel]:
    """Panels that can narrow the result or do so already: category and sub-category, then the most frequent."""
    names = sorted(
        {*counts, *filters.names},
        key=lambda name: (_label_order(name), -sum(count for _, count in counts.get(name, ())), name),
    )
    panels = []
    for name in names:
        found = [(value, count) for value, count in counts.get(name, ()) if value]
        numbers = [parsed for parsed in (number(value) for value, _ in found) if parsed is not None]
        limits, chosen = filters.limits(name), filters.values.get(name, ())
        if limits or (len(numbers) > MAX_NUMBERS and numeric(value for value, _ in found)):
            panels.append(_range_panel(name, numbers, limits or (-inf, inf)))
        elif len(found) > 1 or chosen:
            panels.append(_value_panel(name, found, chosen))
    return panels[:MAX_PANELS]


def title_of(name: str) -> str:
    """'second_colour' and 'secondColour' -> 'Second colour'."""
    words = BETWEEN_WORDS.sub(" ", name).lower().split()
    return " ".join(words).capitalize().replace("Subcategory", "Type")


def value_text(value: str) -> str:
    return value[:1].upper() + value[1:]


def _value_panel(name: str, found: list[tuple[str, int]], chosen: Sequence[str]) -> FacetPanel:
    keys, there = set(map(value_key, chosen)), {value_key(value) for value, _ in found}
    listed = [pair for place, pair in enumerate(found) if place < MAX_VALUES or value_key(pair[0]) in keys]
    listed += [(value, 0) for value in chosen if value_key(value) not in there]
    ordered = sorted(listed, key=lambda pair: value_key(pair[0]) not in keys)  # chosen ones first
    values = [
        FacetOption(value_text(value), Filters.of({name: value}).to_strings()[0], count, value_key(value) in keys)
        for value, count in ordered
    ]
    return FacetPanel(name, title_of(name), values, shown=max(VALUES_SHOWN, len(chosen)))


def _range_panel(name: str, numbers: list[float], limits: Limits) -> FacetPanel:
    low, high = (number_text(end(numbers)) if numbers else "" for end in (min, max))
    start, stop = (number_text(end) if isfinite(end) else "" for end in limits)
    return FacetPanel(name, title_of(name), [], low=low, high=high, start=start, stop=stop)


def _label_order(name: str) -> int:
    return LABELS.index(name) if name in LABELS else len(LABELS)
