"""Control bodies: what a backend's commands and their results look like, over AMQP and HTTP alike. The parser
and the OpenAPI document are both made from these definitions.

Fields and their bounds alone; what a command means is said in ``control.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw

from router.core.control_problems import Fault
from router.core.notification_parser import MAX_EXPIRATION_MS, MAX_ID
from warren.message_rules import KEY_MAX

BATCH_MAX: Final = 1_000
USERS_MAX: Final = 500
PAGE_MAX: Final = 1_000
HISTORY_MAX: Final = 100
ADDRESSES_MAX: Final = 1_000
WAIT_MAX_MS: Final = 10_000
SPARED_MAX: Final = 100
ROOMS_MAX: Final = 100
REASON_MAX: Final = 120  # with the code it must fit a close frame (RFC 6455 section 5.5.1)

_NAME = r"[A-Za-z0-9._\-:/|+=%!$&'?^`{}][A-Za-z0-9._\-:/@|+=%!$&'?^`{}]{0,126}"
_CONN = r"[A-Za-z0-9\-]{1,64}~[0-9a-z]{1,16}"
_ROOM = r"[A-Za-z0-9._\-:/][A-Za-z0-9._\-:/@]{0,127}"

RoomName = Annotated[str, Meta(pattern=f"^{_ROOM}$", description="A room's name.", examples=["chat:a"])]
User = Annotated[str, Meta(pattern=f"^{_NAME}$", description="A user's name.", examples=["ann"])]
Connection = Annotated[
    str, Meta(pattern=f"^{_CONN}$", description="A connection's id, as in WELCOME.", examples=["g1~5f"])
]
AnyAddress = Annotated[
    str,
    Meta(
        pattern=rf"^(all|room\.{_ROOM}|user\.{_NAME}|conn\.{_CONN})$",
        description="The recipient: `room.<room>`, `user.<user>`, `conn.<connection id>` or `all`.",
        examples=["room.chat:a", "user.ann"],
    ),
]
RoomAddress = Annotated[
    str, Meta(pattern=rf"^room\.{_ROOM}$", description="`room.<room>`.", examples=["room.chat:a"])
]
RoomOrUser = Annotated[
    str,
    Meta(
        pattern=rf"^(room\.{_ROOM}|user\.{_NAME})$",
        description="`room.<room>`, or `user.<user>`: all connections of a user.",
        examples=["room.chat:a"],
    ),
]
UserOrConnection = Annotated[
    str,
    Meta(
        pattern=rf"^(user\.{_NAME}|conn\.{_CONN})$",
        description="`user.<user>`, or `conn.<connection id>`.",
        examples=["user.ann"],
    ),
]
UserAddress = Annotated[
    str, Meta(pattern=rf"^user\.{_NAME}$", description="`user.<user>`.", examples=["user.ann"])
]
Ident = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID,
        description="What makes it count once: the same id for the same address is a repeat. Printable "
        "characters, the first one not `~`. Over HTTP the header `Idempotency-Key` is the same.",
        examples=["7f1c-0"],
    ),
]
Payload = Annotated[Raw, Meta(description="Any JSON.", examples=[{"text": "hello"}])]
Type = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_\-.:]{1,64}$",
        description="The message's type: NOTIFICATION where it is missing. An ordinary one or one of your "
        "own, never a reserved one.",
        examples=["deal.done"],
    ),
]
Encoding = Annotated[
    Literal["base64"],
    Meta(description="`payload` is a string with base64 of bytes, which are the message's payload."),
]
LatestKey = Annotated[
    str,
    Meta(
        max_length=KEY_MAX,
        description="For rooms in which slow readers get only the latest message of each key.",
    ),
]
Expiration = Annotated[
    int, Meta(ge=0, le=MAX_EXPIRATION_MS, description="It is not delivered after so many milliseconds.")
]
Traceparent = Annotated[
    str, Meta(max_length=256, description="W3C trace context of the message, as the header of that name.")
]
Wait = Annotated[
    int,
    Meta(
        ge=0,
        le=WAIT_MAX_MS,
        description="Wait for so many milliseconds for the message's place in its room.",
    ),
]
Reason = Annotated[
    str, Meta(max_length=REASON_MAX, description="Why, for the client: at most 120 bytes in UTF-8.")
]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many at most.")]
Cursor = Annotated[
    str, Meta(max_length=512, description="`next` of the page before; empty: from the beginning.")
]
Milliseconds = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
Seconds = Annotated[int, Meta(ge=0, le=1 << 40)]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command's body."""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command comes to."""


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


class Publish(Body, frozen=True, kw_only=True):
    """A message for one address."""

    address: AnyAddress
    payload: Payload
    type: Type | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Traceparent | None = None
    wait_ms: Wait = 0


class Batch(Body, frozen=True, kw_only=True):
    """Many messages, each for itself: each is checked, allowed and answered as one that comes alone."""

    messages: Annotated[
        Raw,
        Meta(
            description="Messages as in `publish`, but for `wait_ms`.",
            extra_json_schema={
                "type": "array",
                "maxItems": BATCH_MAX,
                "items": {"$ref": "#/components/schemas/Publish"},
            },
        ),
    ]
    wait_ms: Wait = 0


class Broadcast(Body, frozen=True, kw_only=True):
    """One message for many addresses, or for everyone."""

    payload: Payload
    addresses: (
        Annotated[
            list[AnyAddress],
            Meta(min_length=1, max_length=ADDRESSES_MAX, description="Where it goes; missing: to everyone."),
        ]
        | None
    ) = None
    type: Type | None = None
    id: Ident | None = None
    encoding: Encoding | None = None
    key: LatestKey | None = None
    expiration: Expiration | None = None
    traceparent: Traceparent | None = None
    wait_ms: Wait = 0


class Published(Result, frozen=True, kw_only=True):
    """The message is in the log, committed by a majority of the broker's nodes. With ``wait_ms`` also where
    it stands in its room.
    """

    id: str
    address: str
    epoch: Annotated[str, Meta(description="The run of numbers that `seq` belongs to.")] | None = None
    seq: (
        Annotated[int, Meta(description="Its number in the room; of a repeat, that of the first.")] | None
    ) = None
    duplicate: (
        Annotated[bool, Meta(description="Its id had been counted before, so nothing was sent.")] | None
    ) = None
    complete: Annotated[bool, Meta(description="False: `wait_ms` was over before all was known.")] = True


class Outcome(Result, frozen=True, kw_only=True):
    """What became of one message of several: ``status`` as if it had come alone."""

    status: int
    address: str | None = None
    id: str | None = None
    epoch: str | None = None
    seq: int | None = None
    duplicate: bool | None = None
    complete: bool = True
    code: str | None = None
    detail: str | None = None
    retry: bool | None = None
    retry_after_ms: int | None = None
    errors: list[Fault] | None = None


class Outcomes(Result, frozen=True, kw_only=True):
    """One result for each message, in their order. ``failed``: how many have another status than 200."""

    results: list[Outcome]
    failed: int


JsonObject = dict[str, Any]
