"""Attempt limits: how often a key may be used, and how often an address may show a wrong one.

Both are buckets that fill with time. What is asked for at once may take a bucket below zero, so that a batch
larger than the rate is done and paid off after. Bounded: the addresses that were seen longest ago are
forgotten first. Pure: the time is an argument.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

from router.core.api_keys import MAX_KEYS, KeyRate

ADDRESSES_MAX: Final = 4_096
NAMES_MAX: Final = 2 * MAX_KEYS
# So many wrong keys from one address in so long; then each is answered that it comes too often.
FAILURES: Final = KeyRate(20, 60_000)


class Bucket:
    """What is left of one rate."""

    __slots__ = ("_at", "_count", "_left", "_per_s")

    def __init__(self, rate: KeyRate, now: float) -> None:
        """Begin full at ``now`` (monotonic, s)."""
        self._count = float(rate.count)
        self._per_s = rate.count * 1_000 / rate.per_ms
        self._left = self._count
        self._at = now

    def take(self, cost: int, now: float) -> int:
        """Take ``cost``; return 0, or in how many ms there is something again (nothing was taken then)."""
        self._left = min(self._count, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1.0:
            return max(1, round((1.0 - self._left) / self._per_s * 1_000))
        self._left -= cost
        return 0


class KeyUse:
    """How often each key was used. Names that are gone are forgotten when others need their places."""

    def __init__(self) -> None:
        """None was yet."""
        self._buckets: OrderedDict[str, tuple[KeyRate, Bucket]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._buckets)

    def take(self, name: str, rate: KeyRate | None, cost: int, now: float) -> int:
        """Count ``cost`` uses of a key; return 0, or in how many ms to come again."""
        if rate is None:
            return 0
        known = self._buckets.pop(name, None)
        if known is None or known[0] != rate:
            known = (rate, Bucket(rate, now))
        self._buckets[name] = known
        if len(self._buckets) > NAMES_MAX:
            self._buckets.popitem(last=False)
        return known[1].take(cost, now)


class Failures:
    """Wrong keys by address; of IPv6 by the /64 that one peer usually has as a whole."""

    def __init__(self) -> None:
        """None has come yet."""
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._buckets)

    def failed(self, address: str, now: float) -> int:
        """Count one more; return 0, or in how many ms this address may fail again."""
        place = _network(address)
        bucket = self._buckets.pop(place, None) or Bucket(FAILURES, now)
        self._buckets[place] = bucket
        if len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return bucket.take(1, now)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)
