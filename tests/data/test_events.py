"""The log of what shoppers did."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from kaleidobert.data import events
from kaleidobert.data.events import Event, EventLog, chosen_queries, events_folder, load_chosen_queries, read_events
from kaleidobert.errors import InputError


def test_events_come_back_as_they_were_logged(tmp_path):
    logged = [
        Event("search", "red “dress”\nلباس", hits=0, weak=False),
        Event("click", "red", "a/1", 3, time="2026-01-01"),
    ]
    EventLog(tmp_path / "events").append(logged)
    EventLog(tmp_path / "events").append([Event("cart", product="b")])
    found, damaged = read_events(tmp_path / "events")
    assert damaged == 0 and [(each.kind, each.query, each.product) for each in found] == [
        ("search", logged[0].query, None),
        ("click", "red", "a/1"),
        ("cart", "", "b"),
    ]
    assert (found[0].hits, found[0].weak, found[1].position, found[1].time) == (0, False, 3, "2026-01-01")
    assert found[0].time.endswith("+00:00")


def test_lines_of_many_writers_do_not_mix(tmp_path):
    """Each has a log of its own on the folder, as processes have."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            pool.submit(EventLog(tmp_path).append, [Event("search", f"{number} " + "x" * 500)] * 3)
    found, damaged = read_events(tmp_path)
    assert len(found) == 600 and not damaged
    assert [each.query for each in found[::3]] == [each.query for each in found[2::3]]


def test_damaged_lines_are_counted_and_left_out(tmp_path):
    lines = [b'{"kind": "search", "query": "red"}', b'{"kind": "sea', b"[]", b'{"kind": "x"}', b"\xff", b""]
    lines += [
        b'{"kind": "click", "product": ["a"]}',
        b'{"kind": "click", "position": "3"}',
        b'{"kind": "cart", "query": 1}',
    ]
    lines.append(b'{"kind": "search", "query": "blue", "session": "of a later version"}')
    (tmp_path / "2026-01-01.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    found, damaged = read_events(tmp_path)
    assert [each.query for each in found] == ["red", "blue"] and damaged == 7


def test_old_events_are_deleted(tmp_path):
    today = datetime.now(timezone.utc).date()
    ages = {age: tmp_path / f"{today - timedelta(days=age)}.jsonl" for age in (1, 30, 31, 400)}
    for file in ages.values():
        file.write_text("")
    (tmp_path / "notes.jsonl").write_text("")
    EventLog(tmp_path, keep_days=30).append([Event("search", "red")])
    assert {age for age, file in ages.items() if file.exists()} == {1, 30} and (tmp_path / "notes.jsonl").exists()
    (tmp_path / f"{today}.jsonl").unlink()
    ages[400].write_text("")
    EventLog(tmp_path, keep_days=0).append([Event("search", "red")])
    assert ages[400].exists()


def test_one_day_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "DAY_BYTES", 100)
    log = EventLog(tmp_path)
    log.append([Event("search", "x" * 100)])
    with pytest.raises(OSError, match="all that one day may have"):
        log.append([Event("search", "red")])
    assert len(read_events(tmp_path)[0]) == 1


def test_queries_from_which_products_were_chosen():
    log = [Event("click", "Red  dress", "a", 1), Event("cart", "gown", "a"), Event("click", "gown", "a", 9)]
    log += [
        Event("view", "hat", "a"),
        Event("click", "", "a"),
        Event("search", "gown", hits=2),
        Event("click", "hat", "b"),
    ]
    assert chosen_queries(log) == {"a": ["gown", "red dress"], "b": ["hat"]}


def test_a_store_or_a_folder_of_events_can_be_given(tmp_path):
    with pytest.raises(InputError, match="log them with kaleidobert serve --log-events"):
        load_chosen_queries(str(tmp_path / "shop.store"))
    EventLog(events_folder(str(tmp_path / "shop.store"))).append([Event("search", "hat", hits=1)])
    with pytest.raises(InputError, match="no product was clicked"):
        load_chosen_queries(str(tmp_path / "shop.store"))
    EventLog(events_folder(str(tmp_path / "shop.store"))).append([Event("click", "hat", "b", 1)])
    assert load_chosen_queries(str(tmp_path / "shop.store")) == {"b": ["hat"]}
    assert load_chosen_queries(str(tmp_path / "shop.store" / "events")) == {"b": ["hat"]}
    with pytest.raises(InputError, match="object store"):
        load_chosen_queries("s3://shop/store")
