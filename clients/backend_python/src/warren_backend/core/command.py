"""Command: what Warren is to do or to tell, as the key and body of a message, and what its answer means. It
sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from warren_backend.core import addresses, payloads
from warren_backend.core.errors import CommandFailed
from warren_backend.core.messages import Incoming, Outgoing

# Verbs whose routing key has no address.
_INSTALLATION: Final = frozenset({"overview", "samples", "gateways", "shards"})
UNADDRESSED: Final = frozenset({"batch", "broadcast", "rooms", "blocks", "status"}) | _INSTALLATION
# Verbs that change nothing.
_TELL: Final = frozenset({"presence", "count", "history", "rooms", "blocks", "status", "explain"})
QUERIES: Final = _TELL | _INSTALLATION


class Commander(Protocol):
    """Whoever carries commands to Warren."""

    async def __call__(
        self,
        verb: str,
        fields: Mapping[str, Any],
        *,
        address: str | None,
        ident: str | None,
        timeout_s: float,
    ) -> dict[str, Any]:
        """Return the result. Raises CommandFailed, CommandUnanswered."""
        ...


def said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


def key_of(verb: str, address: str | None) -> str:
    """Return a command's routing key. Raises ValueError where the address can't be one."""
    if verb in UNADDRESSED:
        return verb
    return f"{verb}.{addresses.checked(address or '')}"


def message_of(
    verb: str, fields: Mapping[str, Any], *, address: str | None, ident: str | None, traceparent: str | None
) -> Outgoing:
    """Return the message that carries a command. Raises ValueError."""
    return Outgoing(
        routing_key=key_of(verb, address),
        body=payloads.json_text(said(fields)).encode(),
        content_type=payloads.JSON_TYPE,
        message_id=ident,
        headers={"traceparent": traceparent} if traceparent else {},
    )


def result_of(answer: Incoming) -> dict[str, Any]:
    """Return a command's result. Raises CommandFailed where the answer is a problem."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise CommandFailed({"code": "internal", "detail": "the answer is no JSON object", "retry": True})
    if answer.type == "problem":
        raise CommandFailed(told)
    return told
