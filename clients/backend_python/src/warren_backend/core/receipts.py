"""Receipt: what Warren did with a notification, read from the message in which it says so. It waits for
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warren_backend.core.errors import NotificationRefused, ReceiptUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is known of a notification. ``complete`` is False where the time was over before all was known.

    ``users`` and ``connections`` are those in the room at that moment (0: nobody; None: not counted there);
    ``written`` and ``lost`` are numbers of ``gateways``. ``readers`` and ``seen`` come with ``seen`` alone.
    """

    id: str = ""
    room: str = ""
    epoch: str = ""
    seq: int | None = None
    duplicate: bool = False
    users: int | None = None
    connections: int | None = None
    gateways: int | None = None
    written: int = 0
    lost: int = 0
    readers: int | None = None
    seen: int | None = None
    complete: bool = False


def receipt_of(payload: object) -> Receipt:
    """Return the receipt of a message. Raises NotificationRefused where Warren has set the notification
    aside, and ReceiptUnknown where the message says nothing of it.
    """
    if not isinstance(payload, Mapping):
        raise ReceiptUnknown("the answer is no receipt")
    said: Mapping[str, Any] = payload
    if refused := said.get("refused"):
        raise NotificationRefused(str(refused))
    if reason := said.get("reason"):
        raise ReceiptUnknown(str(reason))
    counted = {name: _count(said.get(name)) for name in ("seq", "users", "connections", "gateways")}
    seen = {name: _count(said.get(name)) for name in ("readers", "seen")}
    return Receipt(
        id=str(said.get("id", "")),
        room=str(said.get("room", "")),
        epoch=str(said.get("epoch", "")),
        duplicate=said.get("duplicate") is True,
        written=_count(said.get("written")) or 0,
        lost=_count(said.get("lost")) or 0,
        complete=said.get("complete") is True,
        **counted,
        **seen,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
