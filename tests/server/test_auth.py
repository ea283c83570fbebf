"""Write tokens."""

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException

from kaleidobert.errors import InputError
from kaleidobert.server.auth import Tokens


def request_with(header: str | None) -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    return Request({"type": "http", "headers": headers})


def test_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    one, other = "a" * 32, "b" * 32
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(f"{one}\n")
    monkeypatch.setenv("KALEIDOBERT_TOKENS", other)
    tokens = Tokens.read(file)
    for right in (f"Bearer {one}", f"bearer {other}"):
        tokens.check(request_with(right))
    for wrong in (None, "Bearer", f"Bearer {one}x", f"Basic {one}", "Bearer \xff"):
        with pytest.raises(HTTPException) as raised:
            tokens.check(request_with(wrong))
        assert raised.value.status_code == 401 and raised.value.headers == {"WWW-Authenticate": "Bearer"}
    with pytest.raises(HTTPException) as raised:
        Tokens().check(request_with(f"Bearer {one}"))
    assert raised.value.status_code == 403


def test_unusable_tokens_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("KALEIDOBERT_TOKENS", "short")
    with pytest.raises(InputError, match="fewer than 16"):
        Tokens.read()
    empty = tmp_path_factory.mktemp("tokens") / "tokens"
    with pytest.raises(InputError, match="cannot be read"):
        Tokens.read(empty)
    empty.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        Tokens.read(empty)
