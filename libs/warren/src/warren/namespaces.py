"""Namespaces: the first pattern that matches a room's name gives the room its policy.

A namespace file is YAML: a list of mappings, each with the keys of ``RoomPolicy``, and perhaps a list of
services (``warren/services.py``) and of hooks for the whole installation. A key is one field here, with its
rule and meaning: the reading, the JSON schema (``schema``) and the page about it follow from that.

This module does no I/O (the text is handed in) and knows no room that exists.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml

from warren.document_schema import (
    Choice,
    Flag,
    ListOf,
    MappingOf,
    Number,
    Schema,
    Text,
    check_keys,
    check_once,
    key,
    kind_of,
)
from warren.errors import SettingsError
from warren.message_rules import TYPE, TYPE_RULE
from warren.message_schemas import NO_SCHEMAS, MessageSchemas, ReadFile, SchemasByType, with_files
from warren.patterns import matches
from warren.pusher.channels import PREFIX as PUSHER
from warren.pusher.channels import is_cache, is_presence
from warren.services import MAX_SERVICES, ServicePolicy, Services

Join = Literal["anyone", "token"]
Publish = Literal["anyone", "members", "token"]
WhenExceeded = Literal["close", "reject"]
Slow = Literal["disconnect", "drop_oldest", "latest_only"]
PresenceMode = Literal["off", "count", "connections", "users"]
Watch = Literal["anyone", "members", "token"]
Hook = Literal["join", "publish"]
Receipts = Literal["off", "written", "seen"]
ConnectHook = Literal["connect"]

MAX_NAMESPACES = 256
MAX_PATTERN_LENGTH = 128
CACHED_ROOMS = 8_192
MAX_HISTORY_COUNT = 10_000
MAX_HISTORY_AGE_S = 7 * 86_400
MAX_RATE_COUNT = 1_000_000
MAX_RATE_PER_MS = 86_400_000
MAX_PRESENCE = 100_000

NAME = re.compile(r"[a-z0-9][a-z0-9_\-]{0,63}")
PATTERN = re.compile(rf"[A-Za-z0-9._\-:/@*|+=%!$&'?^`{{}}]{{1,{MAX_PATTERN_LENGTH}}}")
CLAIM = re.compile(r"[!-~]{0,128}")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``count`` messages in ``per_ms`` for each connection; beyond it the connection is closed or the message
    is rejected.
    """

    count: int = key(
        5,
        Number(1, MAX_RATE_COUNT),
        "How many messages a connection may send at once, and in each `per_ms`.",
        example=20,
    )
    per_ms: int = key(
        1_000, Number(1, MAX_RATE_PER_MS), "The time for `count` messages, in ms.", example=1_000
    )
    policy: WhenExceeded = key(
        "close",
        Choice(WhenExceeded),
        "What happens beyond it: `close` ends the connection (4002), `reject` answers the message with "
        "ERROR `rate_limited`.",
        example="reject",
    )


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """The last ``count`` messages of at most ``age_s`` seconds are kept for those who come back. Where either
    is 0 the history is off: messages are numbered, but not logged and not kept, and the room begins a new
    epoch with each owner of its shard.
    """

    count: int = key(
        100, Number(0, MAX_HISTORY_COUNT), "How many messages are kept at most; 0: none.", example=100
    )
    age_s: int = key(
        300, Number(0, MAX_HISTORY_AGE_S), "For how many seconds a message is kept; 0: none is.", example=300
    )

    @property
    def kept(self) -> bool:
        """Say whether there is a history."""
        return self.count > 0 and self.age_s > 0


