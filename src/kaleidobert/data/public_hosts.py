"""Which addresses of the network may be asked on behalf of somebody else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether anybody on the internet can reach an IP address, and so learns nothing new from us."""
    found = ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if found.version == 6 and found in NAT64:
        inner = IPv4Address(found.packed[-4:])
    return found.is_global and not found.is_multicast and (inner is None or inner.is_global)
