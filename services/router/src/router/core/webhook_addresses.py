"""Webhook addresses: where a webhook may be sent to. An app's file may be written by somebody who must not
reach what routers can reach: so only public addresses are, and networks that the operator has named.

It resolves nothing: what a name leads to is asked about for each connection, so that a name that leads
elsewhere later is judged anew.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that are named. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_allowed(address: str, networks: Iterable[Network]) -> bool:
    """Say whether a webhook may go to this IP address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        # What leads to an IPv4 address is judged as that.
        found = found.ipv4_mapped or found.sixtofour or _behind_nat64(found) or found
    if any(found.version == network.version and found in network for network in networks):
        return True
    return found.is_global and not found.is_multicast


def _behind_nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a translator would send to (RFC 6052), where it is one for that."""
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def literal_of(url: str) -> str:
    """Return the IP address that stands in a URL itself; empty where it names a host."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ""
    return host
