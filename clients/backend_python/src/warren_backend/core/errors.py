"""Errors: what a backend can meet, each with what was wrong and what to do about it.

All of them are ``BackendError``, but for ``Refused``, which a service raises itself. Nothing here decides
when they are raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from warren_backend.contract import Problem

# What begins a reason of Warren's, and what whoever sent the notification can do about it.
_REMEDIES: Final = {
    "invalid address": "use room.<room>, user.<user>, conn.<connection id> or all, with a valid name",
    "invalid type": "1 to 64 letters, digits and _ - . :",
    "reserved type": "of the UPPER CASE types, use CHAT, TYPING, NOTIFICATION or DATA_UPDATE only",
    "invalid message_id": "use an id of at most 255 printable characters",
    "reserved message_id": "use an id that does not begin with ~",
    "invalid header key": "use a key of at most 128 printable characters",
    "invalid header seen_within_ms": "1,000 to 604,800,000 ms, and only for a room or a user",
    "invalid expiration": "milliseconds, not negative, below 2**32",
    "too large": "send less, or let the operator raise WARREN_ROUTER_NOTIFY_BYTES",
    "invalid payload": "JSON in UTF-8 that nests at most 128 levels deep, or bytes",
    "poison": "this is a fault in Warren: report it, and do not send the same bytes again",
}


def remedy(reason: str) -> str:
    """Return what to do about the reason of a dead letter; empty: the reason says it."""
    return next((text for begin, text in _REMEDIES.items() if reason.startswith(begin)), "")


class BackendError(Exception):
    """Anything that this package raises of its own."""


class InvalidNotification(BackendError, ValueError):
    """A notification that Warren would refuse: nothing was sent."""


class InvalidRoute(BackendError, ValueError):
    """A service, an event or a hook that can't be registered like that."""


class NotificationRefused(BackendError):
    """Warren has set the notification aside as invalid; it is in the dead-letter queue, too."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        advice = remedy(reason)
        super().__init__(f"{reason} ({advice})" if advice else reason)


class NotConfirmed(BackendError):
    """The broker has not confirmed a message in its time. It may have it all the same: send it again under
    the same id, and it counts once.
    """


class Expired(NotConfirmed):
    """The time after which a notification is not to be delivered was over before the broker had it."""


class Unroutable(BackendError):
    """No queue is there behind Warren's exchange, or not even the exchange: Warren has never run under this
    prefix and virtual host.
    """


class AccessRefused(BackendError):
    """The broker does not let its user do that; docs/broker-users.md has each kind of backend's rights."""


class BrokerUnavailable(BackendError):
    """No connection to the broker, for a reason that the text names."""


class QueueMismatch(BackendError):
    """A queue of that name is there with other arguments: delete it, or take another name."""


class Overloaded(BackendError):
    """So much waits in this process already that nothing more is taken; what was refused was not sent."""


class Stopped(BackendError):
    """The backend is not running (any more)."""


class ReceiptUnknown(BackendError):
    """The notification is sent, and what became of it is not known."""


class CommandFailed(BackendError):
    """Warren has answered a command with a problem."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = cast("Problem", dict(problem))
        self.code = str(problem.get("code", "internal"))
        self.status = int(problem.get("status", 500))
        self.retry = problem.get("retry") is True
        after = problem.get("retry_after_ms")
        self.retry_after_ms: int | None = after if isinstance(after, int) else None
        faults = "; ".join(
            f"{fault.get('pointer') or 'all of it'}: {fault.get('detail')}"
            for fault in problem.get("errors") or ()
            if isinstance(fault, dict)
        )
        detail = str(problem.get("detail") or problem.get("title") or "no reason was given")
        super().__init__(f"{self.code}: {detail}" + (f" ({faults})" if faults else ""))


class CommandUnanswered(BackendError):
    """No answer came to a command in its time. It may have been done: send it again under the same id."""


class Refused(Exception):
    """Raised by a service: the client gets ERROR with this code and this text.

    ``code``: lower-case letters, digits and ``_``, at most 64, a letter first; ``retry: false`` goes with it.
    """

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}" if message else code)
