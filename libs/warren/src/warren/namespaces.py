"""Namespaces: the first pattern that matches a room's name gives the room its policy.

Only ``*`` is special in a pattern; it stands for any run of characters, also none. A namespace file is YAML:

    namespaces:
      - name: chat
        pattern: "chat:*"
        include_sender: true
        join: token            # anyone | token
        publish: members       # anyone | members | token
        ephemeral_types: [TYPING]
        rate: {count: 20, per_ms: 1000, policy: reject}    # close | reject
        slow: disconnect       # disconnect | drop_oldest | latest_only
        history: {count: 100, age_s: 300}                  # or: off
        presence: {mode: users, max: 5000, watch: members, info_claim: profile}    # or: off | count | …

This module does no I/O (the text is handed in) and knows no room that exists.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import yaml

from warren.errors import SettingsError
from warren.message_rules import is_type

Join = Literal["anyone", "token"]
Publish = Literal["anyone", "members", "token"]
WhenExceeded = Literal["close", "reject"]
Slow = Literal["disconnect", "drop_oldest", "latest_only"]
PresenceMode = Literal["off", "count", "connections", "users"]
Watch = Literal["anyone", "members", "token"]

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
CLAIM = re.compile(r"[!-~]{1,128}")


def matches(pattern: str, name: str) -> bool:
    """Say whether ``pattern`` matches the whole of ``name``. Takes linear time whatever the pattern (it may
    come in a token).
    """
    head, *rest = pattern.split("*")
    if not rest:
        return head == name
    tail = rest.pop()
    if len(name) < len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in rest:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``count`` messages in ``per_ms`` for each connection; beyond it the connection is closed or the message
    is rejected.
    """

    count: int = 5
    per_ms: int = 1_000
    policy: WhenExceeded = "close"


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """The last ``count`` messages of at most ``age_s`` seconds are kept for those who come back. Where either
    is 0 the history is off: messages are numbered, but not logged and not kept, and the room begins a new
    epoch with each owner of its shard.
    """

    count: int = 100
    age_s: int = 300

    @property
    def kept(self) -> bool:
        """Say whether there is a history."""
        return self.count > 0 and self.age_s > 0


NO_HISTORY = HistoryPolicy(0, 0)


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """What members are told of who is in the room.

    ``mode``: nothing (``off``), how many they are (``count``), or who they are as ``connections`` or as
    ``users``. A room of more than ``max`` of these tells numbers only. ``watch``: who may be told: ``anyone``
    who is known, the ``members``, or only who has a ``token`` whose claim of rooms to watch has this one.
    ``info_claim``: the claim of a member's token that is shown of it to the others; "": what its JOIN says.
    The namespace of ``@*`` says who may watch whether a user is connected.
    """

    mode: PresenceMode = "off"
    max: int = 5_000
    watch: Watch = "members"
    info_claim: str = ""


NO_PRESENCE = PresencePolicy()


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """How the rooms of one namespace behave.

    ``join``: ``anyone`` who is known, or only with a ``token`` whose claim allows this room. ``publish``:
    likewise, or ``members`` of the room only. Messages of ``ephemeral_types`` are never numbered, never kept,
    and the first to be dropped. ``rate`` None: the connection's own limit counts. ``slow`` is what happens to
    a member that reads too slowly: ``disconnect`` (it comes back and is given what it missed),
    ``drop_oldest``, or ``latest_only``: of what waits, the latest of each key. ``history`` is what is kept
    for those who come back, ``presence`` what is told of who is there.
    """

    name: str = "default"
    pattern: str = "*"
    include_sender: bool = False
    join: Join = "anyone"
    publish: Publish = "anyone"
    ephemeral_types: tuple[str, ...] = ("TYPING",)
    rate: RateLimit | None = None
    slow: Slow = "disconnect"
    history: HistoryPolicy = HistoryPolicy()
    presence: PresencePolicy = NO_PRESENCE


DEFAULT_POLICY = RoomPolicy()


