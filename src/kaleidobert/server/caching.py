"""What was derived from a store, kept while the store stays as it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class CachedPerVersion(Generic[Value]):
    """A value that belongs to one version of something.

    ``make`` computes it, ``version`` tells whether it still holds; a value younger than ``seconds`` is taken to
    hold, so that a store which is written to all the time does not mean computing all the time. ``observe`` is told
    of each use whether the value was there.
    """

    def __init__(
        self,
        make: Callable[[], Value],
        version: Callable[[], object],
        seconds: float = 0.0,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._make, self._version, self._seconds, self._observe = make, version, seconds, observe
        self._lock = threading.Lock()
        self._kept: tuple[object, float, Value] | None = None

    def __call__(self) -> Value:
        with self._lock:
            if self._kept is not None and time.monotonic() - self._kept[1] < self._seconds:
                self._observe(True)
                return self._kept[2]
            version = self._version()
            fresh = self._kept is not None and self._kept[0] == version
            self._observe(fresh)
            value = self._kept[2] if fresh and self._kept is not None else self._make()
            self._kept = (version, time.monotonic(), value)
            return value
