"""The versions of a store: one table of products per version, and a small table that lists them.

Each row of the table ``versions`` has a version's product table, its description as JSON and its state. Switching to
another version is one atomic update of this table. A reader stays with the version it opened, so it never compares
embeddings of two models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from kaleidobert.errors import InputError, StoreError
from kaleidobert.index.caching import Polled
from kaleidobert.index.lancedb_rows import table_schema
from kaleidobert.index.records import FORMAT, OLDEST_FORMAT, StoreInfo

# LanceDB's caches, in bytes: by its own limits of 6 GB and 1 GB, each write makes a process larger
INDEX_CACHE, METADATA_CACHE = 512 * 2**20, 64 * 2**20
VERSIONS = "versions"
CURRENT, BUILDING, RETIRED = "current", "building", "retired"
SCHEMA = pa.schema(
    [("number", pa.int64()), ("table", pa.string()), ("state", pa.string()), ("changed", pa.string())]
    + [("format", pa.int32()), ("info", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Version:
    """One version: searched (``CURRENT``), not yet (``BUILDING``) or no longer (``RETIRED``, since ``changed``)."""

    number: int  # from 1
    table: str
    state: str
    changed: datetime
    info: StoreInfo


class Versions:
    """The versions at one address."""

    def __init__(self, uri: str, refresh_seconds: float) -> None:
        """Raises ``InputError`` for an address that cannot be used, or a store of another format."""
        if not uri.strip():
            raise InputError("the address of the store is empty; give a folder or an object-store address")
        self.uri = uri
        # each reading of a table's version takes almost a millisecond, and a search needs it a dozen times
        self.poll_seconds = refresh_seconds / 2
        self._polled = Polled(lambda: self._table.version, self.poll_seconds)
        self.caches = lancedb.Session(INDEX_CACHE, METADATA_CACHE)
        self._table: Any = None
        self._cached: tuple[int, list[Version]] = (-1, [])  # version of the table, and what it lists
        if _is_local(uri) and not _local_path(uri).is_dir():
            self._database: Any = None  # connecting would create the folder
            return
        self._connect(refresh_seconds)

    def _connect(self, refresh_seconds: float) -> None:
        with lancedb_errors(self.uri):
            interval = timedelta(seconds=refresh_seconds / 2)
            self._database = lancedb.connect(self.uri, read_consistency_interval=interval, session=self.caches)
            names = self._database.table_names(limit=10_000)
            if VERSIONS in names:
                self._table = self._database.open_table(VERSIONS)
        if self._table is None and "products" in names:
            raise InputError(f"{self.uri} has an older store format: re-index into a new store")

    def all(self) -> list[Version]:
        """Every version, the oldest first."""
        if self._table is None:
            return []
        with lancedb_errors(self.uri):
            version = self._polled()
            if self._cached[0] != version:
                rows = sorted(self._table.search().to_list(), key=lambda row: row["number"])
                self._cached = (version, [self._version(row) for row in rows])
            return self._cached[1]

    def current(self) -> Version | None:
        return next((version for version in self.all() if version.state == CURRENT), None)

    def get(self, number: int) -> Version:
        """Raises ``InputError`` when it has been dropped."""
        for version in self.all():
            if version.number == number:
                return version
        raise InputError(f"version {number} of the store {self.uri} has been dropped: open the store again")

    def open(self, version: Version) -> Any:
        """Open the version's table of products."""
        with lancedb_errors(self.uri):
            return self._database.open_table(version.table)

    def add(self, info: StoreInfo) -> Version:
        """Create an empty version; the first is searched at once, later ones after ``switch``."""
        if self._database is None:
            self._connect(0.0)
        with lancedb_errors(self.uri):
            if self._table is None:
                self._table = self._database.create_table(VERSIONS, schema=SCHEMA, exist_ok=True)
            names = self._database.table_names(limit=10_000)
            number = 1 + max(
                (int(name.removeprefix("products-")) for name in names if _holds_products(name)), default=0
            )
            table = f"products-{number}"
            self._database.create_table(table, schema=table_schema(info))
            state = BUILDING if self.current() else CURRENT
            row = {"number": number, "table": table, "state": state, "changed": _now().isoformat()}
            row |= {"format": info.format, "info": json.dumps(asdict(info))}
            self._table.add(pa.Table.from_pylist([row], schema=SCHEMA))
            self._polled.forget()
        return self.get(number)

    def describe(self, number: int, info: StoreInfo) -> None:
        """Replace a version's description."""
        self._table.update(where=f"number = {number}", values={"info": json.dumps(asdict(info))})
        self._polled.forget()

    def switch(self, number: int) -> None:
        """Make this version the current one and retire the previous one, in one commit."""
        states = {version.number: RETIRED for version in self.all() if version.state == CURRENT} | {number: CURRENT}
        rows = self._table.search().where(f"number IN ({', '.join(map(str, states))})").to_list()
        changed = [{**row, "state": states[row["number"]], "changed": _now().isoformat()} for row in rows]
        merge = self._table.merge_insert("number").when_matched_update_all()
        merge.execute(pa.Table.from_pylist(changed, schema=SCHEMA))
        self._polled.forget()

    def drop_retired(self, grace: timedelta) -> list[int]:
        """Drop versions retired more than ``grace`` ago, and unlisted tables left by killed runs."""
        old = [v for v in self.all() if v.state == RETIRED and v.changed <= _now() - grace]
        if old:
            self._table.delete(f"number IN ({', '.join(str(version.number) for version in old)})")
            self._polled.forget()
        listed = {version.number for version in self.all()}
        for name in self._database.table_names(limit=10_000):
            # an unlisted table with a higher number may be about to be listed
            if _holds_products(name) and _number(name) not in listed and _number(name) < max(listed):
                self._database.drop_table(name, ignore_missing=True)
        return [version.number for version in old]

    def _version(self, row: dict[str, Any]) -> Version:
        found = row["format"]
        if not OLDEST_FORMAT <= found <= FORMAT:
            raise InputError(
                f"{self.uri} has store format {found}, this version of kaleidobert reads {FORMAT}: re-index it into a "
                "new store"
            )
        if not _holds_products(row["table"]):
            raise InputError(f"{self.uri} is damaged: it names the table {row['table']!r}; re-index into a new store")
        info = StoreInfo(**json.loads(row["info"]))
        changed = datetime.fromisoformat(row["changed"])
        return Version(row["number"], row["table"], row["state"], changed, info)


@contextmanager
def lancedb_errors(uri: str) -> Iterator[None]:
    """Raise ``StoreError`` for what LanceDB raises when it cannot use the address."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        if "os error" in reason:  # of the disk, not of the store
            raise
        raise StoreError(
            f"the store {uri} cannot be opened: {reason}; if it is damaged, delete it, and index the catalogue again"
        ) from error


def _holds_products(name: str) -> bool:
    return name.startswith("products-") and name.removeprefix("products-").isdigit()


def _number(name: str) -> int:
    return int(name.removeprefix("products-"))


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _is_local(uri: str) -> bool:
    return "://" not in uri or uri.startswith("file://")


def _local_path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))