class Namespaces:
    """An ordered list of policies."""

    def __init__(self, policies: Iterable[RoomPolicy] = ()) -> None:
        """The first whose pattern matches wins; a room that none matches has ``DEFAULT_POLICY``."""
        self.policies = tuple(policies)
        # The cache only saves time; it is bounded because clients choose the names of rooms.
        self.policy = functools.lru_cache(maxsize=CACHED_ROOMS)(self._find)

    def __eq__(self, other: object) -> bool:
        """Equal where the policies are."""
        return isinstance(other, Namespaces) and self.policies == other.policies

    def __hash__(self) -> int:
        """Hash of the policies."""
        return hash(self.policies)

    def __repr__(self) -> str:
        """Name the namespaces in their order."""
        return f"Namespaces({', '.join(f'{policy.name}={policy.pattern}' for policy in self.policies)})"

    def _find(self, room: str) -> RoomPolicy:
        """Return the policy of ``room``; reached as ``policy(room)``, through the cache."""
        for policy in self.policies:
            if matches(policy.pattern, room):
                return policy
        return DEFAULT_POLICY

    @property
    def info_claims(self) -> tuple[str, ...]:
        """The claims of tokens that are shown of members, each once."""
        claims = (policy.presence.info_claim for policy in self.policies)
        return tuple(dict.fromkeys(claim for claim in claims if claim))

    @classmethod
    def parse(cls, source: str | Mapping[str, Any] | Sequence[Any] | None) -> Namespaces:
        """Read YAML text, or what such text parses to: a list of namespaces, alone or under the key
        ``namespaces``.

        Raises SettingsError with every problem, each with its path (``namespaces[1].rate.count: …``).
        """
        document: Any = source
        if isinstance(source, str):
            try:
                document = yaml.safe_load(source)
            except (yaml.YAMLError, ValueError, RecursionError) as error:
                raise SettingsError([f"namespaces: not YAML: {' '.join(str(error).split())}"]) from None
        reading = _Reading()
        policies = reading.document(document)
        if reading.problems:
            raise SettingsError(reading.problems)
        return cls(policies)


