"""Installation: what operators ask about a whole installation: its figures now and of the last minutes, its
gateways and its shards; and what a key of the HTTP API may do. Nothing here decides.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from warren.contract.commands import Body, Result, Verb
from warren.contract.fields import says

PAGE_MAX: Final = 500
SAMPLES_MAX: Final = 300

Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="How many at most.")]
Cursor = Annotated[
    str, Meta(max_length=512, description="`next` of the page before; empty: from the beginning.")
]
Next = Annotated[str, says("The cursor of the next page; missing: this is the last.")]
HeardMs = Annotated[int, says("For how many ms nothing was heard of it.")]
LagMs = Annotated[
    int | None,
    says(
        "How old, in ms, the oldest message was that came there lately, from when it was sent; missing: none"
        " came. Clocks of machines may differ."
    ),
]
Memory = Annotated[int, says("Bytes of memory that its process holds.")]
Uptime = Annotated[int, says("For how many seconds it has run.")]
InRate = Annotated[float, says("Messages from clients in a second.")]
OutRate = Annotated[float, says("Messages written to clients in a second.")]
ErrorRate = Annotated[float, says("ERROR frames in a second.")]
Rooms = Annotated[int, says("Rooms that have members; users' own rooms are not counted.")]
Members = Annotated[int, says("Members of those rooms: each connection counts in each of its rooms.")]
Users = Annotated[int, says("Users who are connected.")]
Connections = Annotated[int, says("Connections of clients.")]
Waiting = Annotated[int, says("Entries of logs that wait to be sent to gateways.")]


class Overview(Body, frozen=True, kw_only=True):
    """How the whole installation is."""


class RouterFigures(Result, frozen=True, kw_only=True):
    """One router, by what it says of itself."""

    router: Annotated[str, says("The router's id, new for each of its lives.")]
    answers: Annotated[bool, says("It is the one that gives this answer.")] = False
    uptime: Uptime
    heard_ms: HeardMs
    speaks: Annotated[int, says("For how many shards it speaks.")]
    reads: Annotated[int, says("How many shards it reads: those, and those for which it stands by.")]
    behind: Annotated[
        int, says("How many entries of logs those who speak for its other shards have read and it has not.")
    ]
    lag_ms: LagMs = None
    waiting: Annotated[int, says("Events and records of it that wait for the broker.")]
    broker: Annotated[
        Literal["up", "blocked", "away"],
        says(
            "`blocked`: the broker holds back what is published (a memory or disk alarm); `away`: it can't"
            " be reached, which a router knows of itself alone."
        ),
    ]
    memory: Memory


class Installation(Result, frozen=True, kw_only=True):
    """The figures of the whole installation, whichever router tells them. They are as of the last heartbeats
    of its gateways and routers.
    """

    version: Annotated[str, says("The version of the router that answers.")]
    at: Annotated[int, says("When, ms since the Unix epoch.")]
    connections: Connections
    users: Users
    rooms: Rooms
    members: Members
    in_rate: InRate
    out_rate: OutRate
    error_rate: ErrorRate
    gateways: Annotated[int, says("Gateways that live.")]
    gateway_lag_ms: LagMs = None
    router_lag_ms: LagMs = None
    waiting: Waiting
    shards: Annotated[int, says("How many shards there are.")]
    silent_shards: Annotated[
        list[int],
        says("Shards for which nobody speaks: what is sent to their rooms waits; at most 100 are told."),
    ]
    broker: Annotated[
        Literal["up", "blocked", "away"], says("The broker, as the routers see it: the worst of them.")
    ]
    routers: Annotated[list[RouterFigures], says("The routers that live, by name.")]


class Samples(Body, frozen=True, kw_only=True):
    """The whole installation's figures of the last ten minutes, one sample every two seconds."""

    after: Annotated[
        int,
        Meta(
            ge=0,
            le=(1 << 53) - 1,
            description="Only those taken after this time, ms since the Unix epoch; 0: all.",
        ),
    ] = 0


