"""What a shop's own searches came to, and how the program prints it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kaleidobert.cli.main import app
from kaleidobert.data.events import Event, EventLog, events_folder
from kaleidobert.search.event_report import event_report

EVENTS = [
    *[Event("search", query, hits=9, weak=False) for query in ("hat", "Hat ", "[b]hat[/b]\x1bc")],
    *[Event("search", "sari", hits=0, weak=True)] * 2,
    Event("search", "warm things", hits=5, weak=True),
    Event("click", "hat", "a", 1),
    Event("click", "hat", "b", 4),
    Event("click", "warm things", "c"),
    Event("cart", "hat", "b"),
    Event("view", "hat", "b"),
]


def test_the_figures() -> None:
    found = event_report(EVENTS)
    assert (found["searches"], found["queries"], found["clicks"], found["carts"]) == (6, 4, 3, 1)
    assert found["without_hits"] == pytest.approx(2 / 6) and found["weak"] == pytest.approx(1 / 6)
    assert found["without_hits_queries"] == [{"query": "sari", "searches": 2}]
    assert found["weak_queries"] == [{"query": "warm things", "searches": 1}]  # not what found nothing
    hat = {"query": "hat", "searches": 2, "click_rate": 1.0, "mean_position": 2.5, "carts": 1}
    assert found["frequent_queries"][0] == hat
    assert found["MRR"] == pytest.approx((1 + 1 / 4) / 2)
    assert found["positions"] == {"1": 1, "2-3": 0, "4-10": 1, "11-24": 0, "after 24": 0}
    assert len(event_report(EVENTS, top=1)["frequent_queries"]) == 1


def test_without_events() -> None:
    found = event_report([])
    assert found["searches"] == 0 and found["MRR"] is None and not found["frequent_queries"]


def test_the_program_prints_and_writes_it(tmp_path: Path) -> None:
    store = str(tmp_path / "shop.store")
    EventLog(events_folder(store)).append(EVENTS)
    result = CliRunner().invoke(app, ["report", "search", store, "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    assert "6 searches of 4 queries: 33.3 % found nothing" in result.output and "[b]hat[/b] c" in result.output
    assert "mean reciprocal rank 0.62" in result.output
    assert json.loads((tmp_path / "figures.json").read_text())["clicks"] == 3
