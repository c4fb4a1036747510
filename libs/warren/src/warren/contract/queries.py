"""Queries: the commands that change nothing, and what they tell. Over HTTP they may be asked for by GET, with
their fields as a query. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from warren.contract.commands import CHANGES, Body, Result, RoomName, RoomOrUser, UserName, Verb
from warren.contract.fields import MESSAGE_ID_MAX, says
from warren.contract.installation import VERBS as INSTALLATION

USERS_MAX: Final = 500
PAGE_MAX: Final = 1_000
HISTORY_MAX: Final = 100
PREFIX_MAX: Final = 128

Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many at most.")]
Cursor = Annotated[
    str, Meta(max_length=512, description="`next` of the page before; empty: from the beginning.")
]
Next = Annotated[str, says("The cursor of the next page; missing: this is the last.")]


class Presence(Body, frozen=True, kw_only=True):
    """Who is in a room, by user."""

    address: RoomOrUser
    limit: Limit = 100
    cursor: Cursor = ""


class Present(Result, frozen=True, kw_only=True):
    """One user who is there."""

    user: Annotated[str, says("The user's name.")]
    connections: Annotated[list[str], says("The user's connections in the room.")]
    info: Annotated[Raw | UnsetType, says("What the room shows with the user, where it tells of users.")] = (
        UNSET
    )


class PresencePage(Result, frozen=True, kw_only=True):
    """Users in the order of their names, each with its connections."""

    users: Annotated[int | None, says("How many users there are; missing: too many to count.")] = None
    connections: Annotated[int, says("How many connections there are.")]
    members: Annotated[list[Present], says("The users of this page.")]
    next: Next = ""
    counts_only: Annotated[bool, says("There are too many to be named.")] = False


class Count(Body, frozen=True, kw_only=True):
    """How many are in a room."""

    address: RoomOrUser


class Counted(Result, frozen=True, kw_only=True):
    """How many there are."""

    users: Annotated[int | None, says("How many users; missing: too many to count.")] = None
    connections: Annotated[int, says("How many connections.")]


class History(Body, frozen=True, kw_only=True):
    """The last messages of a room, as far as its history reaches."""

    address: RoomOrUser
    limit: Annotated[int, Meta(ge=1, le=HISTORY_MAX, description="How many at most.")] = 50
    before: Annotated[
        int, Meta(ge=0, le=(1 << 53) - 1, description="Those before this `seq`; 0: the latest.")
    ] = 0


class HistoryMessage(Result, frozen=True, kw_only=True):
    """One message, as clients get it."""

    seq: Annotated[int, says("The message's number in its room.")]
    type: Annotated[str, says("The message's type.")]
    payload: Annotated[Raw, says("What the sender sent.")]
    timestamp: Annotated[int, says("When it was accepted, ms since the Unix epoch.")]
    id: Annotated[str, says("The sender's name for the message.")] = ""
    sender: Annotated[str, says("The sender's user name; missing: a backend.")] = ""
    connection: Annotated[str, says("The sender's connection; missing: a backend.")] = ""
    encoding: Annotated[str, says("`base64`: the payload is a base64 string and stands for bytes.")] = ""


class HistoryPage(Result, frozen=True, kw_only=True):
    """Messages in their order, and where the room stands."""

    epoch: Annotated[str, says("The run of numbers that the seqs belong to.")]
    seq: Annotated[int, says("The number of the room's last message.")]
    messages: Annotated[list[HistoryMessage], says("The messages, the oldest first.")]
    more: Annotated[bool, says("There are older ones: ask `before` the first `seq`.")] = False


class Rooms(Body, frozen=True, kw_only=True):
    """Rooms that have members, by the beginning of their names; with the prefix `@`: connected users."""

    prefix: Annotated[str, Meta(max_length=PREFIX_MAX, description="How their names begin.")] = ""
    limit: Limit = 100
    cursor: Cursor = ""


class RoomCount(Result, frozen=True, kw_only=True):
    """One room."""

    room: Annotated[str, says("The room's name.")]
    connections: Annotated[int, says("How many connections are in it.")]


class RoomsPage(Result, frozen=True, kw_only=True):
    """Rooms in the order of their names."""

    rooms: Annotated[list[RoomCount], says("The rooms of this page.")]
    next: Next = ""


class Blocks(Body, frozen=True, kw_only=True):
    """Who is kept out, of what, and until when."""

    room: Annotated[RoomName | None, says("Of this room alone.")] = None
    prefix: Annotated[
        str,
        Meta(
            max_length=PREFIX_MAX,
            description="Of rooms whose names begin so; `@`: of everything; empty: of either.",
        ),
    ] = ""
    user: Annotated[UserName | None, says("Blocks of this user alone.")] = None
    limit: Limit = 100
    cursor: Cursor = ""


class Blocked(Result, frozen=True, kw_only=True):
    """One block. Without `until_ms` it is the body of the `unblock` that lifts it."""

    address: Annotated[str, says("The room; or the user, who is kept out of everything.")]
    user: Annotated[str | None, says("Who is kept out of the room.")] = None
    until_ms: Annotated[
        int | None, says("Until then, ms since the Unix epoch; missing: until `unblock`.")
    ] = None


class BlocksPage(Result, frozen=True, kw_only=True):
    """Blocks that hold, in the order of rooms and users; `@` and the user's name: of everything."""

    blocks: Annotated[list[Blocked], says("The blocks of this page.")]
    next: Next = ""