class Sample(Result, frozen=True, kw_only=True):
    """The figures of one moment."""

    at: Annotated[int, says("When, ms since the Unix epoch; every router takes its samples at even seconds.")]
    connections: Connections
    users: Users
    rooms: Rooms
    members: Members
    in_rate: InRate
    out_rate: OutRate
    error_rate: ErrorRate
    gateways: Annotated[int, says("Gateways that live.")]
    routers: Annotated[int, says("Routers that live.")]
    gateway_lag_ms: LagMs = None
    router_lag_ms: LagMs = None
    waiting: Waiting


class SampleList(Result, frozen=True, kw_only=True):
    """Samples, the oldest first."""

    every_ms: Annotated[int, says("How many ms there are between two samples.")]
    samples: Annotated[list[Sample], says("Those that the router has, which are none of before its start.")]


class Gateways(Body, frozen=True, kw_only=True):
    """The gateways that live, each with its figures."""

    limit: Limit = 100
    cursor: Cursor = ""


class GatewayFigures(Result, frozen=True, kw_only=True):
    """One gateway, by what it says of itself and what routers know of it."""

    gateway: Annotated[str, says("The gateway's id.")]
    uptime: Uptime
    heard_ms: HeardMs
    connections: Connections
    in_rate: InRate
    out_rate: OutRate
    error_rate: ErrorRate
    lag_ms: LagMs = None
    waiting: Annotated[int, says("Entries of logs that wait to be sent to it.")]
    memory: Memory


class GatewaysPage(Result, frozen=True, kw_only=True):
    """Gateways in the order of their names."""

    gateways: Annotated[list[GatewayFigures], says("The gateways of this page.")]
    next: Next = ""


class ShardList(Body, frozen=True, kw_only=True):
    """The shards, and who speaks for each."""

    limit: Limit = 100
    cursor: Cursor = ""


class ShardFigures(Result, frozen=True, kw_only=True):
    """One shard."""

    shard: Annotated[int, says("Its number.")]
    speakers: Annotated[
        list[str],
        says("The routers that speak for it. None: what is sent to its rooms waits. Two: it changes hands."),
    ]
    standbys: Annotated[list[str], says("The routers that read it to take over at once.")]
    offset: Annotated[
        int | None, says("The entry of its log that was read last; missing: none is known.")
    ] = None
    behind: Annotated[int, says("How many entries fewer the one of those that has read least has read.")]
    rooms: Rooms
    members: Members
    users: Annotated[int, says("Users who are connected and whose own rooms belong to this shard.")]


class ShardsPage(Result, frozen=True, kw_only=True):
    """Shards by number."""

    shards: Annotated[list[ShardFigures], says("The shards of this page.")]
    next: Next = ""


class KeyScope(Result, frozen=True, kw_only=True):
    """What one verb may be used on."""

    verb: Annotated[str, says("The verb; `*`: every one.")]
    pattern: Annotated[str, says("The pattern of the rooms; `*`: all.")]


class KeyRights(Result, frozen=True, kw_only=True):
    """Whose key of the HTTP API this is, and what it may do."""

    name: Annotated[str, says("The key's name in the keys file; the key itself is never told.")]
    scopes: Annotated[list[KeyScope], says("What it may do.")]
    expires: Annotated[int | None, says("When it ends, ms since the Unix epoch; missing: never.")] = None


VERBS: Final = (
    Verb("overview", Overview, Installation, addressed=False),
    Verb("samples", Samples, SampleList, addressed=False),
    Verb("gateways", Gateways, GatewaysPage, addressed=False),
    Verb("shards", ShardList, ShardsPage, addressed=False),
)
OVERVIEW: Final = "overview"  # the scope that all of these need
Asked = Overview | Samples | Gateways | ShardList
Told = Installation | SampleList | GatewaysPage | ShardsPage
