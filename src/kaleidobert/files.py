"""Files that are written whole or not at all, so that a full disk or a killed process keeps what was there before."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

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


def parse_yaml(text: str) -> Any:
    """What a YAML file that somebody wrote says. Raises ``YAMLError``, also for a key that is there twice."""
    return yaml.load(text, _OnceEach)  # a safe loader


def once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file. Raises ``ValueError`` for a key that is there twice."""
    pairs = list(pairs)
    if twice := _twice(key for key, _ in pairs):
        raise ValueError(f"the key {twice[0]!r} is there twice")
    return dict(pairs)


class _OnceEach(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := _twice((key.tag, key.value) for key in keys):
            last = next(key for key in reversed(keys) if (key.tag, key.value) == twice[0])
            raise yaml.MarkedYAMLError(problem=f"the key {last.value!r} is there twice", problem_mark=last.start_mark)
        return node


def _twice(keys: Iterable[Any]) -> list[Any]:
    return [key for key, count in Counter(keys).items() if count > 1]
