"""The file of a retrieval memory, ``memory.safetensors``, as all that read it have it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from kaleidobert.errors import InputError, reason_of

MEMORY_FILE = "memory.safetensors"


def key_of(product: str) -> int:
    """The 64 bits that stand for a product's id: the first eight bytes of a hash."""
    return int.from_bytes(hashlib.blake2b(product.encode(), digest_size=8).digest(), "big", signed=True)


@contextmanager
def reading_memory(file: Path) -> Iterator[None]:
    """Raise ``InputError``, with what to do, where the file turns out to be damaged."""
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} is damaged ({reason_of(error)}): delete it, and build it again with "
            f"kaleidobert fit-ranker DATA --model {file.parent}"
        ) from error
