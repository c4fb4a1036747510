"""A router that dies (SIGKILL) at a chosen step of its work: ``WARREN_TEST_DIES`` is ``before_feed`` (what it
has read of the log is in its fold, and nothing of it has left) or ``after_feed`` (one gateway has its feed;
whatever else was to be said of it has not been), and it lives through ``WARREN_TEST_DIES_AFTER`` feeds before
that. Only feeds of ``WARREN_TEST_DIES_OVER`` messages or more count; ``WARREN_TEST_FEED_MS`` makes the way to
gateways so slow that they grow. Run in the router's place; nothing of it is in the product.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from tests.faults import mutants

from router.shell.egress import Egress
from warren.envelope import Deliver, Envelope, Feed

_publish = Egress._publish
_left = int(os.environ.get("WARREN_TEST_DIES_AFTER", "30"))
_over = int(os.environ.get("WARREN_TEST_DIES_OVER", "1"))
_feed_s = int(os.environ.get("WARREN_TEST_FEED_MS", "0")) / 1_000
_point = os.environ.get("WARREN_TEST_DIES", "")


async def publish(egress: Egress, key: str, envelopes: Sequence[Envelope], *arguments: Any) -> str | None:
    """Publish as ever, until the time has come."""
    global _left
    items = [item for feed in envelopes if isinstance(feed, Feed) for _, _, item in feed.items]
    if _feed_s and items:
        await asyncio.sleep(_feed_s)
    counts = sum(isinstance(item, Deliver) for item in items) >= _over
    _left -= counts
    dies = counts and _left < 0
    if dies and _point == "before_feed":
        os.kill(os.getpid(), signal.SIGKILL)
    failed = await _publish(egress, key, envelopes, *arguments)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return failed


if __name__ == "__main__":
    Egress._publish = publish  # type: ignore[method-assign, assignment]
    mutants.run("router")
