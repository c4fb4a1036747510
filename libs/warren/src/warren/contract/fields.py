"""Fields: the kinds of values that messages have in common, each with the rule that its JSON schema states.

A rule here is documentation: the parsers check it themselves, with an answer that names what is wrong. So
these types cost a decoder nothing. Where msgspec itself is to check a bound, the bound stands in a
``msgspec.Meta`` of its own. This module decides nothing and knows no message.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from warren.address import CONNECTION, ROOM, USER
from warren.errors import ErrorCode
from warren.message_rules import KEY_MAX, ORDINARY, TYPE
from warren.position import EPOCH

# What an envelope can carry; no room ever gets there.
SEQ_MAX: Final = 2**63 - 1
# What AMQP can carry of a backend's id for a message.
MESSAGE_ID_MAX: Final = 255
# The broker's own limit.
MAX_EXPIRATION_MS: Final = (1 << 32) - 1


def ruled(**schema: Any) -> msgspec.Meta:
    """Return what adds these keywords to a type's JSON schema and checks nothing. ``title`` names the kind in
    documents.
    """
    return msgspec.Meta(extra_json_schema=schema)


def says(text: str) -> msgspec.Meta:
    """Return what describes a field in one sentence."""
    return msgspec.Meta(description=text)


def _whole(*rules: str) -> str:
    """Return the pattern that matches the whole of a text where one of the rules does."""
    return f"^(?:{'|'.join(rules)})$" if len(rules) > 1 else f"^{rules[0]}$"


# An ordinary room, as clients name it.
Room = Annotated[str, ruled(title="room", pattern=_whole(ROOM.pattern))]
# An ordinary room, or a user's own (``@<user>``).
RoomOrUser = Annotated[str, ruled(title="room or @user", pattern=_whole(ROOM.pattern, f"@{USER.pattern}"))]
# Any address: a room, ``@<user>``, a connection's id, or ``*`` for everyone.
Address = Annotated[
    str, ruled(title="address", pattern=_whole(ROOM.pattern, f"@{USER.pattern}", CONNECTION.pattern, r"\*"))
]
# An address as routing keys of notifications and commands spell it.
KeyAddress = Annotated[
    str,
    ruled(
        title="recipient",
        pattern=_whole(
            f"room\\.{ROOM.pattern}", f"user\\.{USER.pattern}", f"conn\\.{CONNECTION.pattern}", "all"
        ),
    ),
]
User = Annotated[str, ruled(title="user", pattern=_whole(USER.pattern))]
Connection = Annotated[str, ruled(title="connection", pattern=_whole(CONNECTION.pattern))]
# What a message may be called: an ordinary type or one of the application's own.
TYPE_PATTERN: Final = _whole(TYPE.pattern)
RESERVED_TYPE_PATTERN: Final = "^[0-9_]*[A-Z][A-Z0-9_]*$"
Type = Annotated[
    str,
    ruled(
        title="message type",
        pattern=TYPE_PATTERN,
        anyOf=[{"enum": sorted(ORDINARY)}, {"not": {"pattern": RESERVED_TYPE_PATTERN}}],
    ),
]
# A client's name for a message: nothing that is not printable, ``~`` not first.
_PRINTABLE: Final = r"[^\u0000-\u001f\u007f-\u00a0]"
MessageId = Annotated[str, ruled(title="id", minLength=1, maxLength=64, pattern=f"^(?!~){_PRINTABLE}*$")]
# A backend's name for a message.
BackendId = Annotated[
    str, ruled(title="backend's id", maxLength=MESSAGE_ID_MAX, pattern=f"^(?!~){_PRINTABLE}*$")
]
Key = Annotated[str, ruled(title="key", maxLength=KEY_MAX)]
# The name of a service that answers REQUESTs; it is a routing key of AMQP.
Service = Annotated[
    str, ruled(title="service", pattern=r"^[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*$", maxLength=128)
]
Epoch = Annotated[str, ruled(title="epoch", pattern=_whole(EPOCH.pattern))]
Seq = Annotated[int, msgspec.Meta(ge=0, le=SEQ_MAX)]
FirstSeq = Annotated[int, msgspec.Meta(ge=1, le=SEQ_MAX)]
# A number of things, of milliseconds, or a time in milliseconds since the Unix epoch.
Count = Annotated[int, ruled(minimum=0)]
Milliseconds = Annotated[int, ruled(minimum=0)]
Time = Annotated[int, ruled(minimum=0)]
Traceparent = Annotated[
    str, ruled(title="traceparent", pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*$")
]
DIGEST_PATTERN: Final = "^[0-9a-f]{16}$"
Digest = Annotated[str, ruled(title="digest", pattern=DIGEST_PATTERN)]
Base64 = Annotated[str, ruled(enum=["base64"])]
Version = Literal["1.0"]
# One of Warren's, or one that a service has in its answer.
Code = Annotated[
    str, ruled(title="error code", anyOf=[{"enum": sorted(ErrorCode)}, {"pattern": "^[a-z][a-z0-9_]*$"}])
]

# What several messages have, with the sentence that describes it.
TypeField = Annotated[
    Type, says("CHAT, TYPING, NOTIFICATION, DATA_UPDATE, or any type that is not entirely UPPER CASE.")
]
EncodingField = Annotated[
    Base64 | None, says("`base64`: the payload is a base64 string and stands for bytes.")
]
KeyField = Annotated[
    Key | None, says("For rooms in which slow readers get only the latest message of each key.")
]
TraceparentField = Annotated[Traceparent | None, says("W3C trace context.")]
ExpirationField = Annotated[
    Annotated[int, ruled(minimum=0, maximum=MAX_EXPIRATION_MS)] | None,
    says("Not delivered after so many ms."),
]
