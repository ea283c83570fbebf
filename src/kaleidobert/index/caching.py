"""Values derived from a store, kept as long as the store does not change."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import TTLCache, cached

Value = TypeVar("Value")
SLOW = 0.1  # seconds of a processor, which do not depend on what else runs
SHARE = 0.1

_LOGGER = logging.getLogger(__name__)


class CachedPerVersion(Generic[Value]):
    """Calls ``compute`` once per ``version``. Safe to call from several threads, of which one computes.

    A value that takes longer than ``SLOW`` to compute is computed in the background, for at most ``SHARE`` of the time,
    and meanwhile the last one is given: on a large store with constant writes, no search waits for it. A version counts
    as current for ``seconds`` after it was read. ``observe`` gets True for every hit and False for every miss.
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
        self._values: dict[Hashable, Value] = {}  # of the last version
        self._took = 0.0  # seconds of a processor to compute it
        self._due = 0.0  # when it may be computed again in the background
        self._lock = threading.Lock()

    def __call__(self) -> Value:
        with self._lock:
            version = self._version()
            hit = version in self._values
            self._observe(hit)
            if not hit and self._took > SLOW:
                self._refresh(version)
            elif not hit:
                self._update(version)
            return next(iter(self._values.values()))

    def current(self) -> Value | None:
        """The value of the present version; None where only an earlier one is known yet."""
        value = self()
        return value if self._version() in self._values else None

    def _update(self, version: Hashable) -> None:
        started = time.thread_time()
        self._values = {version: self._compute()}
        self._took = time.thread_time() - started
        self._due = time.monotonic() + self._took * (1 / SHARE - 1)

    def _refresh(self, version: Hashable) -> None:
        if time.monotonic() >= self._due:
            self._due = math.inf
            threading.Thread(target=self._update_or_log, args=(version,), daemon=True).start()

    def _update_or_log(self, version: Hashable) -> None:
        try:
            self._update(version)
        except Exception as error:  # the last value is still given
            self._due = time.monotonic() + self._took / SHARE
            _LOGGER.warning("what is known of a store's version %s cannot be read: %s", version, error)


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