NO_HISTORY = HistoryPolicy(0, 0)


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """What is told of who is in the room. ``mode``: nothing (``off``), how many (``count``), or who, as
    ``connections`` or as ``users``.
    """

    mode: PresenceMode = key(
        "off",
        Choice(PresenceMode),
        "What is told: nothing (`off`), how many there are (`count`), or who is there, by connection "
        "(`connections`) or by user (`users`).",
        example="users",
        required=True,
    )
    max: int = key(
        5_000,
        Number(1, MAX_PRESENCE),
        "Above so many, a room tells how many there are, and says so.",
        example=5_000,
    )
    watch: Watch = key(
        "members",
        Choice(Watch),
        "Who may be told: `anyone` who is connected, the `members` of the room, or only who has a `token` "
        "that allows watching this room.",
        example="members",
    )
    info_claim: str = key(
        "",
        Text(CLAIM, "the name of a claim"),
        "The claim of a member's token that the others are shown as its `info`. Empty: what its JOIN says of "
        "itself, which nobody has checked; where that says nothing, the claim `warren.info`.",
        example="profile",
    )


NO_PRESENCE = PresencePolicy()


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """How the rooms of one namespace behave."""

    name: str = key(
        "default",
        Text(NAME, "1 to 64 of a-z 0-9 _ -"),
        "What the namespace is called in logs and problems.",
        example="chat",
        required=True,
    )
    pattern: str = key(
        "*",
        Text(PATTERN, f"1 to {MAX_PATTERN_LENGTH} characters of a room name or *"),
        "The rooms that it is for; `*` stands for any run of characters, also none.",
        example="chat:*",
        required=True,
    )
    include_sender: bool = key(
        False,
        Flag(),
        "Whether a message also goes to the connection that sent it. A message can ask for that itself, "
        "where this is false.",
        example=True,
    )
    join: Join = key(
        "anyone",
        Choice(Join),
        "Who may join: `anyone` who is connected, or only who has a `token` whose claim of rooms to join "
        "allows this room.",
        example="token",
    )
    publish: Publish = key(
        "anyone",
        Choice(Publish),
        "Who may publish: `anyone` who is connected, the `members` of the room, or only who has a `token` "
        "whose claim of rooms to publish to allows this room.",
        example="members",
    )
    ephemeral_types: tuple[str, ...] = key(
        ("TYPING",),
        ListOf(Text(TYPE, TYPE_RULE), "a list of message types"),
        "Types of messages that are never numbered and never kept, and are the first to be dropped for a "
        "slow reader.",
        example=["TYPING", "cursor.moved"],
    )
    rate: RateLimit | None = key(
        None,
        MappingOf(RateLimit, null=True),
        "How fast one connection may send to these rooms. Left out: the limit for all its messages "
        "(`WARREN_GATEWAY_RATE`) counts.",
        example={"count": 20, "per_ms": 1_000, "policy": "reject"},
    )
    slow: Slow = key(
        "disconnect",
        Choice(Slow),
        "What happens to a member that reads too slowly: `disconnect` (it comes back and gets what it "
        "missed), `drop_oldest`, or `latest_only` (of what waits, the latest message of each `key`).",
        example="latest_only",
    )
    history: HistoryPolicy = key(
        HistoryPolicy(),
        MappingOf(HistoryPolicy, off=NO_HISTORY),
        "What is kept for those who come back and for HISTORY.",
        example={"count": 500, "age_s": 3_600},
    )
    presence: PresencePolicy = key(
        NO_PRESENCE,
        MappingOf(PresencePolicy, short="mode"),
        "What is told of who is in the room. The namespace of the pattern `@*` governs contacts: who may "
        "watch whether a user is connected.",
        example={"mode": "users", "max": 1_000},
    )
    receipts: Receipts = key(
        "off",
        Choice(Receipts),
        "What becomes of messages here that clients may know: nothing (`off`), that one is `written` to all "
        "sockets that it is for, or also who has `seen` it: then clients may say that they have seen "
        "messages, and who watches the presence of the room is told.",
        example="seen",
    )
    hooks: tuple[Hook, ...] = key(
        (),
        ListOf(Choice(Hook), "a list of `join`, `publish`"),
        "What a backend is asked before a client may do it: `join` the room, or `publish` to it. While no "
        "backend answers, nobody may.",
        example=["join", "publish"],
    )
    schemas: MessageSchemas = key(
        NO_SCHEMAS,
        SchemasByType(),
        "JSON schemas for payloads, by message type: each stands here, or is the path of a file (`/…`) with "
        "it. They are part of the documents that Warren serves.",
        example={"deal.done": {"type": "object", "required": ["price"]}},
    )
    check: bool = key(
        False,
        Flag(),
        "Whether the payloads of clients' messages are checked against `schemas`. What does not fit is "
        "refused with ERROR `invalid_payload`; types without a schema are not checked.",
        example=True,
    )

    def problem(self, type_: str, payload: bytes, binary: bool) -> str | None:
        """Return what is wrong with the payload of a client's message of this type; None: nothing, or it is
        not checked.
        """
        return self.schemas.problem(type_, payload, binary) if self.check else None


