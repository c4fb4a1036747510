"""Notifier: sends notifications, one by one or as lists, and tells what became of those that ask for it. What
a notification may be is not decided here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Final

from warren_backend.core import notification as notifications
from warren_backend.core.errors import BackendError, NotificationRefused, ReceiptUnknown, Stopped
from warren_backend.core.messages import Incoming
from warren_backend.core.names import Names
from warren_backend.core.notification import Level, Notification
from warren_backend.core.outbox import Limits
from warren_backend.core.receipts import Receipt, receipt_of
from warren_backend.shell.asker import Asker, Asking

SEND_S: Final = 30.0
# The longest that Warren takes for an answer, and something more.
RECEIPT_S: Final[dict[Level, float]] = {"accepted": 30.0, "written": 30.0, "seen": 75.0}
ATTEMPT_S: Final[dict[Level, float]] = {"accepted": 10.0, "written": 10.0, "seen": 70.0}


class Sent:
    """A notification that the broker has; ``receipt`` waits for what became of it."""

    def __init__(self, ident: str, address: str, outcome: asyncio.Task[Receipt] | None = None) -> None:
        self.id = ident
        self.address = address
        self._outcome = outcome

    async def receipt(self) -> Receipt:
        """Return what became of it, once that is known; it may be asked for any number of times.

        Raises NotificationRefused where Warren has set it aside, ReceiptUnknown where nothing is known, and
        ValueError where no receipt was asked for.
        """
        if self._outcome is None:
            raise ValueError("no receipt was asked for: say receipt='accepted', 'written' or 'seen'")
        try:
            return await asyncio.shield(self._outcome)
        except asyncio.CancelledError:
            if self._outcome.cancelled():
                raise Stopped("the backend was stopped before the receipt came") from None
            raise

    def __repr__(self) -> str:
        return f"Sent(id={self.id!r}, address={self.address!r})"


class Notifier:
    """Sends by one channel, in the order of the calls."""

    def __init__(self, names: Names, limits: Limits | None = None) -> None:
        self._asker = Asker("notify", names.notify, limits, in_order=True)
        self.publisher = self._asker.publisher
        self._waiting: set[asyncio.Task[Receipt]] = set()

    async def send(
        self,
        notification: Notification,
        receipt: Level | None = None,
        timeout_s: float = SEND_S,
        receipt_timeout_s: float | None = None,
    ) -> Sent:
        """Return once the broker has it. Raises InvalidNotification, NotConfirmed, Unroutable, AccessRefused,
        Overloaded, Stopped.
        """
        message = notification.message(receipt)
        if receipt is None:
            await self.publisher.publish(message, timeout_s)
            return Sent(notification.id, notification.address)
        asking = Asking(self._asker, message)
        try:
            await asking.send(timeout_s)
        except BaseException:
            asking.close()
            raise
        wait_s = RECEIPT_S[receipt] if receipt_timeout_s is None else receipt_timeout_s
        outcome = asyncio.create_task(self._receipt(asking, receipt, wait_s), name="warren-backend-receipt")
        self._waiting.add(outcome)
        outcome.add_done_callback(self._over)
        return Sent(notification.id, notification.address, outcome)

    async def send_many(self, many: Iterable[Notification], timeout_s: float = SEND_S) -> list[str]:
        """Send notifications as lists, as few as will do, and return their ids once the broker has all of
        them.

        Where it raises, a part may have gone: send the same ones again, and each counts once.
        """
        sending = list(many)
        messages = list(notifications.lists(sending))
        outcomes = await asyncio.gather(
            *(self.publisher.publish(message, timeout_s) for message in messages), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [each.id for each in sending]

    async def stop(self) -> None:
        """Send nothing more, and wait for no receipt."""
        self._asker.stop()
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _receipt(self, asking: Asking, level: Level, timeout_s: float) -> Receipt:
        try:
            return receipt_of(_json(await asking.answer(timeout_s, ATTEMPT_S[level])))
        except TimeoutError:
            raise ReceiptUnknown(f"no receipt came within {timeout_s:g} s") from None
        except (ReceiptUnknown, NotificationRefused):
            raise
        except BackendError as error:
            raise ReceiptUnknown(str(error)) from error
        finally:
            asking.close()

    def _over(self, task: asyncio.Task[Receipt]) -> None:
        self._waiting.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()  # nobody need ask for it


def _json(message: Incoming) -> object:
    try:
        return json.loads(message.body)
    except (ValueError, RecursionError):
        return None
