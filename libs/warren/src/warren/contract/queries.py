"""Queries: the commands that change nothing, and what they tell. Nothing here decides."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from warren.contract.client_frames import HISTORY_PAGE_MAX
from warren.contract.fields import Address, Count, Epoch, FirstSeq, Seq, Time, User, ruled, says
from warren.contract.presence import PRESENCE_PAGE_MAX, PresenceCount, PresenceMember
from warren.contract.server_frames import Message

STATUS_MAX: Final = 500
ROOMS_PAGE_MAX: Final = 1_000

_CURSOR: Final = "Goes on behind the page that came with this `cursor`."
_MORE: Final = "Asks for the next page; missing: this is the last one."


class PresenceCommand(msgspec.Struct, omit_defaults=True):
    """Who is in a room?"""

    limit: Annotated[
        Annotated[int, ruled(minimum=1, maximum=PRESENCE_PAGE_MAX)] | None,
        says("How many members at most."),
    ] = None
    cursor: Annotated[str | None, says(_CURSOR)] = None


class PresenceResult(msgspec.Struct, omit_defaults=True):
    """A page of a room's presence."""

    version: Annotated[Count, says("Grows with each change.")]
    count: Annotated[PresenceCount, says("How many are there.")]
    members: Annotated[list[PresenceMember], says("The members, in their order.")]
    cursor: Annotated[str | None, says(_MORE)] = None
    counts_only: Annotated[
        bool, says("True: the room has too many members to name them; only `count` is told.")
    ] = False


class CountResult(msgspec.Struct):
    """How many are in a room."""

    users: Annotated[Count, says("How many users.")]
    connections: Annotated[Count, says("How many connections.")]


class HistoryCommand(msgspec.Struct, omit_defaults=True):
    """Read the messages that a room keeps."""

    before: Annotated[FirstSeq | None, says("Messages before this seq; without it the latest ones.")] = None
    limit: Annotated[
        Annotated[int, ruled(minimum=1, maximum=HISTORY_PAGE_MAX)] | None,
        says("How many messages at most."),
    ] = None


class HistoryResult(msgspec.Struct, omit_defaults=True):
    """A page of a room's history."""

    messages: Annotated[list[Message], says("Messages as they were delivered, the oldest first.")]
    more: Annotated[bool, says("There are older ones: ask with `before` set to the first seq.")]
    epoch: Annotated[Epoch, says("The room's epoch at present.")] = ""
    seq: Annotated[Seq, says("The number of the room's last message.")] = 0


class RoomsCommand(msgspec.Struct, omit_defaults=True):
    """Which rooms have members?"""

    prefix: Annotated[str | None, says("Only those whose names begin so.")] = None
    limit: Annotated[
        Annotated[int, ruled(minimum=1, maximum=ROOMS_PAGE_MAX)] | None,
        says("How many rooms at most."),
    ] = None
    cursor: Annotated[str | None, says(_CURSOR)] = None


class RoomCount(msgspec.Struct):
    """One room with members."""

    room: Annotated[Address, says("The room.")]
    users: Annotated[Count, says("How many users.")]
    connections: Annotated[Count, says("How many connections.")]


class RoomsResult(msgspec.Struct, omit_defaults=True):
    """A page of rooms."""

    rooms: Annotated[list[RoomCount], says("The rooms, in the order of their names.")]
    cursor: Annotated[str | None, says(_MORE)] = None


class StatusCommand(msgspec.Struct):
    """Which of these users are online?"""

    users: Annotated[
        Annotated[list[User], ruled(maxItems=STATUS_MAX)],
        says(f"The users, at most {STATUS_MAX}."),
    ]


class UserStatus(msgspec.Struct, omit_defaults=True):
    """One user."""

    user: Annotated[User, says("The user's name.")]
    online: Annotated[bool, says("Whether the user has a connection.")]
    connections: Annotated[Count, says("How many.")] = 0
    since: Annotated[Time | None, says("Online since then, in ms since the Unix epoch.")] = None
    last_seen: Annotated[
        Time | None,
        says("When the last connection ended, in ms since the Unix epoch; missing: not known."),
    ] = None


class StatusResult(msgspec.Struct):
    """Who is online."""

    users: Annotated[list[UserStatus], says("One for each user that was asked about.")]


class ExplainCommand(msgspec.Struct):
    """What became of a message?"""

    id: Annotated[str, says("The message's id, as its sender gave it.")]
    user: Annotated[User, says("The sender; missing if a backend sent it.")] = ""


class GatewayDelivery(msgspec.Struct, omit_defaults=True):
    """How far a message has got at one gateway."""

    gateway: Annotated[str, says("The gateway.")]
    fed: Annotated[bool, says("Whether the gateway has passed the message's place in the log.")]
    written: Annotated[Count | None, says("To how many connections it was written.")] = None
    withheld: Annotated[
        Count | None, says("From how many it was withheld, because they read too slowly.")
    ] = None
    expired: Annotated[bool, says("True: it had expired by then.")] = False


class ExplainResult(msgspec.Struct, omit_defaults=True):
    """What became of a message."""

    id: Annotated[str, says("The message's id.")]
    room: Annotated[Address, says("Its room.")]
    accepted_at: Annotated[Time, says("When it was accepted, in ms since the Unix epoch.")]
    epoch: Annotated[Epoch, says("The epoch of the room in which `seq` counts.")] = ""
    seq: Annotated[Seq, says("Its number in the room; missing: not numbered.")] = 0
    gateways: Annotated[list[GatewayDelivery], says("The gateways that had members there.")] = []