DEFAULT_POLICY = RoomPolicy()
# Rooms that are channels of the Pusher protocol: who may be there is what their app has signed, so it takes a
# token that names them to come in by another way.
PUSHER_POLICY = RoomPolicy("pusher", PUSHER + "*", join="token", publish="token")
PUSHER_PRESENCE = replace(PUSHER_POLICY, presence=PresencePolicy("users", watch="token"))
PUSHER_HISTORY = HistoryPolicy(age_s=1_800)  # of a channel that gives its last event to who comes


class Namespaces:
    """An ordered list of policies, and the services that clients may ask for."""

    def __init__(
        self,
        policies: Iterable[RoomPolicy] = (),
        services: Iterable[ServicePolicy] = (),
        *,
        connect_hook: bool = False,
    ) -> None:
        """The first whose pattern matches wins; a room that none matches has ``DEFAULT_POLICY``.
        ``connect_hook``: a backend is asked before a client may connect.
        """
        self.policies = tuple(policies)
        self.services = Services(services)
        self.connect_hook = connect_hook
        # The cache only saves time; it is bounded because clients choose the names of rooms.
        self.policy = functools.lru_cache(maxsize=CACHED_ROOMS)(self._find)

    def __eq__(self, other: object) -> bool:
        """Equal where the policies are."""
        return isinstance(other, Namespaces) and self._all == other._all

    def __hash__(self) -> int:
        """Hash of the policies."""
        return hash(self._all)

    @property
    def _all(self) -> tuple[tuple[RoomPolicy, ...], tuple[ServicePolicy, ...], bool]:
        return self.policies, self.services.policies, self.connect_hook

    def __repr__(self) -> str:
        """Name the namespaces in their order."""
        return f"Namespaces({', '.join(f'{policy.name}={policy.pattern}' for policy in self.policies)})"

    def _find(self, room: str) -> RoomPolicy:
        """Return the policy of ``room``; reached as ``policy(room)``, through the cache."""
        pusher = room.startswith(PUSHER)  # no pattern that means other rooms opens these
        for policy in self.policies:
            if matches(policy.pattern, room) and (not pusher or policy.pattern.startswith(PUSHER)):
                return policy
        return _of_channel(room) if pusher else DEFAULT_POLICY

    @property
    def info_claims(self) -> tuple[str, ...]:
        """The claims of tokens that are shown of members, each once."""
        claims = (policy.presence.info_claim for policy in self.policies)
        return tuple(dict.fromkeys(claim for claim in claims if claim))

    @classmethod
    def parse(
        cls, source: str | Mapping[str, Any] | Sequence[Any] | None, read_file: ReadFile | None = None
    ) -> Namespaces:
        """Read YAML text, or what such text parses to: a list of namespaces, alone or under the key
        ``namespaces``, then with lists of ``services`` and ``hooks`` beside it. ``read_file`` reads
        the files that ``schemas`` names; None: there are none.

        Raises SettingsError with every problem, each with its path (``namespaces[1].rate.count: …``).
        """
        document: Any = source
        if isinstance(source, str):
            try:
                document = yaml.safe_load(source)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                raise SettingsError([f"namespaces: not YAML: {' '.join(str(error).split())}"]) from None
        problems: list[str] = []
        policies, services = _policies(document, problems, read_file)
        hooks = _hooks(document, problems)
        if problems:
            raise SettingsError(problems)
        return cls(policies, services, connect_hook="connect" in hooks)


