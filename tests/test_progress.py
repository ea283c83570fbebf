"""What takes long says so: on a terminal by a bar, in a log by a line every minute."""

import re
import time

from kaleidobert import progress


def fit(items):
    for _ in progress.track(range(items), "fitting"):
        time.sleep(0.05)


def test_a_log_gets_a_line_every_so_often(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 0.2)
    fit(20)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    assert all(re.fullmatch(r"fitting: \d+ of 20 · \d+\.\d min(, \d+\.\d left)?", line) for line in lines)


def test_many_short_bars_are_not_silent_together(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 0.2)
    for _ in range(10):
        fit(2)  # a tenth of a second
    assert 2 <= len(capsys.readouterr().err.splitlines()) <= 5


def test_what_is_short_prints_nothing(monkeypatch, capsys):
    monkeypatch.setattr(progress._Lines, "last_move", float("-inf"))  # of the bars of other tests
    fit(2)
    assert capsys.readouterr().err == ""
