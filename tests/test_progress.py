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


def test_what_is_short_prints_nothing(capsys):
    fit(2)
    assert capsys.readouterr().err == ""
