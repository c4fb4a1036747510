"""A router that dies (SIGKILL) at a chosen step of its work: ``WARREN_TEST_DIES`` is ``before_egress`` or ``after_egress``, and it lives through
``WARREN_TEST_DIES_AFTER`` batches to gateways before that. Only batches of ``WARREN_TEST_DIES_OVER`` items or more count; ``WARREN_TEST_EGRESS_MS``
makes the egress so slow that they grow. Run in the router's place; nothing of it is in the product.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from tests.faults import mutants

from router.shell.egress import Egress
from warren.envelope import Envelope, Feed

_publish = Egress._publish
_left = int(os.environ.get("WARREN_TEST_DIES_AFTER", "30"))
_over = int(os.environ.get("WARREN_TEST_DIES_OVER", "1"))
_egress_s = int(os.environ.get("WARREN_TEST_EGRESS_MS", "0")) / 1_000
_point = os.environ.get("WARREN_TEST_DIES", "")


async def publish(egress: Egress, key: str, envelopes: Sequence[Envelope], hops: Any) -> str | None:
    """Publish as ever, until the time has come."""
    global _left
    counts = sum(len(feed.items) for feed in envelopes if isinstance(feed, Feed)) >= _over
    _left -= counts
    dies = counts and _left < 0
    if dies and _point == "before_egress":  # it is read and applied, and nothing of it has left
        os.kill(os.getpid(), signal.SIGKILL)
    if _egress_s:
        await asyncio.sleep(_egress_s)
    outcome = await _publish(egress, key, envelopes, hops)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome


if __name__ == "__main__":
    Egress._publish = publish  # type: ignore[method-assign]
    mutants.run("router")