class Status(Body, frozen=True, kw_only=True):
    """Which of these users are online."""

    users: Annotated[
        list[UserName], Meta(min_length=1, max_length=USERS_MAX, description="Whom to look for.")
    ]


class UserStatus(Result, frozen=True, kw_only=True):
    """One user."""

    user: Annotated[str, says("The user's name.")]
    online: Annotated[bool, says("Whether the user has a connection.")]
    connections: Annotated[int, says("How many the user has.")] = 0
    since: Annotated[int | None, says("Online since, ms since the Unix epoch; missing: not known.")] = None
    last_seen: Annotated[
        int | None, says("When the last connection ended, ms since the Unix epoch; missing: not known.")
    ] = None


class Statuses(Result, frozen=True, kw_only=True):
    """Who is online."""

    users: Annotated[list[UserStatus], says("One for each user that was asked for, in that order.")]


class Explain(Body, frozen=True, kw_only=True):
    """What became of a message, for as long as its room's history reaches."""

    address: RoomOrUser
    id: Annotated[str, Meta(min_length=1, max_length=MESSAGE_ID_MAX, description="The message's id.")]
    user: Annotated[UserName | None, says("Its sender; missing: a backend.")] = None


GatewayState = Literal["counted", "partly", "behind", "forgotten", "gone", "silent"]

Written = Annotated[
    int | None, says("To how many connections it was written, or waits in the gateway to be written.")
]
Withheld = Annotated[
    int | None,
    says("From how many it was withheld: they read too slowly, or had gone before it was written."),
]
Expired = Annotated[int | None, says("To how many it was not written, as it had expired.")]


class GatewayReached(Result, frozen=True, kw_only=True):
    """What became of it on one gateway."""

    gateway: Annotated[str, says("The gateway.")]
    fed: Annotated[
        bool | None,
        says(
            "It was sent, in its place. False: it waits for the gateway. Missing: the gateway had no members"
            " then, or that is not known any more."
        ),
    ] = None
    state: Annotated[
        GatewayState,
        says(
            "`counted`: the numbers are all; `partly`: there may be more, as the gateway has read the message"
            " from a router and does not know what it did before; `behind`: it has not come there yet;"
            " `forgotten`: the gateway does not keep it (any more); `gone`: the gateway has ended;"
            " `silent`: it has not answered."
        ),
    ]
    seq: Annotated[int | None, says("The room's last message that has come there.")] = None
    written: Written = None
    withheld: Withheld = None
    expired: Expired = None


class Explained(Result, frozen=True, kw_only=True):
    """What is known of a message."""

    id: Annotated[str, says("The message's id.")]
    address: Annotated[str, says("Its room.")]
    epoch: Annotated[str, says("The run of numbers that `seq` belongs to.")]
    seq: Annotated[int, says("Its number in the room.")]
    accepted_at: Annotated[int | None, says("When it was accepted, ms since the Unix epoch.")] = None
    type: Annotated[str | None, says("Its type.")] = None
    bytes: Annotated[int | None, says("How many bytes its payload has.")] = None
    expires_at: Annotated[int | None, says("When it expires, ms since the Unix epoch.")] = None
    gateways: Annotated[
        list[GatewayReached] | None,
        says(
            "Those that had members when it was accepted (an empty list: it was for nobody), or have given it"
            " to others since."
        ),
    ] = None
    written: Written = None
    withheld: Withheld = None
    expired: Expired = None
    unknown: Annotated[
        list[str],
        says("The fields that are not known (any more); a number that is there may be higher."),
    ] = msgspec.field(default_factory=list)


VERBS: Final = (
    *CHANGES,
    Verb("presence", Presence, PresencePage),
    Verb("count", Count, Counted),
    Verb("history", History, HistoryPage),
    Verb("rooms", Rooms, RoomsPage, addressed=False),
    Verb("blocks", Blocks, BlocksPage, addressed=False),
    Verb("status", Status, Statuses, addressed=False),
    Verb("explain", Explain, Explained),
    *INSTALLATION,
)
