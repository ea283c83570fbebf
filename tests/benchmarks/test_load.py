"""Load on a real service of the tiny shop, and the store of its products repeated."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from fixtures.shop import Shop
from kaleidobert.index.opening import open_index


def test_shares_count_every_answer_and_times_only_those_that_were_given() -> None:
    load = import_module("load")
    outcomes = [load.Outcome(200, 0.1), load.Outcome(200, 0.3), load.Outcome(503, 9.0, 1.0), load.Outcome(0, 60.0)]
    found = load.figures(outcomes, seconds=4)
    assert found["answers a second"] == 0.5 and found["p50"] == pytest.approx(200) and found["p95"] < 301
    assert found["503 %"] == found["failed %"] == 25


def test_a_service_is_measured_alone_under_load_and_afterwards(shop: Shop, tmp_path: Path) -> None:
    line = ["--store", shop.uri, "--clients", "4", "--seconds", "1", "--minutes", "0.1", "--times", "3"]
    import_module("load").main([*line, "--json", str(tmp_path / "load.json")])
    found = json.loads((tmp_path / "load.json").read_text())
    assert [row["clients"] for row in found["turns"]] == ["1", "4", "1 afterwards"]
    assert all(row["answers a second"] > 0 and row["failed %"] == 0 for row in found["turns"])
    under_load = found["overload"]
    assert under_load["requests"] > 20 and under_load["failed %"] == 0
    assert under_load["writes stored"] == under_load["writes"] > 1
    assert all(megabytes > 100 for megabytes in under_load["memory"].values())
    assert open_index(shop.uri).product("written-0") is None, "the store itself is not written to"


def test_a_large_store_has_as_many_products_in_no_groups(shop: Shop, tmp_path: Path) -> None:
    out = str(tmp_path / "large.store")
    import_module("large_store").main([shop.uri, "--products", "30", "--out", out])
    index = open_index(out)
    assert len(index.product_ids()) == 30
    found = [found[0] for each in index.product_ids() if (found := index.product(each))]
    assert len({each.group for each in found}) == 30
