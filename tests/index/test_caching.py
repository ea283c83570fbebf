"""`CachedPerVersion`."""

import threading
from concurrent.futures import ThreadPoolExecutor

from kaleidobert.index.caching import CachedPerVersion


def test_a_value_is_computed_once_per_version() -> None:
    version, uses = [1], []
    value = CachedPerVersion(lambda: version[0] * 10, lambda: version[0], observe=uses.append)
    assert (value(), value()) == (10, 10)
    version[0] = 2
    assert value() == 20 and uses == [False, True, False]


def test_a_version_counts_as_current_for_a_while() -> None:
    version = [2]
    value = CachedPerVersion(lambda: version[0], lambda: version[0], seconds=60)
    assert value() == 2
    version[0] = 3
    assert value() == 2


def test_only_one_of_several_threads_computes() -> None:
    calls, started = [], threading.Barrier(4)

    def compute() -> int:
        calls.append(1)
        return len(calls)

    value = CachedPerVersion(compute, lambda: 1)

    def use(_: int) -> int:
        started.wait(10)
        return value()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(use, range(4))) == [1, 1, 1, 1]
