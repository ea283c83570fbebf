"""Ctrl-C, in a process of its own."""

import signal
import subprocess
import sys
import time

import pytest

BUSY = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # in C, where no signal handler runs
WAITING = "import time; time.sleep(60)"
CODE = """
import signal, sys
sys.argv[0] = "kaleidobert"  # the command line, which imports no large library
from kaleidobert.cli.interrupt import end_on_interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in a shell's background inherit that it is ignored
with end_on_interrupt({}):
    print("ready", flush=True)
    {}
"""


@pytest.mark.parametrize("work", [BUSY, WAITING])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["pretrain", "shop"], "stopped; run the same command with --resume to go on"),
        (["finetune", "--resume"], "stopped; run the same command again to go on"),
        (["index", "shop"], "stopped; run the same command again to go on"),
        (["evaluate"], "stopped"),
    ],
)
def test_one_line_says_how_to_go_on(arguments, line, work):
    code = CODE.format(arguments, work)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            _, printed = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130 and printed.decode().strip() == f"kaleidobert: {line}"
    assert time.monotonic() - started < 3
