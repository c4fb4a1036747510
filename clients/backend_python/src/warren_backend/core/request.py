"""Request: what a client asks of a service, and how the answer to it is written. It publishes nothing."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from warren_backend.core import payloads
from warren_backend.core.errors import Refused
from warren_backend.core.messages import HeaderValue, Incoming, Outgoing

CANCEL_TYPE: Final = "CANCEL"
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
INTERNAL: Final = Refused("internal", "The service has failed.")
TIMEOUT: Final = Refused("timeout", "The service took too long.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``user`` is who asks, as Warren has checked; ``payload`` is a value of JSON, or bytes.

    ``id`` is the same whenever the same user asks under the same id: what is to be done once is done once
    under it. ``timeout_s``: for how long an answer is wanted (None: no end, the answer is durable).
    """

    service: str
    payload: Any
    user: str
    connection: str
    id: str
    attempt: int
    durable: bool
    timeout_s: float | None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Last:
    """Yielded by a service that answers in parts: this part is the last one."""

    payload: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an answer, or all of it; ``error`` is the code of an ERROR."""

    body: bytes
    content_type: str
    n: int | None = None
    more: bool = False
    error: str = ""

    def reply(self, request: Incoming) -> Outgoing:
        """Return it as the message that answers a request."""
        headers: dict[str, HeaderValue] = {}
        if self.n is not None:
            headers["n"] = self.n
        if self.more:
            headers["more"] = True
        if self.error:
            headers["error"] = self.error
        return Outgoing(
            routing_key=request.reply_to or "",
            body=self.body,
            content_type=self.content_type,
            correlation_id=request.correlation_id,
            headers=headers,
            # a durable answer (which has no end of its time) is persistent, as its request is
            persistent=request.expiration_ms is None,
            mandatory=False,
        )


def repeat_key(message: Incoming, durable_replies: str) -> str:
    """Return what two deliveries of the same request have in common. The id alone would do if all clients
    made random ones, as they are to; who counts from 1 in each tab must not get another request's answer.
    """
    asked = hashlib.blake2b(message.body, digest_size=16).hexdigest()
    how = "durable" if message.reply_to == durable_replies else "once"
    return f"{message.message_id or message.correlation_id or ''} {message.routing_key} {how} {asked}"


def request_of(message: Incoming, durable_replies: str) -> Request:
    """Return the request of a message. Raises Refused where its payload can't be read."""
    try:
        payload = payloads.decoded(message.body, message.content_type) if message.body else None
    except ValueError as error:
        raise Refused("invalid_payload", str(error)) from None
    attempt = message.headers.get("attempt")
    left_ms = message.expiration_ms
    return Request(
        service=message.routing_key,
        payload=payload,
        user=message.text("user"),
        connection=message.text("connection"),
        id=message.message_id or message.correlation_id or "",
        attempt=attempt if isinstance(attempt, int) else 1,
        durable=message.reply_to == durable_replies,
        timeout_s=None if left_ms is None else left_ms / 1_000,
        traceparent=message.text("traceparent"),
    )


def part_of(payload: object, n: int | None = None, *, more: bool = False) -> Part:
    """Return a part with this payload. Raises ValueError where it can't be sent."""
    body, content_type = payloads.encoded(payload)
    return Part(body=body, content_type=content_type, n=n, more=more)


def refusal(refused: Refused, n: int, *, durable: bool) -> Part:
    """Return the part that tells a client why there is no answer. A durable request has no ERROR: there the
    payload says it.
    """
    code = refused.code if _CODE.fullmatch(refused.code) else "refused"
    if durable:
        return part_of({"error": {"code": code, "message": refused.message}}, n)
    # no reader needs more of it, and a text that can't be written must not keep the client waiting
    text = refused.message[:1_000].encode(errors="replace")
    return Part(body=text, content_type=payloads.JSON_TYPE, error=code)
