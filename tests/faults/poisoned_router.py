"""A router that a notification ends: one whose content says ``poison`` ends the process where it is handled
(``WARREN_TEST_POISON=exit``), or has it stand still for good (``freeze``). ``WARREN_TEST_PUBLISH_MS`` makes
them so slow to take that notifications are under way for long. Run in the router's place; nothing of it is in
the product.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from tests.faults import mutants

from router.core.notification_parser import Notification
from router.shell import backend_queues
from router.shell.notifications import Notifications

_parse, _send = backend_queues.parse, Notifications._send
_publish_s = int(os.environ.get("WARREN_TEST_PUBLISH_MS", "0")) / 1_000


def _die() -> None:
    if os.environ.get("WARREN_TEST_POISON") == "freeze":
        while True:
            time.sleep(60)
    os._exit(77)


def parse(notification: Notification, **more: Any) -> Any:
    """Check a notification as ever, unless it is poison."""
    if b"poison" in notification.body:
        _die()
    return _parse(notification, **more)


async def send(taker: Notifications, *arguments: Any) -> None:
    """Hand a batch of notifications on as ever, but later."""
    await asyncio.sleep(_publish_s)
    await _send(taker, *arguments)


if __name__ == "__main__":
    backend_queues.parse = parse
    Notifications._send = send  # type: ignore[method-assign, assignment]
    mutants.run("router")
