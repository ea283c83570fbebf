"""Full, read-only and forbidden disks as one line, whichever library reports them."""

from __future__ import annotations

import errno
import os
import re

NUMBERS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    errno.ENAMETOOLONG,
)
REASONS = {os.strerror(number): number for number in NUMBERS}
SHOWN = 200  # characters of a path
ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TORCH = ("PytorchStreamWriter failed", "inline_container")  # says no more than this, mostly of a full disk


def storage_problem(error: BaseException | None) -> str | None:
    """What is wrong with the disk, and what to do; None for errors of another kind."""
    while error is not None:
        number, path = _number(error), getattr(error, "filename", None)
        if number is not None:
            place = f"{str(path)[:SHOWN]}: " if path else ""
            if number == errno.ENAMETOOLONG:
                return f"{place}{os.strerror(number)}; give a shorter one"
            todo = "make room" if number in ROOM else "choose a place that can be written"
            return f"{place}{os.strerror(number)}; {todo}, and run the command again: what was complete is kept"
        error = error.__cause__ or error.__context__
    return None


def _number(error: BaseException) -> int | None:
    """The system's number of the error, also from the texts of libraries that give no ``OSError``."""
    if isinstance(error, OSError) and error.errno in NUMBERS:
        return error.errno
    if not isinstance(error, OSError | RuntimeError | ValueError) and type(error).__name__ != "SafetensorError":
        return None
    text = str(error)
    if found := re.search(r"os error (\d{1,3})", text):
        return int(found[1]) if int(found[1]) in NUMBERS else None
    if any(name in text for name in TORCH):
        return errno.ENOSPC
    return next((number for reason, number in REASONS.items() if reason in text), None)
