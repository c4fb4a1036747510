"""Pusher API: what backends ask by the Pusher HTTP API: whose request it is, whether its signature holds, and
what is to be done.

A request comes in as its parts and goes out as a call (``Trigger``, ``Listing``, ``Look``, ``Members``,
``Terminate``) or as a refusal, which is a status and a sentence, as the API's libraries expect it. What is
refused names what was wrong and never the secret or the right signature. Pure: the time is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

import msgspec

from warren.envelope import Publish, sparing
from warren.pusher import channels, messages, signatures
from warren.pusher.apps import App, Apps

# The library for Python leaves the app out of the path of users; the key says whose it is.
PATHS: Final = ("/apps/", "/users/")
CLOCK_S: Final = 600
DATA_BYTES: Final = 10 * 1_024
CHANNELS_MAX: Final = 100
BATCH_MAX: Final = 10
# A character of the data may take six bytes in JSON, and there are channels besides.
BODY_BYTES: Final = 8 * DATA_BYTES
BATCH_BODY_BYTES: Final = BATCH_MAX * BODY_BYTES
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_PARTS: Final = re.compile(r"/apps/([^/]*)/(.*)")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; ``path`` and ``query`` are as they stand in its first line."""

    method: str
    path: str
    query: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not done."""

    status: int
    says: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event for one channel, as a message; ``info`` is what its sender wants to know of the channel."""

    channel: str
    message: Publish
    info: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """Publish these. ``batch``: the answer is a list."""

    app: App
    events: tuple[Outgoing, ...]
    batch: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Which channels are occupied whose names begin so."""

    app: App
    prefix: str
    info: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a channel stands."""

    app: App
    channel: str
    info: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a presence channel."""

    app: App
    channel: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Close the connections of a user who has signed in."""

    app: App
    user: str


Call = Trigger | Listing | Look | Members | Terminate


class _Event(msgspec.Struct):
    name: str
    data: str
    channel: str | None = None
    channels: list[str] | None = None
    socket_id: str | None = None
    info: str | None = None


class _Batch(msgspec.Struct):
    batch: list[_Event] = field(default_factory=list)


_events: Final = msgspec.json.Decoder(_Event)
_batches: Final = msgspec.json.Decoder(_Batch)


def app_of(apps: Apps, request: Request) -> App | None:
    """Return whose request it is, as its path says, or the key where that does not."""
    if request.path.startswith("/users/"):
        return apps.by_key.get((_query(request) or {}).get("auth_key", ""))
    found = _PARTS.fullmatch(request.path)
    return None if found is None else apps.by_id.get(found[1])


def _query(request: Request) -> dict[str, str] | None:
    """Return a request's parameters; None where one stands there twice: only one of them can be signed."""
    pairs = [(name.lower(), value) for name, value in parse_qsl(request.query, keep_blank_values=True)]
    query = dict(pairs)
    return query if len(query) == len(pairs) else None


def max_body(path: str) -> int:
    """Return how many bytes a request's body may have."""
    return BATCH_BODY_BYTES if path.endswith("/batch_events") else BODY_BYTES


def refusal(app: App | None, request: Request, now_s: int) -> Refusal | None:
    """Return why a request is not let in; None where its signature holds."""
    query = _query(request)
    if query is None:
        return Refusal(401, "A parameter stands there twice, so it is not clear what was signed.")
    lacking = [
        name for name in ("auth_key", "auth_timestamp", "auth_version", "auth_signature") if name not in query
    ]
    if lacking:
        return Refusal(401, f"Not signed: {', '.join(lacking)} is missing.")
    if app is None or query["auth_key"] != app.key:
        return Refusal(401, "There is no app with this id and this key.")
    if query["auth_version"] != "1.0":
        return Refusal(401, "auth_version must be 1.0.")
    stamp = query["auth_timestamp"]
    if _NUMBER.fullmatch(stamp) is None or abs(int(stamp) - now_s) > CLOCK_S:
        return Refusal(
            401,
            f"auth_timestamp is not within {CLOCK_S} s of the time here, which is {now_s}: "
            "is the clock right? A request can't be sent again later.",
        )
    if request.body and query.get("body_md5") != signatures.body_md5(request.body):
        return Refusal(401, "body_md5 is not the MD5 of the body, in hex.")
    # Some libraries sign a path as it goes over the wire, others as it was before that.
    texts = {
        signatures.of_request(request.method, path, query) for path in (request.path, unquote(request.path))
    }
    if not any(app.has_signed(text, query["auth_signature"]) for text in texts):
        says = "auth_signature does not hold: it is the HMAC-SHA256, in hex and under the app's secret, of: "
        return Refusal(401, says + repr(signatures.of_request(request.method, request.path, query))[1:-1])
    return None if app.enabled else Refusal(403, "The app is disabled.")


def call_of(app: App, request: Request, now_us: int, name: str) -> Call | Refusal:
    """Return what a request that was let in asks for. ``name`` is one that no other request has."""
    found = _PARTS.fullmatch(request.path)
    inside = request.path[1:] if found is None else found[2]
    parts = [unquote(part) for part in inside.split("/")]
    query = _query(request) or {}
    wanted = tuple(part for part in query.get("info", "").split(",") if part)
    match request.method, parts:
        case "POST", ["events"]:
            return _trigger(app, request.body, now_us, name)
        case "POST", ["batch_events"]:
            return _batch(app, request.body, now_us, name)
        case "GET", ["channels"]:
            return _listing(app, query.get("filter_by_prefix", ""), wanted)
        case "GET", ["channels", channel]:
            return _look(app, channel, wanted)
        case "GET", ["channels", channel, "users"]:
            if not channels.is_channel(channel) or not channels.is_presence(channel):
                return Refusal(400, "Only presence channels have users.")
            return Members(app, channel)
        case "POST", ["users", ident, "terminate_connections"]:
            user = app.user(ident)
            return Refusal(400, "No user can have this id.") if user is None else Terminate(app, user)
        case _:
            return Refusal(404, "There is no such path, or it has another method.")


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────


