"""Verbs: what backends and operators can command: one vocabulary, over AMQP and HTTP alike: each verb with
its body, its result, and the scope that it takes.

It says what there is, and decides nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from warren.contract import commands as bodies
from warren.contract import installation, queries


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb."""

    name: str
    body: type[bodies.Body]
    result: type[bodies.Result]
    summary: str
    reads: bool = False  # it changes nothing, and may be asked for by GET
    scope: str = ""  # what it needs, where that is not its own name
    statuses: tuple[int, ...] = ()  # of problems that not every verb can come to

    @property
    def needs(self) -> str:
        """The scope's verb."""
        return self.scope or self.name


PUBLISH: Final = Verb("publish", bodies.Publish, bodies.Published, "Send a message to one address")
BATCH: Final = Verb("batch", bodies.Batch, bodies.Outcomes, "Send many messages", scope="publish")
BROADCAST: Final = Verb(
    "broadcast", bodies.Broadcast, bodies.Outcomes, "Send one message to many addresses, or to everyone"
)

_CHANGES: Final = (501,)  # where some router of the installation does not know commands yet
DISCONNECT: Final = Verb(
    "disconnect", bodies.Disconnect, bodies.Done, "Close a user's connections", statuses=_CHANGES
)
REMOVE: Final = Verb(
    "remove", bodies.Remove, bodies.Done, "Take a user or a connection out of a room", statuses=_CHANGES
)
ADD: Final = Verb("add", bodies.Add, bodies.Done, "Have a user or a connection join rooms", statuses=_CHANGES)
BLOCK: Final = Verb("block", bodies.Block, bodies.Done, "Keep a user out", statuses=_CHANGES)
UNBLOCK: Final = Verb("unblock", bodies.Unblock, bodies.Done, "Let a user in again", statuses=_CHANGES)
REVOKE: Final = Verb("revoke", bodies.Revoke, bodies.Done, "Revoke tokens", statuses=_CHANGES)
PRESENCE: Final = Verb("presence", queries.Presence, queries.PresencePage, "See who is in a room", reads=True)
COUNT: Final = Verb("count", queries.Count, queries.Counted, "Count who is in a room", reads=True)
HISTORY: Final = Verb("history", queries.History, queries.HistoryPage, "Read a room's messages", reads=True)
ROOMS: Final = Verb("rooms", queries.Rooms, queries.RoomsPage, "List rooms", reads=True)
BLOCKS: Final = Verb("blocks", queries.Blocks, queries.BlocksPage, "List who is blocked", reads=True)
STATUS: Final = Verb("status", queries.Status, queries.Statuses, "See which users are online", reads=True)
OVERVIEW: Final = Verb(
    "overview", installation.Overview, installation.Installation, "See how the installation is", reads=True
)
SAMPLES: Final = Verb(
    "samples",
    installation.Samples,
    installation.SampleList,
    "See the figures of the last minutes",
    reads=True,
    scope=installation.OVERVIEW,
)
GATEWAYS: Final = Verb(
    "gateways",
    installation.Gateways,
    installation.GatewaysPage,
    "List the gateways",
    reads=True,
    scope=installation.OVERVIEW,
)
SHARDS: Final = Verb(
    "shards",
    installation.ShardList,
    installation.ShardsPage,
    "List the shards, and who speaks for each",
    reads=True,
    scope=installation.OVERVIEW,
)
EXPLAIN: Final = Verb(
    "explain", queries.Explain, queries.Explained, "See what became of a message", reads=True, statuses=(404,)
)

VERBS: Final[Mapping[str, Verb]] = {
    verb.name: verb
    for verb in (
        PUBLISH, BATCH, BROADCAST,
        DISCONNECT, REMOVE, ADD, BLOCK, UNBLOCK, REVOKE,
        PRESENCE, COUNT, HISTORY, ROOMS, BLOCKS, STATUS, EXPLAIN,
        OVERVIEW, SAMPLES, GATEWAYS, SHARDS,
    )
}  # fmt: skip
# What scopes in the keys file may name.
SCOPE_VERBS: Final = frozenset(verb.needs for verb in VERBS.values()) | {"broadcast"}
