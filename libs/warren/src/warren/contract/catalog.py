"""Catalog: all messages of the contract, in the groups and the order in which documents show them.

A struct that stands in no group is in no document, but for those that others are made of. Nothing here
decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from warren.contract.client_frames import CLIENT_FRAMES
from warren.contract.events import EVENTS, EventHeaders
from warren.contract.hooks import HookAnswer, HookQuestion
from warren.contract.installation import KeyRights
from warren.contract.notifications import DeadLetterHeaders, NotificationEntry, NotificationHeaders
from warren.contract.problem import Problem
from warren.contract.queries import VERBS
from warren.contract.receipts import ReceiptPayload
from warren.contract.rpc import CancelHeaders, RequestHeaders, ResponseHeaders
from warren.contract.server_frames import SERVER_FRAMES

Struct = type[msgspec.Struct]


class Group(msgspec.Struct, frozen=True):
    """Messages that belong together."""

    name: str
    structs: tuple[Struct, ...]


def _commands() -> Iterator[Struct]:
    for verb in VERBS:
        yield verb.body
        yield verb.result
    yield Problem
    yield KeyRights


GROUPS: Final = (
    Group("client frames", CLIENT_FRAMES),
    Group("server frames", SERVER_FRAMES),
    Group("notifications", (NotificationHeaders, NotificationEntry, DeadLetterHeaders, ReceiptPayload)),
    Group("events", (*EVENTS, EventHeaders)),
    Group("commands", tuple(dict.fromkeys(_commands()))),
    Group("rpc", (RequestHeaders, ResponseHeaders, CancelHeaders)),
    Group("hooks", (HookQuestion, HookAnswer)),
)

# What Warren reads: null counts as left out there. What it writes has no null but where a field says so.
RECEIVED: Final[frozenset[Struct]] = frozenset(
    {
        *CLIENT_FRAMES,
        NotificationHeaders,
        NotificationEntry,
        *(verb.body for verb in VERBS),
        ResponseHeaders,
        HookAnswer,
    }
)


def structs() -> tuple[Struct, ...]:
    """Return every struct that stands in a group, once."""
    return tuple(dict.fromkeys(struct for group in GROUPS for struct in group.structs))
