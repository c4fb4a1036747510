"""A router that dies (SIGKILL) at a chosen step of its work: ``WARREN_TEST_DIES`` is ``before_log`` or ``after_log``, and it lives through
``WARREN_TEST_DIES_AFTER`` batches before that. Run in the router's place; nothing of it is in the product.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from tests.faults import mutants

from router.shell.log import ShardLog
from warren.envelope import Deliver

_append = ShardLog.append
_left = int(os.environ.get("WARREN_TEST_DIES_AFTER", "30"))
_point = os.environ.get("WARREN_TEST_DIES", "")


async def append(log: ShardLog, entries: Sequence[Any]) -> None:
    """Append as ever, until the time has come."""
    global _left
    _left -= isinstance(entries[0], Deliver)
    dies = _left < 0
    if dies and _point == "before_log":
        os.kill(os.getpid(), signal.SIGKILL)
    await _append(log, entries)
    if dies:  # it is in the log, and nothing of it has left
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    ShardLog.append = append  # type: ignore[method-assign, assignment]
    mutants.run("router")
