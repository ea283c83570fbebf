"""Bearer tokens that allow writes, or reading the metrics."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError

METRICS_VARIABLE = "KALEIDOBERT_METRICS_TOKENS"
TOKENS_VARIABLE = "KALEIDOBERT_TOKENS"  # not a command-line argument: other users of the machine can read those
MIN_TOKEN_LENGTH = 16  # characters
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Tokens:
    """The accepted tokens. Without any for writes, the service is read-only."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Raises ``InputError`` for a token that is too short."""
        tokens = list(tokens)
        if any(len(token) < MIN_TOKEN_LENGTH for token in tokens):
            raise InputError(
                f"a token has fewer than {MIN_TOKEN_LENGTH} characters: make one with `openssl rand -hex 32`"
            )
        self._digests = [_digest(token) for token in tokens]

    @classmethod
    def read(cls, file: Path | None = None, variable: str = TOKENS_VARIABLE) -> Tokens:
        """Read tokens from ``file`` (one per line) and from the environment ``variable`` (separated by whitespace).

        Raises ``InputError`` when the file cannot be read or is empty.
        """
        try:
            lines = file.read_text().split() if file else []
        except OSError as error:
            raise InputError(f"the token file {file} cannot be read: {error.strerror}") from error
        if file and not lines:
            raise InputError(f"the token file {file} is empty: write one token per line")
        return cls([*lines, *os.environ.get(variable, "").split()])

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, request: Request) -> None:
        """Raise ``HTTPException`` 403 on a read-only service, 401 without a valid token."""
        if not self:
            raise HTTPException(403, "this service is read-only: it was started without a write token")
        scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
        given = _digest(token)
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]  # compare all: constant time
        if scheme.lower() != "bearer" or not any(matches):
            raise HTTPException(401, "this needs the header 'Authorization: Bearer TOKEN'", CHALLENGE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
