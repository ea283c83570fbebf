"""What is measured is compared round by round, and judged."""

from __future__ import annotations

import pytest

from kaleidobert.benchmark.timing import Limit, Row, interleaved


def test_functions_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    times = interleaved({"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}, rounds=3)
    assert calls == ["one", "two"] * 4 and [len(found) for found in times.values()] == [3, 3]


def test_ratios_are_medians_of_rounds() -> None:
    """The machine was five times as slow in the second round, which met both."""
    row = Row("ours", [0.1, 0.5, 0.1], "theirs", [0.2, 1.0, 0.3]).figures()
    assert (row["speed"], row["cost"]) == (2.0, 0.5) and (row["p50"], row["peer_p50"]) == (100.0, 300.0)


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        (Limit("speed", "≥", 2), True),
        (Limit("speed", "≥", 2.1), False),
        (Limit("cost", "≤", 0.4), False),
        (Limit("p95", "≤", 100), True),
    ],
)
def test_limits(limit: Limit, holds: bool) -> None:
    found = Row("ours", [0.1], "theirs", [0.2], limit).figures()["limit"]
    assert found == {"figure": limit.figure, "bound": limit.bound, "value": limit.value, "holds": holds}
