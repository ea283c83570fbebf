"""What shoppers did with a search, one JSON line each: what they searched for, viewed, clicked and put in the cart."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta, timezone
from pathlib import Path

from kaleidobert.errors import InputError

SEARCH, VIEW, CLICK, CART = "search", "view", "click", "cart"
KINDS = (SEARCH, VIEW, CLICK, CART)
FOLDER = "events"  # in a store's folder
KEEP_DAYS = 365  # by default
DAY_BYTES = 256_000_000  # of one day's file, as anybody may send events


@dataclass(frozen=True)
class Event:
    """One event. ``time``: UTC, ISO 8601. Nothing tells who it was.

    kind: of `KINDS`. query: what was searched for, "" for a product that was found otherwise. product and position:
    of what was viewed, clicked or put in the cart, and its rank in the answer, from 1; None where unknown. hits and
    weak, of a search: how many products it found, and whether it says that nothing matches well.
    """

    kind: str
    query: str = ""
    product: str | None = None
    position: int | None = None
    hits: int | None = None
    weak: bool | None = None
    time: str = ""


def events_folder(store: str) -> Path:
    """Where a store's events are. Raises ``InputError`` for a store that is no local folder."""
    if "://" in store:
        raise InputError(f"{store}: events are kept in a store's own folder, and this one is an object store")
    return Path(store) / FOLDER


class EventLog:
    """Appends events to a file for each day; several processes may share a folder.

    With the first event of a day, files that are more than ``keep_days`` old are deleted; 0 keeps all.
    """

    def __init__(self, folder: Path, keep_days: int = KEEP_DAYS) -> None:
        self.folder = folder
        self.keep_days = keep_days

    def append(self, events: Iterable[Event]) -> None:
        """Write the events, those without a time with the present one. Raises ``OSError`` where they cannot be."""
        now = datetime.now(timezone.utc)
        stamp = now.isoformat(timespec="seconds")
        lines = []
        for event in events:
            known = {name: value for name, value in asdict(event).items() if value not in (None, "")}
            lines.append(json.dumps({"time": stamp} | known, ensure_ascii=False) + "\n")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{now:%Y-%m-%d}.jsonl"
        if not path.exists() and self.keep_days:
            self._delete_before(f"{now - timedelta(days=self.keep_days):%Y-%m-%d}.jsonl")
        with open(path, "ab", buffering=0) as file:
            if file.tell() > DAY_BYTES:
                raise OSError(f"{file.name} has {DAY_BYTES / 1e6:.0f} MB, all that one day may have")
            data = "".join(lines).encode()
            if file.write(data) < len(data):  # one write, so that lines of several processes do not mix
                file.write(b"\n")
                raise OSError(f"{file.name}: no space left")

    def _delete_before(self, first: str) -> None:
        """Delete the files of the days before that of the file name ``first``."""
        for file in self.folder.glob("[0-9]*-[0-9]*-[0-9]*.jsonl"):
            if file.name < first:
                file.unlink(missing_ok=True)


def read_events(folder: Path) -> tuple[list[Event], int]:
    """All events, the oldest first, and the number of lines that hold none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no events there; log them with kaleidobert serve --log-events")
    found, damaged = [], 0
    for file in sorted(folder.glob("*.jsonl")):
        for line in _lines(file):
            event = _event(line)
            found += [event] if event else []
            damaged += event is None
    return found, damaged


def _event(line: str) -> Event | None:
    """The event in a line; None where it holds none. Fields that this version does not know are left out."""
    try:
        stored = json.loads(line)
        known = {field.name: stored[field.name] for field in fields(Event) if field.name in stored}
        event = Event(**known)
    except (ValueError, TypeError, AttributeError):
        return None
    texts = (event.query, event.time, "" if event.product is None else event.product)
    numbers = (each for each in (event.position, event.hits) if each is not None)
    usable = event.kind in KINDS and all(isinstance(each, str) for each in texts)
    return event if usable and all(type(each) is int for each in numbers) else None


def chosen_queries(events: Iterable[Event]) -> dict[str, list[str]]:
    """For each product, the queries from which it was clicked or put in the cart, the most frequent first.

    Queries that differ in case and spaces only are one.
    """
    counts: dict[str, Counter[str]] = {}
    for event in events:
        query = " ".join(event.query.lower().split())
        if event.kind in (CLICK, CART) and event.product and query:
            counts.setdefault(event.product, Counter())[query] += 1
    return {product: [query for query, _ in queries.most_common()] for product, queries in counts.items()}


def load_events(store: str) -> tuple[list[Event], int]:
    """`read_events` of a store, or of a folder of events itself."""
    itself = "://" not in store and any(Path(store).glob("*.jsonl"))
    return read_events(Path(store) if itself else events_folder(store))


def load_chosen_queries(store: str) -> Mapping[str, list[str]]:
    """`chosen_queries` of a store, or of a folder of events. Raises ``InputError`` where there are none."""
    found = chosen_queries(load_events(store)[0])
    if not found:
        raise InputError(f"{store}: no product was clicked or put in the cart there after a search")
    return found


def _lines(file: Path) -> Iterator[str]:
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.strip(os.linesep + " "):
                yield line
