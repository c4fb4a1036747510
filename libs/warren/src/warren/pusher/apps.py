"""Apps: who may use the Pusher protocol and API: their ids, keys and secrets, and what each may do, read from
YAML.

    apps:
      - id: shop
        key: 278d425bdf160c739803       # public: it is in the address that clients connect to
        secret: 7ad3773142a6692b25b8    # several in a list while it is replaced: the first signs, all verify
        client_events: true
        webhooks:
          - url: https://backend.example/pusher
            events: [channel_occupied, channel_vacated]

No problem that is told repeats a secret, and no app shows one where it is printed. It reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

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
    kind_of,
)
from warren.document_schema import key as said
from warren.errors import SettingsError
from warren.origins import is_entry
from warren.pusher import channels
from warren.pusher.signatures import holds, sign
from warren.urls import WrongURL, check_http

WebhookEvent = Literal[
    "channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss"
]
Users = Literal["own", "shared"]

MAX_APPS: Final = 1_024
MAX_SECRETS: Final = 4
MAX_WEBHOOKS: Final = 8
SECRET: Final = re.compile(r"[!-~]{16,256}")
_RULE: Final = "16 to 256 printable characters without blanks"
_KEY = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_PREFIX = re.compile(r"[A-Za-z0-9_\-=@,.;]{0,200}")
_EMPTY = re.compile(r"[^\x00-\x20]{1,2048}")


class _Hidden:
    """A rule whose value is never repeated."""

    says = f"{_RULE}, or a list of 1 to {MAX_SECRETS} such texts"

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take one secret, or a list of them."""
        found = (value,) if isinstance(value, str) else value
        if (
            not isinstance(found, list | tuple)
            or not 0 < len(found) <= MAX_SECRETS
            or not all(isinstance(each, str) and SECRET.fullmatch(each) for each in found)
        ):
            problems.append(f"{path}: must be {self.says}")
            return ()
        return tuple(found)

    def schema(self) -> Schema:
        """Return what takes one or a list."""
        one = {"type": "string", "pattern": f"^{SECRET.pattern}$"}
        return {"anyOf": [one, {"type": "array", "minItems": 1, "maxItems": MAX_SECRETS, "items": one}]}

    def written(self, value: Any) -> Any:
        """Return nothing of it."""
        return "…" if value else ""


class _Id(Text):
    """An id, which Pusher's are numbers: YAML need not have them in quotes."""

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take a text, or a whole number as one."""
        number = isinstance(value, int) and not isinstance(value, bool)
        return super().read(path, str(value) if number else value, problems)

    def schema(self) -> Schema:
        """Return ``string`` with the pattern, or ``integer``."""
        return {"anyOf": [super().schema(), {"type": "integer", "minimum": 0}]}


class _Origin(Text):
    """An origin as the gateway's settings have them."""

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take what can stand among allowed origins."""
        if not isinstance(value, str) or not is_entry(value):
            problems.append(f"{path}: must be {self.says}, not {value!r}")
        return value


class _Url(Text):
    """An address; a wrong one is not repeated, since it may hold a password."""

    def read(self, path: str, value: Any, problems: list[str]) -> Any:
        """Take an http(s) URL."""
        try:
            check_http(value if isinstance(value, str) else "")
        except WrongURL as wrong:
            problems.append(f"{path}: must be {self.says}: {wrong}")
        return value


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that is told what happens in an app's channels."""

    url: str = said(
        "",
        _Url(_EMPTY, "an http(s) URL"),
        "Where it goes, by POST.",
        example="https://backend.example/pusher",
        required=True,
    )
    events: tuple[WebhookEvent, ...] = said(
        ("channel_occupied", "channel_vacated", "member_added", "member_removed"),
        ListOf(Choice(WebhookEvent), "a list of webhook events"),
        "What is told.",
        example=["channel_occupied", "channel_vacated"],
    )
    prefix: str = said(
        "",
        Text(_PREFIX, "the beginning of a channel's name"),
        "Only of channels whose names begin so; of all where it is empty.",
        example="presence-",
    )


