"""The errors of the client, as types: each says what was wrong, whether to try again and when.

It raises nothing and does no I/O.
"""

from __future__ import annotations

# After a close with one of these codes the client does not come back; after the others with a fresh token.
FINAL_CLOSES = frozenset({1000, 1002, 4003, 4006, 4007})
TOKEN_CLOSES = frozenset({4001})


class WarrenError(Exception):
    """What every error of this client is: ``code`` is one of the protocol's or the client's own."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry: bool = False,
        retry_after: float | None = None,
        ref: str | None = None,
    ) -> None:
        """``retry``: the same may succeed later, after ``retry_after`` seconds if that is given. ``ref`` is
        the id of the message or request that it is about.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
        self.retry_after = retry_after
        self.ref = ref

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class InvalidError(WarrenError):
    """The server would refuse this, so it was not sent; ``code`` is the one that the server would give."""


class RefusedError(WarrenError):
    """The server has answered with ERROR; ``code`` is the server's, or that of the service that was asked."""


class OutboxFullError(WarrenError):
    """As many messages and requests as ``outbox_limit`` allows wait for an answer already."""

    def __init__(self, limit: int) -> None:
        """``limit`` is the option outbox_limit."""
        super().__init__(
            "outbox_full", f"{limit} messages wait for their answers already (outbox_limit)", retry=True
        )


class ConnectError(WarrenError):
    """There is no connection: it could not be opened, or was lost in the middle of an answer. ``status`` is
    the HTTP status if the upgrade was refused.
    """

    def __init__(
        self, message: str, *, retry: bool = True, status: int | None = None, ref: str | None = None
    ) -> None:
        """``retry``: another attempt may succeed."""
        super().__init__("connection", message, retry=retry, ref=ref)
        self.status = status


class ClosedError(WarrenError):
    """The client is closed for good, by the application or by the server; ``close_code`` is the one of the
    socket.
    """

    def __init__(self, message: str, *, close_code: int | None = None, code: str = "closed") -> None:
        """``code`` is the server's where it gave a reason, such as ``disconnected`` or ``replaced``."""
        super().__init__(code, message)
        self.close_code = close_code


class LeftError(WarrenError):
    """The client is not in this room any more. ``reason``: ``removed``, ``blocked``, ``forbidden`` as the
    server says, or None if the application left.
    """

    def __init__(self, room: str, reason: str | None) -> None:
        """``room`` is the one that was left."""
        why = f"taken out of {room} ({reason})" if reason else f"{room} was left"
        super().__init__("left", why, retry=reason == "removed")
        self.room = room
        self.reason = reason


class RequestTimeoutError(WarrenError, TimeoutError):
    """A request had no answer in time; whether the service has done what was asked is not known."""

    def __init__(self, seconds: float, ref: str) -> None:
        """``seconds`` is how long the client has waited."""
        super().__init__("timeout", f"no answer within {seconds:g} s", retry=True, ref=ref)


class StopConnecting(Exception):
    """Raised by a token callback: there will be no token, so do not connect (again). The client closes for
    good.
    """


def advice_of(code: int) -> str:
    """Return what a close code says about coming back: ``yes``, ``no`` or ``fresh token``."""
    if code in FINAL_CLOSES:
        return "no"
    return "fresh token" if code in TOKEN_CLOSES else "yes"
