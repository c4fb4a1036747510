"""Checkpoint: a fold's whole state as bytes, in parts, and back.

The same state gives the same bytes: what has an order in the fold has that order here, so that what is made
from the bytes forgets in the same order too. A body is MessagePack ``[[section, rows], …]``; the first one
begins with the head, which says how many rows of each there must be, so that a state which lacks something is
not taken for a whole one. It decides nothing about when a checkpoint is due.

A checkpoint in a log, by example: a Mark at offset 12,050 says "as of here"; its writer encodes its fold as
it was at 12,050 while entries go on, and writes parts 0, 1, 2 of it at 12,061, 12,062 and 12,064. A new
router finds those three, has the fold as of 12,050, and reads on from 12,051.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from router.core.access import Access, PutOut
from router.core.dedup import Key, Place, SeenIds
from router.core.gateway_batches import GatewayBatches
from router.core.presence import Presence, PresencePart
from router.core.room_members import RoomMembers
from router.core.seen_positions import SeenPart, SeenPositions
from router.core.sequencer import Sequencer, Standing
from router.core.unseen_messages import Unseen, UnseenMessages
from warren.envelope import Rules
from warren.errors import MalformedEnvelope

FORMAT: Final = 1
DIGEST_BYTES: Final = 16
_ROWS: Final = 512  # that are encoded at once
_ROW_BYTES: Final = 256  # what a row may well take
_INFO_ROW_BYTES: Final = 1_024  # what one with a member's info may


class _Section(IntEnum):
    """What rows are of."""

    HEAD = 0
    AWAKE = 1  # rooms with members: (room, where it stands)
    IDLE = 2  # rooms without, the latest used last
    IDS = 3  # those of senders, the oldest first: (key, place)
    OWN_IDS = 4  # those that gateways and routers gave
    MEMBERS = 5  # (room, gateway, {connection: user})
    LIVING = 6  # (gateway, (life, number of its last batch))
    ENDED = 7  # likewise, the oldest first
    PRESENCE = 8  # PresencePart
    WATCHERS = 9  # as members

    ACCESS_TIMES = 16  # (name, moment of the log's time)
    BLOCKS = 17  # ((room, user), until when)
    REVOKED = 18  # ((user, token), (before which issue, until when))
    PUT_OUT = 19  # ((room, user), how and when), the oldest first
    CAME = 20  # (connection, when it came)
    COMMAND_IDS = 21  # (key, what it came to), the oldest first
    VOIDED = 22  # (user, before when what it was granted is void), the oldest first
    SEEN = 23  # SeenPart, the room in which a seq has grown last at the end
    UNSEEN = 24  # (its order, one that waits to be seen), in the order in which they came


# From which version of the fold on there is a section; the others always are.
_SINCE: Final = {
    _Section.PRESENCE: 2,
    _Section.WATCHERS: 2,
    _Section.ACCESS_TIMES: 2,
    _Section.BLOCKS: 2,
    _Section.REVOKED: 2,
    _Section.PUT_OUT: 2,
    _Section.CAME: 2,
    _Section.COMMAND_IDS: 2,
    _Section.VOIDED: 2,
    _Section.SEEN: 2,
    _Section.UNSEEN: 2,
}


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What the state is of, and how many rows each section has (members, presence and watchers: how many
    connections in all rooms; seen: how many users in all rooms).
    """

    format: int
    shard: int
    shards: int
    rules: Rules | None
    generation: int
    counts: tuple[int, ...]


class State(msgspec.Struct, frozen=True):
    """All that a fold knows."""

    rules: Rules | None
    sequencer: Sequencer
    ids: SeenIds
    own_ids: SeenIds
    rooms: RoomMembers
    lives: GatewayBatches
    presence: Presence
    watchers: RoomMembers
    access: Access = msgspec.field(default_factory=Access)
    seen: SeenPositions = msgspec.field(default_factory=SeenPositions)
    unseen: UnseenMessages = msgspec.field(default_factory=UnseenMessages)


