"""`CachedPerVersion`."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kaleidobert.index import caching
from kaleidobert.index.caching import CachedPerVersion, Polled


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


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value counts as one that takes long, and may be computed again at once."""
    monkeypatch.setattr(caching, "SLOW", -1.0)
    monkeypatch.setattr(caching, "SHARE", 1.0)


@pytest.mark.usefixtures("slow")
def test_nobody_waits_for_a_value_that_takes_long() -> None:
    version, go_on = [1], threading.Event()
    go_on.set()
    value = CachedPerVersion(lambda: (go_on.wait(10), version[0])[1], lambda: version[0])
    assert value() == 1
    go_on.clear()
    version[0] = 2
    assert [value(), value()] == [1, 1]
    go_on.set()
    until(lambda: value() == 2)


@pytest.mark.usefixtures("slow")
def test_the_last_value_is_given_while_a_new_one_cannot_be_computed(caplog: pytest.LogCaptureFixture) -> None:
    version, parts = [1], [10]
    value = CachedPerVersion(lambda: parts[0] // version[0], lambda: version[0])
    assert value() == 10
    version[0] = 0
    assert value() == 10
    until(lambda: "cannot be read" in caplog.text)
    version[0] = 5
    until(lambda: value() == 2)


def test_a_value_that_takes_long_is_computed_for_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "SLOW", 0.0)
    calls: list[float] = []

    def compute() -> int:
        calls.append(time.monotonic())
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        return len(calls)

    value = CachedPerVersion(compute, time.monotonic)  # a version that always changes
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        value()
        time.sleep(0.001)
    assert 2 <= len(calls) <= 4


def test_a_polled_value_is_read_again_after_its_time_or_when_told_to_forget() -> None:
    numbers = iter(range(10))
    value = Polled(lambda: next(numbers), 60)
    assert (value(), value()) == (0, 0)
    value.forget()
    assert value() == 1
    always = Polled(lambda: next(numbers), 0)
    assert (always(), always()) == (2, 3)


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.01)
