"""Which of the processes that `torchrun` started this is."""

from __future__ import annotations

import os


def is_main_process() -> bool:
    """Whether this process prints and writes; alone, it does."""
    return os.environ.get("RANK", "0") == "0"
