"""Connections to public addresses alone, so that no caller can have this service ask its own network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from kaleidobert.data.public_hosts import is_public


class PublicAddresses(httpcore.AsyncNetworkBackend):
    """Connects to the very addresses that it has checked; TLS still goes by the host's name."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises ``httpcore.ConnectError`` for an unknown host, or one with an address that is not public."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"the host {host} is unknown") from error
        addresses = [str(address[0]) for *_, address in found]
        if not all(map(is_public, addresses)):
            raise httpcore.ConnectError(f"the host {host} has no public address")
        failure = httpcore.ConnectError(f"the host {host} has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
