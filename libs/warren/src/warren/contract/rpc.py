"""RPC: how a REQUEST of a client reaches a backend service over AMQP, and what the service answers.

It is plain AMQP RPC: the request names the queue that the answer goes to. The bodies are the payloads
themselves; the structs here are headers. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from warren.contract.fields import Connection, Count, TraceparentField, User, says


class RequestHeaders(msgspec.Struct, omit_defaults=True, frozen=True):
    """The AMQP headers of a request.

    Its properties: `reply_to`, `correlation_id`, `message_id` (the same over repeats), `expiration` (what is
    left of the time), `content_type`. Its routing key is the service's name.
    """

    user: Annotated[User, says("Who asks; Warren has checked the token.")]
    connection: Annotated[Connection, says("The connection that asks.")]
    attempt: Annotated[Count, says("1 at first; higher where the request is sent again.")]
    traceparent: TraceparentField = None


class ResponseHeaders(msgspec.Struct, omit_defaults=True, frozen=True):
    """The AMQP headers of an answer; a single answer needs none.

    Its property `correlation_id` is that of the request, its routing key the request's `reply_to`, its
    exchange `warren.replies` (or the default one).
    """

    n: Annotated[Count | None, says("The part's number: 1, 2, 3 …")] = None
    more: Annotated[bool | None, says("True: further parts follow.")] = None
    error: Annotated[
        str | None,
        says(
            "The request is refused: the client gets ERROR with this code, and the body's text. Not of a "
            "durable request."
        ),
    ] = None
    traceparent: TraceparentField = None


class CancelHeaders(msgspec.Struct, frozen=True):
    """The AMQP headers of a cancel: the answer to the request is wanted no more.

    Its routing key is `<service>.cancel`, its `correlation_id` that of the request, its body empty.
    """

    user: Annotated[User, says("Who asked.")]
    connection: Annotated[Connection, says("The connection that asked.")]