T = TypeVar("T")
_MEMBERS = list[tuple[str, str, dict[str, str]]]
_NAMED_LIVES = list[tuple[str, tuple[int, int]]]
_STANDINGS = list[tuple[str, Standing]]
_IDS = list[tuple[Key, Place]]
_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(list[tuple[_Section, msgspec.Raw]])
_head_decoder = msgspec.msgpack.Decoder(_Head)
_decoders: dict[_Section, msgspec.msgpack.Decoder[Any]] = {
    _Section.AWAKE: msgspec.msgpack.Decoder(_STANDINGS),
    _Section.IDLE: msgspec.msgpack.Decoder(_STANDINGS),
    _Section.IDS: msgspec.msgpack.Decoder(_IDS),
    _Section.OWN_IDS: msgspec.msgpack.Decoder(_IDS),
    _Section.MEMBERS: msgspec.msgpack.Decoder(_MEMBERS),
    _Section.LIVING: msgspec.msgpack.Decoder(_NAMED_LIVES),
    _Section.ENDED: msgspec.msgpack.Decoder(_NAMED_LIVES),
    _Section.PRESENCE: msgspec.msgpack.Decoder(list[PresencePart]),
    _Section.WATCHERS: msgspec.msgpack.Decoder(_MEMBERS),
    _Section.ACCESS_TIMES: msgspec.msgpack.Decoder(list[tuple[str, int]]),
    _Section.BLOCKS: msgspec.msgpack.Decoder(list[tuple[tuple[str, str], int]]),
    _Section.REVOKED: msgspec.msgpack.Decoder(list[tuple[tuple[str, str], tuple[int, int]]]),
    _Section.PUT_OUT: msgspec.msgpack.Decoder(list[tuple[tuple[str, str], PutOut]]),
    _Section.CAME: msgspec.msgpack.Decoder(list[tuple[str, int]]),
    _Section.COMMAND_IDS: msgspec.msgpack.Decoder(_IDS),
    _Section.VOIDED: msgspec.msgpack.Decoder(list[tuple[str, int]]),
    _Section.SEEN: msgspec.msgpack.Decoder(list[SeenPart]),
    _Section.UNSEEN: msgspec.msgpack.Decoder(list[tuple[int, Unseen]]),
}


def empty(rules: Rules | None, ended: dict[str, tuple[int, int]] | None = None) -> State:
    """Return the state at the beginning of a log's life; ``ended``: lives of gateways that do not count in
    it.
    """
    life = rules.life if rules else ""
    state = State(
        rules,
        Sequencer(life),
        SeenIds(),
        SeenIds(),
        RoomMembers(),
        GatewayBatches(None, ended),
        Presence(life),
        RoomMembers(),
    )
    bound(state, rules)
    return state


def bound(state: State, rules: Rules | None) -> None:
    """Hold a state to the bounds of ``rules``."""
    if rules is not None:
        state.ids.bound(rules.ids)
        state.own_ids.bound(rules.ids)
        state.sequencer.forget(rules.rooms)
        state.lives.forget(rules.gone)
        state.access.ids.bound(rules.ids)


def digest_of(bodies: Iterable[bytes]) -> bytes:
    """Return the digest of a checkpoint's bodies in their order."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for body in bodies:
        _add(digest, body)
    return digest.digest()


class Snapshot:
    """A state as it was when this was made, whatever becomes of the state, to be encoded in steps: each is
    short, however large the state is.
    """

    def __init__(self, shard: int, shards: int, state: State, size: int) -> None:
        """The bodies will be of about ``size`` bytes at most. Call ``close`` in the end."""
        self.bodies: list[bytes] = []
        self.digest = b""  # of all bodies, once there is no step left
        self._size = size
        self._shared: list[RoomMembers | Presence] = [
            state.rooms,
            state.presence,
            state.watchers,
        ]
        step = max(1, min(_ROWS, size // _ROW_BYTES))
        long = max(1, min(_ROWS * _ROW_BYTES // _INFO_ROW_BYTES, size // _INFO_ROW_BYTES))
        # What has an order is in lists now; rows are never changed in place, and the members' table keeps to
        # what it has given.
        sections: dict[_Section, tuple[int, Iterator[list[Any]]]] = {
            _Section.AWAKE: _sliced(state.sequencer.awake, step),
            _Section.IDLE: _sliced(state.sequencer.idle, step),
            _Section.IDS: (len(state.ids), _by(step, state.ids.snapshot())),
            _Section.OWN_IDS: (len(state.own_ids), _by(step, state.own_ids.snapshot())),
            _Section.MEMBERS: (state.rooms.memberships, _members(state.rooms.snapshot(), step)),
            _Section.LIVING: _sliced(state.lives.living, step),
            _Section.ENDED: _sliced(state.lives.ended, step),
            _Section.PRESENCE: (state.presence.connections, _presence(state.presence.snapshot(), long)),
            _Section.WATCHERS: (state.watchers.memberships, _members(state.watchers.snapshot(), step)),
            _Section.ACCESS_TIMES: _sliced(state.access.times, step),
            _Section.BLOCKS: _sliced(state.access.blocks.until, step),
            _Section.REVOKED: _sliced(state.access.revoked, step),
            _Section.PUT_OUT: _sliced(state.access.put_out, step),
            _Section.CAME: _sliced(state.access.came, step),
            _Section.COMMAND_IDS: (len(state.access.ids), _by(step, state.access.ids.snapshot())),
            _Section.VOIDED: _sliced(state.access.voided, step),
            _Section.SEEN: _seen(state.seen, step),
            _Section.UNSEEN: _sliced(dict(enumerate(state.unseen.snapshot())), long),
        }
        sections = {section: sections[section] for section in _sections(state.rules)}
        counts = tuple(count for count, _ in sections.values())
        head = _Head(FORMAT, shard, shards, state.rules, state.sequencer.generation, counts)
        self._steps = self._encode(_encoder.encode((_Section.HEAD, head)), sections)

    def step(self) -> bool:
        """Encode some hundred rows more; return whether there are more."""
        more = next(self._steps, False)
        if not more:
            self.close()
        return more

    def close(self) -> None:
        """Let go of the state."""
        shared, self._shared = self._shared, []
        self._steps.close()
        for table in shared:
            table.release()

    def _encode(
        self, head: bytes, sections: Mapping[_Section, tuple[int, Iterator[list[Any]]]]
    ) -> Generator[bool, None, None]:
        digest = blake2b(digest_size=DIGEST_BYTES)
        together, held = [msgspec.Raw(head)], len(head)
        for section, (_, slices) in sections.items():
            for rows in slices:
                chunk = _encoder.encode((section, rows))
                if held + len(chunk) > self._size:
                    self._put(together, digest)
                    together, held = [], 0
                together.append(msgspec.Raw(chunk))
                held += len(chunk)
                yield True
        self._put(together, digest)
        self.digest = digest.digest()

    def _put(self, chunks: list[msgspec.Raw], digest: blake2b) -> None:
        body = _encoder.encode(chunks)
        _add(digest, body)
        self.bodies.append(body)


def encoded(shard: int, shards: int, state: State, size: int) -> list[bytes]:
    """Return a state's bodies, each of about ``size`` bytes at most, in one go."""
    snapshot = Snapshot(shard, shards, state, size)
    while snapshot.step():
        pass
    return snapshot.bodies