@dataclass(frozen=True, slots=True)
class App:
    """One app."""

    id: str = said(
        "",
        _Id(channels.APP_ID, "1 to 24 letters, digits and _ -"),
        "Its id, in the addresses of the API and in the names of its rooms.",
        example="shop",
        required=True,
    )
    key: str = said(
        "",
        Text(_KEY, "1 to 64 letters, digits and _ -"),
        "What clients connect with; public.",
        example="278d425bdf160c739803",
        required=True,
    )
    secret: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata=said(
            (),
            _Hidden(),
            "What signs: known to backends alone. A list while it is replaced: the first one "
            "signs, all verify.",
            example="7ad3773142a6692b25b8",
            required=True,
        ).metadata,
    )
    enabled: bool = said(True, Flag(), "Whether clients and backends are let in.", example=False)
    client_events: bool = said(
        False, Flag(), "Whether clients may publish events to private and presence channels.", example=True
    )
    users: Users = said(
        "own",
        Choice(Users),
        "Whose the ids of users are: the app's `own`, or `shared` with all other users of "
        "Warren, so that the user 7 of a channel is the user 7 of a token. Then whoever knows the "
        "app's secret can speak and listen as any of these users, as whoever knows the key of tokens can.",
        example="shared",
    )
    origins: tuple[str, ...] = said(
        (),
        ListOf(_Origin(_EMPTY, "an origin such as https://app.example, or *"), "a list of origins"),
        "Origins whose pages may connect; empty: those of the gateway.",
        example=["https://shop.example"],
    )
    connections: int = said(
        0,
        Number(0, 10_000_000),
        "How many connections it may have on each gateway; 0: any number.",
        example=10_000,
    )
    channels: int = said(
        100, Number(1, 10_000), "How many channels a connection may subscribe to.", example=200
    )
    members: int = said(1_000, Number(1, 5_000), "How many members a presence channel may have.", example=100)
    rate: int = said(
        10, Number(1, 1_000), "How many client events a connection may publish in a second.", example=20
    )
    webhooks: tuple[Webhook, ...] = said(
        (),
        ListOf(MappingOf(Webhook), f"a list of at most {MAX_WEBHOOKS} webhooks", MAX_WEBHOOKS),
        "Who is told what happens in its channels.",
        example=[{"url": "https://backend.example/pusher"}],
    )

    def signs(self, text: str | bytes) -> str:
        """Return the signature of a text under the secret that counts."""
        return sign(self.secret[0], text)

    def has_signed(self, text: str, signature: str) -> bool:
        """Say whether a signature is this app's."""
        return holds(self.secret, text, signature)

    def has_granted(self, text: str, auth: str) -> bool:
        """Say whether ``auth``, which is ``<key>:<signature>``, allows what ``text`` says."""
        name, _, signature = auth.partition(":")
        return name == self.key and self.has_signed(text, signature)

    def room(self, channel: str) -> str:
        """Return the room of one of its channels."""
        return channels.room_of(self.id, channel)

    def user(self, ident: str) -> str | None:
        """Return the user that an id of it stands for; None where it can't be one."""
        return channels.user_of(self.id, ident, shared=self.users == "shared")


class Apps:
    """All apps of an installation."""

    def __init__(self, apps: Iterable[App] = ()) -> None:
        """Their ids differ, and so do their keys."""
        self.by_id: Mapping[str, App] = {app.id: app for app in apps}
        self.by_key: Mapping[str, App] = {app.key: app for app in self.by_id.values()}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.by_id)

    @classmethod
    def parse(cls, text: str) -> Apps:
        """Read YAML text. Raises SettingsError with every problem and its path, and without a secret."""
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f" (line {mark.line + 1})" if mark is not None else ""
            raise SettingsError([f"apps: not YAML{where}"]) from None
        problems: list[str] = []
        apps = _apps(document, problems)
        if problems:
            raise SettingsError(problems)
        return cls(apps)


def file_schema() -> Schema:
    """Return the JSON schema (draft 7) of a whole file."""
    apps = {"type": "array", "maxItems": MAX_APPS, "items": _APP.schema()}
    return {"type": "object", "additionalProperties": False, "properties": {"apps": apps}}


_APP = MappingOf(App)


def _apps(document: Any, problems: list[str]) -> list[App]:
    if not isinstance(document, Mapping):
        problems.append(f"apps: must be a mapping with the list apps, not {kind_of(document)}")
        return []
    check_keys("", document, ("apps",), problems)
    entries = document.get("apps")
    if entries is None:
        return []
    if not isinstance(entries, list) or len(entries) > MAX_APPS:
        problems.append(f"apps: must be a list of at most {MAX_APPS}")
        return []
    check_once("apps", entries, ("id", "key"), problems)
    return [_APP.read(f"apps[{at}]", entry, problems) for at, entry in enumerate(entries)]
