"""Files that are written whole or not at all, so that a full disk or a killed process keeps what was there before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kaleidobert.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of ``path`` at the end; after an error it is deleted instead.

    Of a link, what it leads to is replaced. A device or pipe, such as /dev/null, stays, and is written to itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    scratch = path.with_name(f"{path.name}.part")
    try:
        yield scratch
        os.replace(scratch, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say where it is
        raise
    finally:
        scratch.unlink(missing_ok=True)


def read_json(path: Path, what_to_do: str) -> Any:
    """The contents of a JSON file. Raises ``InputError``, with what to do, where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())}): {what_to_do}") from error


def write_whole(text: str, path: Path) -> None:
    """Write a text file in UTF-8, in one step."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
