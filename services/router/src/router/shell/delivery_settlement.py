"""Delivery settlement: one delivery that brought many notifications is settled once the last of them is.

It is acknowledged where all were; where one was rejected the whole is rejected, so that the broker sets aside
what this router could not. It keeps no body and waits for nothing.
"""

from __future__ import annotations

from typing import Protocol


class Settleable(Protocol):
    """What can be acknowledged or rejected: a delivery, or a part of one."""

    def ack(self) -> None:
        """Say that it is done with."""

    def reject(self, *, requeue: bool) -> None:
        """Say that it can't be done."""


class DeliverySettlement:
    """Each part calls ``ack`` or ``reject`` once."""

    def __init__(self, delivery: Settleable, parts: int) -> None:
        """``parts``: how many there are. A delivery of none is acknowledged at once."""
        self._delivery = delivery
        self._left = parts
        self._rejected = False
        self._requeue = False
        if not parts:
            delivery.ack()

    def ack(self) -> None:
        """One part is confirmed or set aside."""
        self._left -= 1
        if self._left:
            return
        if self._rejected:
            self._delivery.reject(requeue=self._requeue)
        else:
            self._delivery.ack()

    def reject(self, *, requeue: bool) -> None:
        """One part could not be settled."""
        self._rejected = True
        self._requeue |= requeue
        self.ack()
