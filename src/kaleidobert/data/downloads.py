"""Photos from the web, for catalogues that name them by address: with limits, and from public hosts alone."""

from __future__ import annotations

import http.client
import socket
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from kaleidobert.data.problems import BadRow
from kaleidobert.data.public_hosts import is_public

VARIABLE = "KALEIDOBERT_DOWNLOAD"  # of the environment: 1 allows downloads
MAX_BYTES = 20_000_000
SECONDS = 30.0  # for one photo
REDIRECTS = 3


def download(address: str) -> bytes:
    """The file at an http or https address. Raises ``BadRow`` where it is too large, slow, missing or not public."""
    deadline = time.monotonic() + SECONDS
    found = address
    try:
        for _ in range(REDIRECTS + 1):
            response = _request(found, deadline)
            if response.status not in (301, 302, 303, 307, 308):
                return _body(response, deadline)
            found = urljoin(found, response.headers.get("Location", ""))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise BadRow(f"image {address[:200]} cannot be downloaded: {error}") from None
    raise BadRow(f"image {address[:200]} cannot be downloaded: more than {REDIRECTS} redirects")


def _request(address: str, deadline: float) -> http.client.HTTPResponse:
    parts = urlsplit(address)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise ValueError(f"{address[:200]} is no http or https address")
    connection: Any = kinds[parts.scheme](parts.hostname, parts.port, timeout=_left(deadline))
    connection._create_connection = _public_connection  # as the standard library lets a proxy's be replaced
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", path, headers={"Accept": "image/*", "Connection": "close"})
    return connection.getresponse()


def _public_connection(address: tuple[str, int], timeout: float, source_address: Any = None) -> socket.socket:
    """A connection to the host's first address, if that is public: the name is looked up once, so it cannot change."""
    host = str(socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][4][0])
    if not is_public(host):
        raise ValueError(f"{address[0]} is a private address")
    return socket.create_connection((host, address[1]), timeout, source_address)


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    if response.status != 200:
        raise ValueError(f"the server answered {response.status} {response.reason}")
    body = bytearray()
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES / 1e6:.0f} MB")
        _left(deadline)
    return bytes(body)


def _left(deadline: float) -> float:
    """Seconds left. Raises ``TimeoutError`` without any."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"it took longer than {SECONDS:.0f} seconds")
    return left
