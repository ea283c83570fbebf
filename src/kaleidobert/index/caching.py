"""Values derived from a store, kept as long as the store does not change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache, TTLCache, cached

Value = TypeVar("Value")


class CachedPerVersion(Generic[Value]):
    """Calls ``compute`` once per ``version``. Safe to call from several threads, of which one computes.

    A version counts as current for ``seconds`` after it was read, so that a store with constant writes does not cause
    constant computing. ``observe`` gets True for every hit and False for every miss.
    """

    def __init__(
        self,
        compute: Callable[[], Value],
        version: Callable[[], Hashable],
        seconds: float = 0.0,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._compute = compute
        self._version = cached(TTLCache(maxsize=1, ttl=seconds))(version)
        self._observe = observe
        self._values: LRUCache[Hashable, Value] = LRUCache(maxsize=1)
        self._lock = threading.Lock()

    def __call__(self) -> Value:
        with self._lock:
            version = self._version()
            hit = version in self._values
            self._observe(hit)
            if not hit:
                self._values[version] = self._compute()
            return self._values[version]


class Polled(Generic[Value]):
    """A value that ``read`` gives, read again after ``seconds`` or `forget`. Safe to use from several threads."""

    def __init__(self, read: Callable[[], Value], seconds: float) -> None:
        self._read = read
        self._values: TTLCache[str, Value] = TTLCache(maxsize=1, ttl=seconds)
        self._lock = threading.Lock()

    def __call__(self) -> Value:
        with self._lock:
            value = self._values.get("value")
            if value is None:
                value = self._values["value"] = self._read()
            return value

    def forget(self) -> None:
        with self._lock:
            self._values.clear()
