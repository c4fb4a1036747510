"""A router that dies (SIGKILL) at a chosen step of its work: ``WARREN_TEST_DIES`` is ``before_log`` or ``after_log``, and it lives through
``WARREN_TEST_DIES_AFTER`` batches before that. Only batches of ``WARREN_TEST_DIES_OVER`` messages or more count; ``WARREN_TEST_LOG_MS``
makes the log so slow that they grow. Run in the router's place; nothing of it is in the product.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Any

from tests.faults import mutants

from router.shell.log import ShardLog
from warren.envelope import Deliver

_append = ShardLog.append
_left = int(os.environ.get("WARREN_TEST_DIES_AFTER", "30"))
_over = int(os.environ.get("WARREN_TEST_DIES_OVER", "1"))
_log_s = int(os.environ.get("WARREN_TEST_LOG_MS", "0")) / 1_000
_point = os.environ.get("WARREN_TEST_DIES", "")


async def append(log: ShardLog, entries: Sequence[Any]) -> None:
    """Append as ever, until the time has come."""
    global _left
    counts = sum(isinstance(entry, Deliver) for entry in entries) >= _over
    _left -= counts
    dies = counts and _left < 0
    if dies and _point == "before_log":
        os.kill(os.getpid(), signal.SIGKILL)
    if _log_s:
        await asyncio.sleep(_log_s)
    await _append(log, entries)
    if dies:  # it is in the log, and nothing of it has left
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    ShardLog.append = append  # type: ignore[method-assign, assignment]
    mutants.run("router")