class _Reading:
    """One pass over a document that collects the problems instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def document(self, document: Any) -> list[RoomPolicy]:
        if isinstance(document, Mapping):
            self._keys("", document, ("namespaces",))
            document = document.get("namespaces")
        if document is None:
            return []
        if not isinstance(document, list | tuple):
            self.problems.append(f"namespaces: must be a list, not {_kind(document)}")
            return []
        if len(document) > MAX_NAMESPACES:
            self.problems.append(f"namespaces: at most {MAX_NAMESPACES}, not {len(document)}")
            return []
        policies = [self._policy(f"namespaces[{index}]", entry) for index, entry in enumerate(document)]
        self._unreachable(document)
        return policies

    def _policy(self, path: str, entry: Any) -> RoomPolicy:
        if not isinstance(entry, Mapping):
            self.problems.append(f"{path}: must be a mapping, not {_kind(entry)}")
            return DEFAULT_POLICY
        self._keys(path, entry, tuple(RoomPolicy.__dataclass_fields__))
        default = DEFAULT_POLICY
        return RoomPolicy(
            name=self._text(path, entry, "name", NAME, "1 to 64 of a-z 0-9 _ -"),
            pattern=self._text(
                path, entry, "pattern", PATTERN, f"1 to {MAX_PATTERN_LENGTH} characters of a room name or *"
            ),
            include_sender=self._flag(path, entry, "include_sender", default.include_sender),
            join=cast("Join", self._choice(path, entry, "join", get_args(Join), default.join)),
            publish=cast("Publish", self._choice(path, entry, "publish", get_args(Publish), default.publish)),
            ephemeral_types=self._types(path, entry, default.ephemeral_types),
            rate=self._rate(f"{path}.rate", entry.get("rate")),
            history=self._history(f"{path}.history", entry.get("history", default.history)),
            slow=cast("Slow", self._choice(path, entry, "slow", get_args(Slow), default.slow)),
            presence=self._presence(f"{path}.presence", entry.get("presence", default.presence)),
        )

    def _rate(self, path: str, entry: Any) -> RateLimit | None:
        if entry is None:
            return None
        if not isinstance(entry, Mapping):
            self.problems.append(f"{path}: must be a mapping with count, per_ms, policy, not {_kind(entry)}")
            return None
        self._keys(path, entry, tuple(RateLimit.__dataclass_fields__))
        default = RateLimit()
        return RateLimit(
            count=self._number(path, entry, "count", default.count, MAX_RATE_COUNT),
            per_ms=self._number(path, entry, "per_ms", default.per_ms, MAX_RATE_PER_MS),
            policy=cast(
                "WhenExceeded", self._choice(path, entry, "policy", get_args(WhenExceeded), default.policy)
            ),
        )

    def _history(self, path: str, entry: Any) -> HistoryPolicy:
        if isinstance(entry, HistoryPolicy):
            return entry
        if entry is False or entry == "off":  # a bare off is false in YAML
            return NO_HISTORY
        if not isinstance(entry, Mapping):
            self.problems.append(f"{path}: must be off, or a mapping with count, age_s, not {_kind(entry)}")
            return NO_HISTORY
        self._keys(path, entry, tuple(HistoryPolicy.__dataclass_fields__))
        default = HistoryPolicy()
        return HistoryPolicy(
            count=self._number(path, entry, "count", default.count, MAX_HISTORY_COUNT, least=0),
            age_s=self._number(path, entry, "age_s", default.age_s, MAX_HISTORY_AGE_S, least=0),
        )

    def _presence(self, path: str, entry: Any) -> PresencePolicy:
        if isinstance(entry, PresencePolicy):
            return entry
        if not isinstance(entry, Mapping):
            return PresencePolicy(mode=self._presence_mode(path, entry))
        self._keys(path, entry, tuple(PresencePolicy.__dataclass_fields__))
        default = NO_PRESENCE
        info_claim = default.info_claim
        if "info_claim" in entry:
            info_claim = self._text(path, entry, "info_claim", CLAIM, "the name of a claim")
        return PresencePolicy(
            mode=self._presence_mode(f"{path}.mode", entry.get("mode")),
            max=self._number(path, entry, "max", default.max, MAX_PRESENCE),
            watch=cast("Watch", self._choice(path, entry, "watch", get_args(Watch), default.watch)),
            info_claim=info_claim,
        )

    def _presence_mode(self, path: str, value: Any) -> PresenceMode:
        if value is False:  # a bare off in YAML
            return "off"
        if isinstance(value, str) and value in get_args(PresenceMode):
            return cast("PresenceMode", value)
        self.problems.append(f"{path}: must be one of {', '.join(get_args(PresenceMode))}, not {value!r}")
        return "off"

    def _keys(self, path: str, entry: Mapping[Any, Any], known: tuple[str, ...]) -> None:
        for key in entry:
            if key in known:
                continue
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self.problems.append(f"{path}.{key}: unknown; {hint}" if path else f"{key}: unknown; {hint}")

    def _text(self, path: str, entry: Mapping[str, Any], key: str, rule: re.Pattern[str], says: str) -> str:
        value = entry.get(key)
        if value is None:
            self.problems.append(f"{path}.{key}: is missing")
        elif not isinstance(value, str) or rule.fullmatch(value) is None:
            self.problems.append(f"{path}.{key}: must be {says}, not {value!r}")
        else:
            return value
        return ""

    def _flag(self, path: str, entry: Mapping[str, Any], key: str, default: bool) -> bool:
        value = entry.get(key, default)
        if isinstance(value, bool):
            return value
        self.problems.append(f"{path}.{key}: must be true or false, not {value!r}")
        return default

    def _choice(
        self, path: str, entry: Mapping[str, Any], key: str, choices: tuple[str, ...], default: str
    ) -> str:
        value = entry.get(key, default)
        if isinstance(value, str) and value in choices:
            return value
        self.problems.append(f"{path}.{key}: must be one of {', '.join(choices)}, not {value!r}")
        return default

    def _number(
        self, path: str, entry: Mapping[str, Any], key: str, default: int, most: int, *, least: int = 1
    ) -> int:
        value = entry.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.problems.append(f"{path}.{key}: must be a whole number from {least} to {most}, not {value!r}")
        return default

    def _types(self, path: str, entry: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
        value = entry.get("ephemeral_types", default)
        if isinstance(value, list | tuple) and all(isinstance(item, str) and is_type(item) for item in value):
            return tuple(value)
        self.problems.append(f"{path}.ephemeral_types: must be a list of message types, not {value!r}")
        return default

    def _unreachable(self, document: Sequence[Any]) -> None:
        """Report a second namespace of one name or pattern, which can only be a mistake."""
        for key in ("name", "pattern"):
            seen: dict[str, int] = {}
            for index, entry in enumerate(document):
                value = entry.get(key) if isinstance(entry, Mapping) else None
                if isinstance(value, str) and seen.setdefault(value, index) != index:
                    self.problems.append(
                        f"namespaces[{index}].{key}: {value!r} is namespaces[{seen[value]}]'s already"
                    )


def _kind(value: Any) -> str:
    return {"NoneType": "null", "dict": "a mapping", "list": "a list", "str": "text"}.get(
        type(value).__name__, type(value).__name__
    )
