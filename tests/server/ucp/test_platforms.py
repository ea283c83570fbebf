"""Platforms' profiles: fetched once, by rules that keep the service's own network out of reach."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient

from fixtures.ucp import Platform

pytest.importorskip("ucp_sdk", reason="ucp-sdk is not installed: pip install 'kaleidobert[ucp]'")
from kaleidobert.data.public_hosts import is_public  # noqa: E402
from kaleidobert.server.ucp.envelope import UcpError  # noqa: E402
from kaleidobert.server.ucp.platforms import MAX_FETCHES, Platforms  # noqa: E402


def refusal(platforms: Platforms, header: str | None) -> tuple[int, str]:
    with pytest.raises(UcpError) as caught:
        asyncio.run(platforms.capabilities(header))
    return caught.value.status_code, caught.value.code


def test_a_profile_is_fetched_once(ucp: TestClient, platform: Platform) -> None:
    platform.documents["own"] = platform.documents["profile"]
    for _ in range(2):
        answer = ucp.post("/ucp/catalog/search", json={"query": "bag"}, headers=platform.header("own"))
        assert answer.status_code == 200
    assert platform.fetched.count("own") == 1


def test_a_capability_that_the_platform_lacks_is_not_served(ucp: TestClient, platform: Platform) -> None:
    header = platform.header("without-lookup")
    assert ucp.post("/ucp/catalog/search", json={"query": "bag"}, headers=header).json()["products"]
    refused = ucp.post("/ucp/catalog/lookup", json={"ids": ["bag-red"]}, headers=header)
    assert refused.status_code == 200 and refused.json()["ucp"]["status"] == "error"
    assert refused.json()["messages"][0]["code"] == "capabilities_incompatible"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("older", 422, "version_unsupported"),
        ("empty", 422, "profile_malformed"),
        ("large", 422, "profile_malformed"),
        ("gone", 424, "profile_unreachable"),
        ("moved", 424, "profile_unreachable"),
    ],
)
def test_a_profile_that_is_no_good_is_refused(
    ucp: TestClient, platform: Platform, name: str, status: int, code: str
) -> None:
    fetched = len(platform.fetched)
    for _ in range(2):
        answer = ucp.post("/ucp/catalog/search", json={"query": "bag"}, headers=platform.header(name))
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(platform.fetched) == fetched + 1  # the failure is remembered, too, and no redirect was followed


@pytest.mark.parametrize(
    "header",
    [
        None,
        "https://platform.example/profile",
        "profile=token",
        'profile="ftp://platform.example/profile"',
        'profile="http://platform.example/profile"',
        'profile="https://user@platform.example/profile"',
        'profile="https://"',
        'version="2026-08-25"',
    ],
)
def test_a_header_without_the_address_of_a_profile_is_refused(header: str | None) -> None:
    assert refusal(Platforms(), header) == (400, "invalid_profile_url")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "169.254.169.254", "10.0.0.1", "no-such.invalid"])
def test_addresses_that_are_not_public_are_not_asked(host: str) -> None:
    assert refusal(Platforms(), f'profile="https://{host}/profile"') == (424, "profile_unreachable")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_new_platforms_are_bounded(platform: Platform) -> None:
    platforms = Platforms(local=True)

    async def many() -> list[int]:
        headers = [f'profile="{platform.address}/gone?{number}"' for number in range(MAX_FETCHES + 1)]
        found = await asyncio.gather(*map(platforms.capabilities, headers), return_exceptions=True)
        return [error.status_code for error in found if isinstance(error, UcpError)]

    assert sorted(asyncio.run(many())) == [424] * MAX_FETCHES + [503]