def decoded(shard: int, shards: int, bodies: Sequence[bytes]) -> State:
    """Return the state that ``bodies`` hold, in one go. Raises MalformedEnvelope where they are not one whole
    state of this shard.
    """
    return finished(decoding(shard, shards, bodies))


def finished(steps: Generator[None, None, T]) -> T:
    """Do all steps in one go; return the generator's value."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            value: T = done.value
            return value


def decoding(shard: int, shards: int, bodies: Sequence[bytes]) -> Generator[None, None, State]:
    """Return the state that ``bodies`` hold, as the generator's value; between its steps there is little
    work. Raises as ``decoded``.
    """
    try:
        return (yield from _decoding(shard, shards, bodies))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEnvelope(f"no checkpoint: {error}") from None


def _decoding(shard: int, shards: int, bodies: Sequence[bytes]) -> Generator[None, None, State]:
    head: _Head | None = None
    tables: dict[_Section, dict[Any, Any]] = {section: {} for section in _decoders}
    ids = {_Section.IDS: SeenIds(), _Section.OWN_IDS: SeenIds(), _Section.COMMAND_IDS: SeenIds()}
    members = {_Section.MEMBERS: RoomMembers(), _Section.WATCHERS: RoomMembers()}
    presence, seen = Presence(), SeenPositions()
    for body in bodies:
        for section, raw in _body_decoder.decode(body):
            if section is _Section.HEAD:
                if head is not None:
                    raise MalformedEnvelope("a checkpoint that begins twice")
                head = _head_of(raw, shard, shards)
                presence = Presence(head.rules.life if head.rules else "")
                continue
            if head is None:
                raise MalformedEnvelope("a checkpoint without its beginning")
            rows = _decoders[section].decode(raw)
            if section in members:
                for room, gateway, there in rows:
                    members[section].add(room, gateway, there)
            elif section is _Section.PRESENCE:
                for part in rows:
                    presence.add(part)
            elif section is _Section.SEEN:
                for part in rows:
                    seen.add(part)
            elif section in ids:
                for key, place in rows:
                    ids[section].put(key, place)
            else:
                tables[section].update(rows)
            yield
    if head is None:
        raise MalformedEnvelope("a checkpoint without its beginning")
    counts = {section: len(table) for section, table in tables.items()}
    counts |= {section: len(seen) for section, seen in ids.items()}
    counts |= {section: table.memberships for section, table in members.items()}
    counts[_Section.PRESENCE], counts[_Section.SEEN] = presence.connections, len(seen)
    sections = _sections(head.rules)
    said = dict.fromkeys(counts, 0) | dict(zip(sections, head.counts, strict=False))
    if len(sections) != len(head.counts) or counts != said:
        raise MalformedEnvelope("a checkpoint that is not whole")
    life = head.rules.life if head.rules else ""
    state = State(
        head.rules,
        Sequencer(life, head.generation, tables[_Section.AWAKE], tables[_Section.IDLE]),
        ids[_Section.IDS],
        ids[_Section.OWN_IDS],
        members[_Section.MEMBERS],
        GatewayBatches(tables[_Section.LIVING], tables[_Section.ENDED]),
        presence,
        members[_Section.WATCHERS],
        Access(
            tables[_Section.BLOCKS],
            tables[_Section.REVOKED],
            tables[_Section.PUT_OUT],
            tables[_Section.CAME],
            tables[_Section.ACCESS_TIMES],
            ids[_Section.COMMAND_IDS],
            tables[_Section.VOIDED],
        ),
        seen,
        UnseenMessages(tables[_Section.UNSEEN].values()),
    )
    bound(state, head.rules)
    return state


def _head_of(raw: msgspec.Raw, shard: int, shards: int) -> _Head:
    head = _head_decoder.decode(raw)
    if (head.format, head.shard, head.shards) != (FORMAT, shard, shards):
        raise MalformedEnvelope(
            f"a checkpoint of shard {head.shard} of {head.shards} in format {head.format}; "
            f"this is shard {shard} of {shards}, and the format {FORMAT}"
        )
    return head


def _sections(rules: Rules | None) -> list[_Section]:
    """Return the sections behind the head, in their order."""
    version = rules.version if rules is not None else 0
    return [each for each in _Section if each is not _Section.HEAD and _SINCE.get(each, 0) <= version]


def _add(digest: blake2b, body: bytes) -> None:
    digest.update(len(body).to_bytes(8, "big"))
    digest.update(body)


def _sliced(table: Mapping[Any, object], step: int) -> tuple[int, Iterator[list[Any]]]:
    """Return how many rows a table has now, and those rows, so many at a time."""
    keys, values = list(table), list(table.values())  # which takes a tenth of what a list of pairs would
    return len(keys), _by(step, zip(keys, values, strict=True))


def _by(step: int, rows: Iterator[Any]) -> Iterator[list[Any]]:
    return iter(lambda: list(islice(rows, step)), [])


def _members(walk: Iterable[tuple[str, str, dict[str, str]]], step: int) -> Iterator[list[Any]]:
    """Yield rows of members, about so many members at a time; very many of a room are in several rows."""
    parts = ((members, partial(_member_row, room, gateway)) for room, gateway, members in walk)
    return _in_parts(parts, step)


def _member_row(room: str, gateway: str, members: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    return room, gateway, members


def _seen(seen: SeenPositions, step: int) -> tuple[int, Iterator[list[Any]]]:
    """Return of how many users in all rooms it is known what they have seen, and parts of rooms with about so
    many at a time.
    """
    count, walk = seen.snapshot()
    parts = ((whole.users, partial(SeenPart, whole.room, whole.generation)) for whole in walk)
    return count, _in_parts(parts, step)


def _in_parts(
    walk: Iterable[tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]], step: int
) -> Iterator[list[Any]]:
    """Yield rows that are made of tables or of parts of them, each with what makes a row of it; about so many
    entries at a time.
    """
    rows: list[Any] = []
    room_for = step
    for table, row in walk:
        each, left = iter(table.items()), len(table)
        while left:
            part = table if left <= room_for and left == len(table) else dict(islice(each, room_for))
            rows.append(row(part))
            left -= len(part)
            room_for -= len(part)
            if room_for <= 0:
                yield rows
                rows, room_for = [], step
    if rows:
        yield rows


def _presence(walk: Iterable[PresencePart], step: int) -> Iterator[list[PresencePart]]:
    """Yield parts of rooms, about so many connections and users at a time; large rooms are in several."""
    rows: list[PresencePart] = []
    room_for = step
    for whole in walk:
        connections, users = iter(whole.connections.items()), iter(whole.users.items())
        left = len(whole.connections) + len(whole.users)
        while left:
            part = dict(islice(connections, room_for))
            of_users = dict(islice(users, room_for - len(part)))
            rows.append(PresencePart(whole.room, whole.version, whole.digest, part, of_users))
            taken = len(part) + len(of_users)
            left -= taken
            room_for -= taken
            if room_for <= 0:
                yield rows
                rows, room_for = [], step
    if rows:
        yield rows