def _of_channel(room: str) -> RoomPolicy:
    channel = room[len(PUSHER) :].partition(":")[2]  # how it begins is told by any room
    policy = PUSHER_PRESENCE if is_presence(channel) else PUSHER_POLICY
    return replace(policy, history=PUSHER_HISTORY) if is_cache(channel) else policy


def schema() -> Schema:
    """Return the JSON schema (draft 7) of the list of namespaces. What it can't say, that no name and no
    pattern comes twice, ``Namespaces.parse`` says.
    """
    return {"type": "array", "maxItems": MAX_NAMESPACES, "items": _POLICY.schema()}


def services_schema() -> Schema:
    """Return the JSON schema (draft 7) of the list of services, likewise."""
    return {"type": "array", "maxItems": MAX_SERVICES, "items": _SERVICE.schema()}


def file_schema() -> Schema:
    """Return the JSON schema (draft 7) of a whole file with all its lists."""
    lists = {"namespaces": schema(), "services": services_schema(), "hooks": _HOOKS.schema()}
    return {"type": "object", "additionalProperties": False, "properties": lists}


_POLICY = MappingOf(RoomPolicy)
_SERVICE = MappingOf(ServicePolicy)
_HOOKS = ListOf(Choice(ConnectHook), "a list of `connect`")


def _policies(
    document: Any, problems: list[str], read_file: ReadFile | None
) -> tuple[list[RoomPolicy], list[ServicePolicy]]:
    services: Sequence[Any] = ()
    if isinstance(document, Mapping):
        check_keys("", document, ("namespaces", "services", "hooks"), problems)
        services = _list("services", document.get("services"), MAX_SERVICES, problems)
        document = document.get("namespaces")
    entries = _list("namespaces", document, MAX_NAMESPACES, problems)
    policies = [_policy(f"namespaces[{at}]", entry, problems, read_file) for at, entry in enumerate(entries)]
    # of two with one name or pattern, one can only be a mistake
    check_once("namespaces", entries, ("name", "pattern"), problems)
    served = [_SERVICE.read(f"services[{at}]", entry, problems) for at, entry in enumerate(services)]
    check_once("services", services, ("pattern",), problems)
    return policies, served


def _hooks(document: Any, problems: list[str]) -> tuple[str, ...]:
    found = document.get("hooks") if isinstance(document, Mapping) else None
    return () if found is None else tuple(_HOOKS.read("hooks", found, problems))


def _policy(path: str, entry: Any, problems: list[str], read_file: ReadFile | None) -> RoomPolicy:
    if isinstance(entry, Mapping) and "schemas" in entry:
        entry = {**entry, "schemas": with_files(f"{path}.schemas", entry["schemas"], read_file, problems)}
    policy: RoomPolicy = _POLICY.read(path, entry, problems)
    # what was read with mistakes is thrown away
    if isinstance(policy, RoomPolicy) and policy.check is True and isinstance(policy.schemas, MessageSchemas):
        policy.schemas.prepare(f"{path}.schemas", problems)
    return policy


def _list(path: str, entries: Any, most: int, problems: list[str]) -> Sequence[Any]:
    if entries is None:
        return []
    if not isinstance(entries, list | tuple):
        problems.append(f"{path}: must be a list, not {kind_of(entries)}")
        return []
    if len(entries) > most:
        problems.append(f"{path}: at most {most}, not {len(entries)}")
        return []
    return entries
