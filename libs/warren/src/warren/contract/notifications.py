"""Notifications: what backends publish to rooms, users and connections, one in each AMQP message or many.

A single notification's body is the payload itself; what else there is to say stands in AMQP properties and
headers. In a list each entry says all of it. Nothing here parses or decides.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from warren.contract.fields import (
    BackendId,
    EncodingField,
    ExpirationField,
    KeyAddress,
    KeyField,
    TraceparentField,
    Type,
    ruled,
    says,
)
from warren.contract.receipts import ReceiptLevel

LIST_TYPE: Final = "application/vnd.warren.notifications+json"
DEFAULT_TYPE: Final = "NOTIFICATION"
MAX_ENTRIES: Final = 1_000
SEEN_WITHIN_MIN_MS: Final = 1_000
SEEN_WITHIN_MAX_MS: Final = 7 * 86_400_000

SeenWithinField = Annotated[
    Annotated[int, ruled(minimum=SEEN_WITHIN_MIN_MS, maximum=SEEN_WITHIN_MAX_MS)] | None,
    says(
        "Tell backends by `message.undelivered` where nobody has seen it after so many milliseconds. The "
        "room's namespace has to say `receipts: seen`."
    ),
]


class NotificationHeaders(msgspec.Struct, omit_defaults=True, frozen=True):
    """The AMQP headers of a notification."""

    traceparent: TraceparentField = None
    key: KeyField = None
    receipt: Annotated[
        ReceiptLevel | None,
        says("With the property `reply_to`: send a receipt once the message has got so far."),
    ] = None
    seen_within_ms: SeenWithinField = None


class NotificationEntry(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """One entry of a list of notifications. Unknown fields are passed over."""

    address: Annotated[
        KeyAddress,
        says("The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`."),
    ]
    payload: Annotated[msgspec.Raw, says("Any JSON.")]
    type: Annotated[Type | None, says("The message's type; NOTIFICATION if it is left out.")] = None
    id: Annotated[
        BackendId | None,
        says("Makes the entry idempotent: the same id in the same room counts once."),
    ] = None
    encoding: EncodingField = None
    key: KeyField = None
    expiration: ExpirationField = None
    traceparent: TraceparentField = None
    seen_within_ms: SeenWithinField = None


class DeadLetterHeaders(msgspec.Struct, omit_defaults=True, frozen=True):
    """The AMQP headers of a notification that can't be delivered; its body is what came."""

    reason: Annotated[str, says("What is wrong.")] = msgspec.field(name="x-warren-reason")
    routing_key: Annotated[str, says("The routing key that the notification came with.")] = msgspec.field(
        name="x-warren-routing-key"
    )
    index: Annotated[int | None, says("Of an entry of a list: its place there, from 0.")] = msgspec.field(
        name="x-warren-index", default=None
    )
    body_bytes: Annotated[int | None, says("How large the body was, where only its beginning was kept.")] = (
        msgspec.field(name="x-warren-body-bytes", default=None)
    )
    headers_left_out: Annotated[
        int | None, says("How large the notification's own headers were, where they were not kept.")
    ] = msgspec.field(name="x-warren-headers-left-out", default=None)
