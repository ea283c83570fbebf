"""What an operator says to offer the catalogue by the Universal Commerce Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from kaleidobert.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class UcpSettings:
    """``address``: where agents reach this service, as https://shop.example or with a path below which it is mounted.

    ``currency``: of the store's prices, as its ISO 4217 code. Raises ``InputError`` for an address without HTTPS,
    unless it is this machine's own.
    """

    address: str
    currency: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or self.local):
            raise InputError(
                f"--ucp {self.address}: give the public address of this service, such as https://shop.example; "
                "http is for this machine alone, such as http://localhost:8000"
            )
        object.__setattr__(self, "address", self.address.rstrip("/"))

    @property
    def local(self) -> bool:
        """Whether the service is tried out on one machine, where platforms may use HTTP and local addresses, too."""
        parts = urlsplit(self.address)
        return parts.scheme == "http" and parts.hostname in LOOPBACK
