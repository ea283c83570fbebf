"""Ctrl-C ends a verb within three seconds, with one line that says how to go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kaleidobert.main_process import is_main_process

EXIT_CODE = 130  # of a shell's command that SIGINT has ended
STANDARD_ERROR = 2  # its file descriptor, which libraries do not replace
GRACE = 2.0  # seconds for closing files; what is still running then is cut off
GO_ON = {
    **dict.fromkeys(("pretrain", "finetune"), "run the same command with --resume to go on"),
    **dict.fromkeys(("index", "features", "demo"), "run the same command again to go on"),
}
ENDS_ITSELF = ("serve", "mcp")  # these let running requests finish


class _Interrupted(SystemExit):
    pass


@contextmanager
def end_on_interrupt(arguments: Sequence[str]) -> Iterator[None]:
    """Handle SIGINT while a verb runs; ``arguments`` are those of the command line."""
    verb = arguments[0] if arguments else ""
    if verb not in ENDS_ITSELF and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        _handle(verb, "--resume" in arguments)
    try:
        yield
    except _Interrupted:
        sys.stdout.flush()
        os._exit(EXIT_CODE)  # without the seconds that Python takes to unload large libraries


def _handle(verb: str, resumed: bool) -> None:
    how = GO_ON.get(verb, "").replace("with --resume", "again" if resumed else "with --resume")
    line = "kaleidobert: stopped" + (f"; {how}" if how else "")

    # A computation may keep the main thread from its signal handler for long, so another thread counts the seconds.
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    lines = [line] if is_main_process() else []
    printing = threading.Lock()

    def print_once() -> None:
        with printing:
            if lines:
                os.write(STANDARD_ERROR, f"\n{lines.pop()}\n".encode())

    def watch() -> None:
        while signal.SIGINT not in os.read(read_end, 1):
            pass
        print_once()
        time.sleep(GRACE)
        os._exit(EXIT_CODE)

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print_once()
        raise _Interrupted(EXIT_CODE)

    threading.Thread(target=watch, daemon=True).start()
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGINT, end)
