"""Which version and capabilities a calling platform has: its profile, at the address in the header UCP-Agent.

The profile is fetched by the rules of the specification's "Profile Requirements": HTTPS, no redirects, public addresses
alone, bounded in size, time and number.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import http_sf
import httpcore
from cachetools import TTLCache
from pydantic import BaseModel, Field, ValidationError
from ucp_sdk.models.schemas.profile import PlatformSchema as PlatformProfile

from kaleidobert.server.ucp.envelope import VERSION, UcpError
from kaleidobert.server.ucp.network import PublicAddresses

MAX_PROFILES = 256  # in the cache
PROFILE_SECONDS, FAILURE_SECONDS = 600.0, 60.0  # for which a profile, or why there is none, is remembered
MAX_FETCHES = 60  # per minute
FETCH_SECONDS = 10.0
MAX_BYTES = 256_000
MAX_URL = 2000  # characters
STEP_SECONDS = dict.fromkeys(("connect", "read", "write", "pool"), 5.0)


class _Metadata(BaseModel):
    version: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


class _Versioned(BaseModel):
    """What profiles of all versions share."""

    ucp: _Metadata


class Platforms:
    """Fetches and remembers the profiles of the platforms that call."""

    def __init__(self, local: bool = False) -> None:
        """``local``: accept HTTP and the addresses of this machine, to try the service out."""
        self._local = local
        backend = None if local else PublicAddresses()
        self._pool = httpcore.AsyncConnectionPool(max_keepalive_connections=0, network_backend=backend)
        self._profiles: TTLCache[str, frozenset[str]] = TTLCache(MAX_PROFILES, PROFILE_SECONDS)
        self._failures: TTLCache[str, UcpError] = TTLCache(MAX_PROFILES, FAILURE_SECONDS)
        self._fetches: TTLCache[object, None] = TTLCache(MAX_FETCHES, 60.0)

    async def capabilities(self, header: str | None) -> frozenset[str]:
        """The capabilities that the platform with this header UCP-Agent has in our version of the protocol.

        Raises ``UcpError`` without such a header, or where the profile cannot be fetched, is broken, or is of another
        version.
        """
        url = self._profile_url(header)
        if url in self._failures:
            raise self._failures[url]
        if url not in self._profiles:
            try:
                self._profiles[url] = capabilities_of(await self._fetch(url), url)
            except UcpError as error:
                if error.status_code != 503:
                    self._failures[url] = error
                raise
        return self._profiles[url]

    def _profile_url(self, header: str | None) -> str:
        schemes = ("https", "http") if self._local else ("https",)
        try:
            members: Any = http_sf.parse((header or "").encode("latin-1"), tltype="dictionary")
            profile = members["profile"][0]
            parts = urlsplit(profile if isinstance(profile, str) else "")
            if parts.scheme in schemes and parts.hostname and len(profile) <= MAX_URL and not parts.username:
                return profile
        except (KeyError, ValueError):
            pass
        example = 'UCP-Agent: profile="https://platform.example/profile.json"'
        raise UcpError(400, "invalid_profile_url", f"send the address of your profile: {example}")

    async def _fetch(self, url: str) -> bytes:
        self._fetches.expire()
        if len(self._fetches) >= MAX_FETCHES:
            raise UcpError(503, "service_unavailable", "too many new platforms: try again", {"Retry-After": "60"})
        self._fetches[object()] = None
        try:
            return await asyncio.wait_for(self._read(url), FETCH_SECONDS)
        except (httpcore.TimeoutException, asyncio.TimeoutError):
            reason = "it does not answer in time"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            reason = str(error) or "it cannot be reached"
        raise UcpError(424, "profile_unreachable", f"the profile {url} cannot be fetched: {reason}")

    async def _read(self, url: str) -> bytes:
        """The document at a URL. Redirects are not followed."""
        body = b""
        headers = [("Accept", "application/json")]
        async with self._pool.stream("GET", url, headers=headers, extensions={"timeout": STEP_SECONDS}) as response:
            if response.status != 200:
                raise UcpError(424, "profile_unreachable", f"the profile {url} answers with status {response.status}")
            async for part in response.aiter_stream():
                body += part
                if len(body) > MAX_BYTES:
                    raise UcpError(422, "profile_malformed", f"the profile {url} is larger than {MAX_BYTES:,} bytes")
        return body


def capabilities_of(body: bytes, url: str) -> frozenset[str]:
    """The names of a profile's capabilities in our version. Raises ``UcpError`` for one that is broken or another's."""
    try:
        version = _Versioned.model_validate_json(body).ucp.version
        if version != VERSION:
            reason = f"the protocol's version {version} is not supported; this business has {VERSION}"
            raise UcpError(422, "version_unsupported", reason)
        capabilities: dict[str, list[Any]] = PlatformProfile.model_validate_json(body).ucp.capabilities or {}
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UcpError(422, "profile_malformed", f"the profile {url} is broken at {place!r}: {first['msg']}") from None
    return frozenset(name for name, offers in capabilities.items() if any(each.version == VERSION for each in offers))
