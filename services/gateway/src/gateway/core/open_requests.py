"""OpenRequests: what one client has asked services and is not answered to yet: by the ids it gave, bounded.

It says what a REQUEST asks for, and whether it may; it sends nothing, and knows no answer.
"""

from __future__ import annotations

from typing import Final

from gateway.core.actions import Request
from gateway.core.client_messages import ClientMessage
from gateway.core.permissions import Identity, check_call
from warren.durable_answers import REF_MAX_BYTES, request_name
from warren.errors import ErrorCode, ProtocolError
from warren.services import MAX_TIMEOUT_MS, Services

_TIMEOUT_RULE: Final = f"timeout_ms: 1 to {MAX_TIMEOUT_MS}"


class OpenRequests:
    """One connection's."""

    __slots__ = ("_most", "_refs")

    def __init__(self, most: int) -> None:
        """At most ``most`` are open at a time."""
        self._most = most
        self._refs: dict[str, None] = {}

    def __contains__(self, ref: str) -> bool:
        """Say whether the answer to ``ref`` is waited for."""
        return ref in self._refs

    def refs(self) -> tuple[str, ...]:
        """Return the refs of all that is open."""
        return tuple(self._refs)

    def ask(self, message: ClientMessage, identity: Identity, services: Services) -> Request:
        """Open a REQUEST, and return what it asks for. Raises ProtocolError: INVALID_MESSAGE, FORBIDDEN,
        OVERLOADED.
        """
        if not message.id:
            raise ProtocolError(
                ErrorCode.INVALID_MESSAGE, "id: is missing; the answer's ref is the request's id"
            )
        if len(message.id.encode()) > REF_MAX_BYTES:
            raise ProtocolError(
                ErrorCode.INVALID_MESSAGE, f"id: at most {REF_MAX_BYTES} bytes of UTF-8 in a REQUEST"
            )
        asked_ms = message.timeout_ms
        if asked_ms is not None and not 1 <= asked_ms <= MAX_TIMEOUT_MS:
            raise ProtocolError(ErrorCode.INVALID_MESSAGE, _TIMEOUT_RULE)
        policy = check_call(identity, services, message.service)
        if len(self._refs) >= self._most:
            raise ProtocolError(ErrorCode.OVERLOADED, f"At most {self._most} requests at a time")
        timeout_ms = policy.timeout_ms if asked_ms is None else min(asked_ms, policy.timeout_ms)
        self._refs[message.id] = None
        return Request(
            message.id,
            message.service,
            message.payload,
            message.binary,
            identity.user,
            request_name(identity.user, message.id),
            timeout_ms / 1_000,
            timeout_ms == policy.timeout_ms,
            message.durable,
            message.traceparent,
        )

    def close(self, ref: str) -> bool:
        """Note that nothing more comes for ``ref``; False where nothing was waited for."""
        return self._refs.pop(ref, self) is None
