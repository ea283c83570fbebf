"""Who may write, and how much anybody may send."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError

TOKENS_VARIABLE = "KALEIDOBERT_TOKENS"  # a command line's arguments can be read by others on the machine
LEAST_TOKEN = 16  # characters

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Tokens:
    """The tokens that allow writes; without any, the service is read-only."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        tokens = list(tokens)
        if any(len(token) < LEAST_TOKEN for token in tokens):
            raise InputError(f"a token has fewer than {LEAST_TOKEN} characters: make one with `openssl rand -hex 32`")
        self._digests = [_digest(token) for token in tokens]

    @classmethod
    def read(cls, file: Path | None = None) -> Tokens:
        """From ``file``, one a line, and from the environment's ``KALEIDOBERT_TOKENS``, separated by blanks."""
        try:
            lines = file.read_text().split() if file else []
        except OSError as error:
            raise InputError(f"the token file {file} cannot be read: {error.strerror}") from error
        if file and not lines:
            raise InputError(f"the token file {file} is empty: write one token a line")
        return cls([*lines, *os.environ.get(TOKENS_VARIABLE, "").split()])

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, request: Request) -> None:
        """Raises ``HTTPException`` 403 where nothing may be written, 401 without a right token."""
        if not self:
            raise HTTPException(403, "this service is read-only: it was started without a token for writes")
        scheme, token = get_authorization_scheme_param(request.headers.get("Authorization"))
        given = _digest(token)
        known = [hmac.compare_digest(given, digest) for digest in self._digests]  # all of them: equal time
        if scheme.lower() != "bearer" or not any(known):
            raise HTTPException(401, "writing needs the header 'Authorization: Bearer TOKEN'", _CHALLENGE)


_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class BodyLimit:
    """ASGI middleware: bodies above ``largest(path)`` bytes are refused, whether they declare their size or not."""

    def __init__(self, app: Any, largest: Callable[[str], int]) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most, seen = self._largest(scope["path"]), 0
        declared = dict(scope["headers"]).get(b"content-length", b"0")

        async def limited() -> dict[str, Any]:
            nonlocal seen
            if declared.isdigit() and int(declared) > most:
                raise too_large(most)
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise too_large(most)
            return message

        await self._app(scope, limited, send)


def too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the request is larger than {most / 1e6:.0f} MB, the limit here: send less at once")