def _trigger(app: App, body: bytes, now_us: int, name: str) -> Trigger | Refusal:
    try:
        event = _events.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(400, f"The body is no event: {error}.")
    targets = event.channels if event.channels is not None else [event.channel] if event.channel else []
    if not targets:
        return Refusal(400, "channels: is missing: which channels it goes to.")
    if len(targets) > CHANNELS_MAX:
        return Refusal(400, f"channels: at most {CHANNELS_MAX}.")
    if len(targets) > 1 and any(map(channels.is_encrypted, targets)):
        return Refusal(400, "channels: an event for an encrypted channel goes to that one alone.")
    outgoing = _outgoing(app, event, list(dict.fromkeys(targets)), now_us, name)
    return outgoing if isinstance(outgoing, Refusal) else Trigger(app, tuple(outgoing))


def _batch(app: App, body: bytes, now_us: int, name: str) -> Trigger | Refusal:
    try:
        events = _batches.decode(body).batch
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(400, f"The body is no batch of events: {error}.")
    if not 0 < len(events) <= BATCH_MAX:
        return Refusal(400, f"batch: 1 to {BATCH_MAX} events.")
    going: list[Outgoing] = []
    for index, event in enumerate(events):
        if event.channel is None:
            return Refusal(400, f"batch[{index}].channel: is missing.")
        outgoing = _outgoing(app, event, [event.channel], now_us, f"{name}.{index}")
        if isinstance(outgoing, Refusal):
            return Refusal(outgoing.status, f"batch[{index}].{outgoing.says}")
        going += outgoing
    return Trigger(app, tuple(going), batch=True)


def _outgoing(
    app: App, event: _Event, targets: Sequence[str], now_us: int, name: str
) -> list[Outgoing] | Refusal:
    """Return an event as one message for each channel."""
    if not messages.is_name(event.name):
        return Refusal(400, f"name: must be {messages.NAME_RULE}.")
    try:
        size = len(event.data.encode())
    except UnicodeEncodeError:
        return Refusal(400, "data: holds half of a surrogate pair, which is no text in UTF-8.")
    if size > DATA_BYTES:
        return Refusal(413, f"data: has {size} bytes; at most {DATA_BYTES} are allowed.")
    spared = None
    if event.socket_id:
        spared = channels.connection_of(event.socket_id)
        if spared is None:
            return Refusal(400, "socket_id: is none that a connection here was told.")
    wanted = tuple(part for part in (event.info or "").split(",") if part)
    going: list[Outgoing] = []
    for number, channel in enumerate(targets):
        room = _room(app, channel)
        if room is None:
            return Refusal(400, f"channels: a channel's name must be {channels.CHANNEL_RULE}.")
        place = channels.place_of(room)
        long = channel if place is not None and not place.channel else ""
        try:
            kind, payload = messages.message_of(event.name, event.data, long)
        except UnicodeEncodeError:
            return Refusal(400, "name: is no text in UTF-8.")
        ident = sparing(f"{name}.{number}", spared) if spared else ""
        wrong = _wrong_info(channel, wanted)
        if wrong is not None:
            return wrong
        going.append(Outgoing(channel, Publish(room, kind, payload, now_us, id=ident), wanted))
    return going


def _room(app: App, channel: str) -> str | None:
    if channel.startswith(channels.USER_CHANNEL):
        user = app.user(channel[len(channels.USER_CHANNEL) :])
        return None if user is None else f"@{user}"
    return app.room(channel) if channels.is_channel(channel) else None


# ── reads ───────────────────────────────────────────────────────────────────────────────────────────────────


def _listing(app: App, prefix: str, wanted: tuple[str, ...]) -> Listing | Refusal:
    if prefix and not channels.is_channel(prefix):
        return Refusal(400, f"filter_by_prefix: must be {channels.CHANNEL_RULE}.")
    unknown = [each for each in wanted if each not in ("user_count", "subscription_count")]
    if unknown:
        return Refusal(400, f"info: {unknown[0]} is not told of a list of channels.")
    if "user_count" in wanted and not prefix.startswith("presence-"):
        return Refusal(400, "info: user_count needs filter_by_prefix=presence-.")
    return Listing(app, prefix, wanted)


def _look(app: App, channel: str, wanted: tuple[str, ...]) -> Look | Refusal:
    if not channels.is_channel(channel):
        return Refusal(400, f"A channel's name must be {channels.CHANNEL_RULE}.")
    return _wrong_info(channel, wanted) or Look(app, channel, wanted)


def _wrong_info(channel: str, wanted: tuple[str, ...]) -> Refusal | None:
    for each in wanted:
        if each not in ("user_count", "subscription_count", "cache"):
            return Refusal(
                400, f"info: {each} is not known; there are user_count, subscription_count, cache."
            )
        if each == "user_count" and not channels.is_presence(channel):
            return Refusal(400, f"info: user_count is of presence channels, which {channel} is not.")
        if each == "cache" and not channels.is_cache(channel):
            return Refusal(400, f"info: cache is of cache channels, which {channel} is not.")
    return None


def attributes(
    wanted: Sequence[str], users: int | None, connections: int, cache: Mapping[str, object] | None
) -> dict[str, object]:
    """Return what is told of a channel."""
    told: dict[str, object] = {}
    if "user_count" in wanted:
        told["user_count"] = users if users is not None else connections
    if "subscription_count" in wanted:
        told["subscription_count"] = connections
    if "cache" in wanted and cache is not None:
        told["cache"] = cache
    return told
