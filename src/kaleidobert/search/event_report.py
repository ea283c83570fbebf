"""What a shop's own searches came to: which found nothing or are weak, and at what ranks products were chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from kaleidobert.data.events import CART, CLICK, SEARCH, Event

TOP = 20  # queries of each list
POSITIONS = ((1, 1), (2, 3), (4, 10), (11, 24))  # first and last; further ones are counted together


def event_report(events: Sequence[Event], top: int = TOP) -> dict[str, Any]:
    """Counts of searches and choices, and the ``top`` most frequent queries without a hit, weak ones, and of all.

    Queries that differ in case and spaces only are one. click_rate: clicks per search; mean_position: of clicks with a
    known position; positions: how many of those fall on each range of ranks.
    """
    searches: Counter[str] = Counter()
    empty: Counter[str] = Counter()
    weak: Counter[str] = Counter()
    clicks: dict[str, list[int | None]] = defaultdict(list)
    carts: Counter[str] = Counter()
    for event in events:
        query = " ".join(event.query.lower().split())
        if event.kind == SEARCH:
            searches[query] += 1
            empty[query] += event.hits == 0
            weak[query] += bool(event.weak and event.hits)
        elif event.kind == CLICK:
            clicks[query].append(event.position)
        elif event.kind == CART:
            carts[query] += 1
    total = searches.total()
    known = [place for places in clicks.values() for place in places if place]
    found: dict[str, Any] = {
        "searches": total,
        "queries": len(searches),
        "without_hits": empty.total() / total if total else 0.0,
        "weak": weak.total() / total if total else 0.0,
        "clicks": sum(map(len, clicks.values())),
        "carts": carts.total(),
        "MRR": sum(1 / place for place in known) / len(known) if known else None,
        "positions": _positions(known),
    }
    for name, counts in (("without_hits_queries", empty), ("weak_queries", weak)):
        found[name] = [{"query": query, "searches": times} for query, times in counts.most_common(top) if times]
    found["frequent_queries"] = [
        {
            "query": query,
            "searches": times,
            "click_rate": len(clicks[query]) / times,
            "mean_position": _mean([place for place in clicks[query] if place]),
            "carts": carts[query],
        }
        for query, times in searches.most_common(top)
    ]
    return found


def _positions(places: Sequence[int]) -> dict[str, int]:
    ranges = {f"{first}-{last}" if last > first else str(first): (first, last) for first, last in POSITIONS}
    found = {name: sum(first <= place <= last for place in places) for name, (first, last) in ranges.items()}
    return found | {f"after {POSITIONS[-1][1]}": sum(place > POSITIONS[-1][1] for place in places)}


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None
