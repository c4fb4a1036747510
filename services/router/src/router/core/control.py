"""Control: what backends can command, over AMQP and HTTP alike, with the verbs of ``verbs.py``.

It turns a command's text into a ``Command`` or into all that is wrong with it, says which scopes it needs,
and turns messages into what is written into a log. What a read answers is ``control_reads.py``'s. Pure.

A command, by example: the verb ``publish`` with the body

    {"address": "room.chat:a", "id": "7f1c-0", "type": "deal.done", "payload": {"price": 101}}

needs the scope ``publish`` on ``chat:a`` and is written as a Publish into the log of that room's shard.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from router.core import commands
from router.core.api_keys import Scope
from router.core.control_decoding import decoded, from_query, with_member
from router.core.control_problems import Problem, ProblemCode, invalid
from router.core.control_reads import (
    AnyRead,
    BlocksRead,
    ExplainRead,
    HistoryRead,
    MembersRead,
    RoomsRead,
    StatusRead,
)
from router.core.notification_list_parser import split_list
from router.core.notification_parser import Notification, address_of, parse
from router.core.verbs import BATCH, BROADCAST, PUBLISH, VERBS, Verb
from warren.address import EVERYONE, user_room
from warren.contract import commands as bodies
from warren.contract import installation, queries
from warren.contract.problem import Fault
from warren.envelope import Command as Entry
from warren.envelope import Publish
from warren.payloads import BINARY_TYPE, JSON_TYPE

# What a body of each kind may have in bytes.
BATCH_BYTES: Final = 1024 * 1024
BODY_BYTES: Final = 64 * 1024

_string = msgspec.json.Decoder(str)


class Command(msgspec.Struct, frozen=True):
    """One command of a backend: checked, and not allowed yet. ``id`` is what makes it count once (empty: it
    has none).
    """

    verb: Verb
    body: bodies.Body
    id: str = ""
    messages: tuple[Message | Problem, ...] = ()  # those of publish, batch and broadcast
    entry: Entry | None = None  # what is written into the log where it changes who is where
    read: AnyRead | None = None  # what the speaker of a shard is asked


class Message(msgspec.Struct, frozen=True):
    """A message that is to be written into a log. ``address`` as the backend has said it."""

    address: str
    made: Publish
    traceparent: str = ""

    @property
    def scope(self) -> tuple[str, str]:
        """The right that it takes: the verb and the room."""
        return ("broadcast" if self.made.room == EVERYONE else "publish", self.made.room)


class Given(msgspec.Struct, frozen=True):
    """What came with a command besides its body: ``id`` and ``traceparent`` (headers'), the time, and how
    large a message's payload may be. Where ``agrees``, an id in the body must be the same one; else that
    counts.
    """

    now_us: int
    max_bytes: int
    id: str = ""
    traceparent: str = ""
    agrees: bool = True

    def disagrees(self, ident: str | None) -> bool:
        """Say whether a body's id is one too many."""
        return bool(self.agrees and ident and self.id and ident != self.id)


def max_body(verb: Verb, max_payload: int) -> int:
    """Return how many bytes a verb's body may have; base64 takes 4/3 of a payload."""
    if verb is BATCH:
        return BATCH_BYTES
    if verb in (PUBLISH, BROADCAST):
        return max_payload * 4 // 3 + BODY_BYTES
    return BODY_BYTES


def parse_command(verb: Verb, text: bytes, given: Given) -> Command | Problem:
    """Return the command that a body is, or all that is wrong with it."""
    body = decoded(verb.body, text)
    return body if isinstance(body, Problem) else _command(verb, body, given)


def parse_keyed(key: str, text: bytes, given: Given) -> Command | Problem:
    """Return the command of a body that came under the routing key ``<verb>.<address>``. The address is that
    of the key, so that the broker's permissions count; one in the body must be the same.
    """
    name, _, address = key.partition(".")
    verb = VERBS.get(name)
    if verb is None:
        return invalid([Fault("", f"the routing key must begin with one of {', '.join(VERBS)}")])
    if len(text) > max_body(verb, given.max_bytes):
        most = max_body(verb, given.max_bytes)
        return Problem(ProblemCode.MESSAGE_TOO_LARGE, f"The body may have at most {most} bytes.")
    if "address" not in verb.body.__struct_fields__:
        return parse_command(verb, text, given)
    found = with_member(text, "address", address)
    return found if isinstance(found, Problem) else parse_command(verb, found, given)


def parse_query(verb: Verb, pairs: Iterable[tuple[str, str]], given: Given) -> Command | Problem:
    """Return the command that a GET's query asks for."""
    body = from_query(verb.body, pairs)
    return body if isinstance(body, Problem) else _command(verb, body, given)


def _command(verb: Verb, body: bodies.Body, given: Given) -> Command | Problem:
    match body:
        case bodies.Publish():
            message = _message(body, given)
            if isinstance(message, Problem):
                return message
            return Command(verb, body, message.made.id, (message,))
        case bodies.Batch():
            return _batch(verb, body, given)
        case bodies.Broadcast():
            return _broadcast(verb, body, given)
        case bodies.Disconnect() | bodies.Remove() | bodies.Add() | bodies.Block() | bodies.Unblock():
            return _change(verb, body, given)
        case bodies.Revoke():
            return _change(verb, body, given)
        case (
            installation.Overview()
            | installation.Samples()
            | installation.Gateways()
            | installation.ShardList()
        ):
            return Command(verb, body)
        case _:
            return _read(verb, body)


def refusal(command: Command, scopes: tuple[Scope, ...]) -> Problem | None:
    """Return why a command as a whole is not allowed; of several messages each is asked about by itself
    (``denied``).
    """
    verb, read = command.verb.needs, command.read
    if command.verb is PUBLISH and isinstance(command.messages[0], Message):
        return denied(command.messages[0], scopes)
    if command.entry is not None:
        # whom a backend may have join is told by the rooms, not by the user
        return _refused(verb, command.entry.rooms or [command.entry.room], scopes)
    if command.verb.needs == installation.OVERVIEW:
        return _refused(verb, [EVERYONE], scopes)
    match read:
        case MembersRead() | HistoryRead() | ExplainRead():
            return _refused(verb, [read.room], scopes)
        case StatusRead():
            return _refused(verb, map(user_room, read.users), scopes)
        case BlocksRead(room=room) if room:
            return _refused(verb, [room], scopes)
        case RoomsRead(prefix=prefix) | BlocksRead(prefix=prefix):
            covered = any(scope.covers_prefix(verb, prefix) for scope in scopes)
            return None if covered else forbidden(verb, f"{prefix}*")
        case _:
            return None


def _refused(verb: str, rooms: Iterable[str], scopes: tuple[Scope, ...]) -> Problem | None:
    return next((forbidden(verb, room) for room in rooms if not _covered(scopes, verb, room)), None)


def denied(message: Message, scopes: tuple[Scope, ...]) -> Problem | None:
    """Return why a message is not allowed; None where it is."""
    verb, room = message.scope
    return None if _covered(scopes, verb, room) else forbidden(verb, room)


def forbidden(verb: str, room: str) -> Problem:
    """Return the problem of a right that a key has not."""
    scope = verb if room == EVERYONE else f"{verb}:{room}"
    return Problem(ProblemCode.FORBIDDEN, f"The key has no scope that covers {scope}.")


def _covered(scopes: tuple[Scope, ...], verb: str, room: str) -> bool:
    return any(scope.covers(verb, room) for scope in scopes)


# ── who is where ────────────────────────────────────────────────────────────────────────────────────────────


def _change(verb: Verb, body: Changing, given: Given) -> Command | Problem:
    """Return the command that changes who is where, as it is to stand in the log."""
    if given.disagrees(body.id):
        return invalid([Fault("/id", "is not that of the header Idempotency-Key")])
    ident, room = body.id or given.id, _room(body.address)
    fault = _lacks(body)
    if fault is not None:
        return invalid([fault])
    entry = Entry(ident, verb.name, room, getattr(body, "user", None) or "")
    match body:
        case bodies.Disconnect():
            entry = _with(entry, spare=tuple(body.except_), code=body.code or 0, reason=body.reason)
        case bodies.Remove():
            conn = body.connection or ""
            entry = _with(entry, spare=tuple(body.except_), reason=body.reason, conn=conn)
        case bodies.Add():
            entry = _with(entry, spare=tuple(body.except_), rooms=tuple(body.rooms))
        case bodies.Block():
            entry = _with(entry, until_ms=body.until_ms, reason=body.reason)
        case bodies.Revoke():
            entry = _with(
                entry, token_id=body.token_id or "", before_s=body.before_s or 0, until_ms=body.until_ms
            )
        case _:
            pass
    # What the fold would refuse is told now; who gives no id is given one, which is none to judge.
    wrong = commands.problem(entry if ident else _with(entry, id="x"))
    if wrong:
        field, _, detail = wrong.partition(": ")
        return invalid([Fault(f"/{_FIELDS.get(field, field)}", f"must be {detail}")])
    return Command(verb, body, ident, entry=entry)


Changing = bodies.Disconnect | bodies.Remove | bodies.Add | bodies.Block | bodies.Unblock | bodies.Revoke
# What the log's names of fields are called in a body.
_FIELDS: Final = {"room": "address", "spare": "except", "conn": "connection"}


def _lacks(body: Changing) -> Fault | None:
    """Return what a body lacks or has too much that no field can tell by itself."""
    match body:
        case bodies.Block() | bodies.Unblock() if body.address.startswith("user.") and body.user:
            return Fault("/user", "is that of the address already")
        case bodies.Block() | bodies.Unblock() if body.address.startswith("room.") and not body.user:
            return Fault("/user", "is missing: who is meant in that room")
        case bodies.Remove() if not body.user and not body.connection:
            return Fault("/user", "is missing, and so is connection: who is taken out")
        case bodies.Remove() if body.user and body.connection:
            return Fault("/connection", "there is a user too: say one of them")
        case bodies.Remove() if body.connection and body.except_:
            return Fault("/except", "is of a user's connections, not of one")
        case bodies.Disconnect() | bodies.Add() if body.address.startswith("conn.") and body.except_:
            return Fault("/except", "is of a user's connections, not of one")
        case bodies.Revoke() if not body.token_id and not body.before_s:
            return Fault("", "token_id or before_s is needed")
        case _:
            return None


def _with(entry: Entry, **fields: Any) -> Entry:
    return msgspec.structs.replace(entry, **fields)


def _room(address: str) -> str:
    """Return the room of an address whose form was checked."""
    return address_of(address) or ""


def _read(verb: Verb, body: bodies.Body) -> Command | Problem:
    """Return a command that only asks."""
    read: AnyRead
    after = cursor_of(getattr(body, "cursor", ""))
    if after is None:
        return invalid([Fault("/cursor", "is none that was given out")])
    match body:
        case queries.Presence():
            read = MembersRead(_room(body.address), body.limit, after)
        case queries.Count():
            read = MembersRead(_room(body.address), 0, "")
        case queries.History():
            read = HistoryRead(_room(body.address), body.before, body.limit)
        case queries.Rooms():
            read = RoomsRead(body.prefix, body.limit, after)
        case queries.Blocks():
            if body.room and body.prefix:
                return invalid([Fault("/prefix", "there is a room too: say one of them")])
            read = BlocksRead(body.room or "", body.prefix, body.user or "", body.limit, after)
        case queries.Status():
            read = StatusRead(tuple(body.users))
        case queries.Explain():
            read = ExplainRead(_room(body.address), body.user or "", body.id)
        case _:
            raise TypeError(f"no command has such a body: {type(body).__name__}")
    if not _is_whole(read):
        return invalid([Fault("/address", "names nothing that there can be")])
    return Command(verb, body, read=read)


def told(command: Command, result: bodies.Result | None) -> bodies.Result | Problem:
    """Return the answer to a read as its backend gets it: under its own address, and with a cursor in the
    place of a name.
    """
    match result:
        case None:
            return Problem(ProblemCode.NOT_FOUND, "No message of this id is known there (any more).")
        case queries.PresencePage() | queries.RoomsPage() | queries.BlocksPage():
            return msgspec.structs.replace(result, next=cursor(result.next))
        case queries.Explained():
            return msgspec.structs.replace(result, address=getattr(command.body, "address", ""))
        case _:
            return result


def _is_whole(read: AnyRead) -> bool:
    return not isinstance(read, MembersRead | HistoryRead | ExplainRead) or bool(read.room)


def cursor(name: str) -> str:
    """Return the cursor of the page behind a name; empty: there is none."""
    return base64.urlsafe_b64encode(name.encode()).decode() if name else ""


def cursor_of(text: str) -> str | None:
    """Return the name that a cursor stands for; None where it is no cursor."""
    try:
        return base64.b64decode(text.encode("ascii"), b"-_", validate=True).decode()
    except ValueError:
        return None


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


def _batch(verb: Verb, body: bodies.Batch, given: Given) -> Command | Problem:
    entries = split_list(bytes(body.messages), max_bytes=given.max_bytes)
    if isinstance(entries, str):
        return invalid([Fault("/messages", entries.partition(": ")[2] or entries)])
    messages: list[Message | Problem] = []
    for index, entry in enumerate(entries):
        found = decoded(bodies.Publish, entry)
        if isinstance(found, bodies.Publish):
            own = f"{given.id}.{index}" if given.id and found.id is None else ""
            messages.append(_message(found, _under(given, own)))
        else:
            messages.append(found)
    return Command(verb, body, given.id, tuple(messages))


def _broadcast(verb: Verb, body: bodies.Broadcast, given: Given) -> Command | Problem:
    addresses = ["all"] if body.addresses is None else body.addresses
    if len(set(addresses)) != len(addresses):
        return invalid([Fault("/addresses", "one address stands there twice")])
    first = _message(_single(body, addresses[0]), given)
    if isinstance(first, Problem) and not _of_address(first):
        return first  # what is wrong with the message is wrong for all
    messages: list[Message | Problem] = []
    for address in addresses:
        room = address_of(address)
        if room is None or isinstance(first, Problem):
            messages.append(_message(_single(body, address), given))
        else:
            made = msgspec.structs.replace(first.made, room=room)
            messages.append(Message(address, made, first.traceparent))
    ident = body.id or given.id
    return Command(verb, body, ident, tuple(messages))


def _single(body: bodies.Broadcast, address: str) -> bodies.Publish:
    return bodies.Publish(
        address=address,
        payload=body.payload,
        type=body.type,
        id=body.id,
        encoding=body.encoding,
        key=body.key,
        expiration=body.expiration,
        traceparent=body.traceparent,
        seen_within_ms=body.seen_within_ms,
    )


def _of_address(problem: Problem) -> bool:
    return all(fault.pointer == "/address" for fault in problem.faults)


def _under(given: Given, ident: str) -> Given:
    """Return what was given, under another id."""
    return msgspec.structs.replace(given, id=ident)


# Which field a reason of the notification parser is about.
_POINTERS: Final = {
    "invalid address": "/address",
    "invalid type": "/type",
    "reserved type": "/type",
    "invalid message_id": "/id",
    "reserved message_id": "/id",
    "invalid header key": "/key",
    "invalid expiration": "/expiration",
    "invalid payload": "/payload",
    "invalid header seen_within_ms": "/seen_within_ms",
}


def _message(body: bodies.Publish, given: Given) -> Message | Problem:
    """Return the message that a body asks for; it has no id where the backend gives none."""
    if given.disagrees(body.id):
        return invalid([Fault("/id", "is not that of the header Idempotency-Key")])
    payload, content_type = bytes(body.payload), JSON_TYPE
    if body.encoding is not None:
        try:
            payload = base64.b64decode(_string.decode(payload), validate=True)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return invalid([Fault("/payload", "must be a string of base64, as encoding says")])
        content_type = BINARY_TYPE
    made = parse(
        Notification(
            key=body.address,
            body=payload,
            content_type=content_type,
            type=body.type,
            id=body.id or given.id,
            expiration_ms=body.expiration,
            latest_key=body.key,
            seen_within_ms=body.seen_within_ms,
        ),
        now_us=given.now_us,
        max_bytes=given.max_bytes,
    )
    if isinstance(made, Publish):
        return Message(body.address, made, body.traceparent or given.traceparent)
    reason, _, detail = made.partition(": ")
    if reason == "too large":
        return Problem(ProblemCode.MESSAGE_TOO_LARGE, f"The payload has {detail}.")
    return invalid([Fault(_POINTERS.get(reason, ""), f"{reason}: {detail}")])
