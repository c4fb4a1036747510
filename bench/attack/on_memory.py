"""Attacks on memory, and requests with much larger answers."""

from __future__ import annotations

from bench.attack import payloads
from bench.attack.frames import CONTINUATION, TEXT, frame
from bench.attack.message_patterns import (
    LARGE,
    WITHIN_RATE_S,
    by_members,
    flooding,
    listening,
    packed_command,
    said,
)
from bench.attack.payloads import MIB, chat
from bench.attack.plans import ROOM, Attack, Plan, Scene, Swarm
from warren.address import shard_of
from warren.topology import DEFAULT_SHARDS

# Rooms that are filled before such an attack.
KEPT, KEPT_FLAT = "kept:large", "kept:flat"
HALF = frame(b"x" * (MIB - 8))[:-1]  # a message without its last byte
REJECTED = frame(chat(b"1", "reject:1", b',"id":"a"')) * 2_000


def _half_in_parts(_: Scene) -> tuple[Plan, ...]:
    first = frame(b"x" * 60_000, TEXT, final=False)
    return (Swarm(300, once=first + frame(b"x" * 60_000, CONTINUATION, final=False) * 16, returns=1.0),)


def _unread(message: bytes, *, first: bytes = b"", every: float = WITHIN_RATE_S) -> tuple[Plan, ...]:
    return (Swarm(200, token="member", reads=False, once=first + message, again=message, every=every),)


def _history(room: str) -> bytes:
    return frame(b'{"type":"HISTORY","room":"%s","payload":{"limit":100}}' % room.encode())


def _room_unread(_: Scene) -> tuple[Plan, ...]:
    large = frame(chat(b'"' + b"x" * 60_000 + b'"'))
    readers = Swarm(200, token="member", reads=False, once=frame(payloads.join("attack")))
    return (readers, Swarm(10, token="member", again=large, every=WITHIN_RATE_S))


def _windows(token: bool) -> tuple[Plan, ...]:
    once = said(b'{"type":"PING","payload":"' + b"x" * 30_000 + b'"}') if token else said(b"x" * 30_000)
    return (Swarm(2_000, token="member" if token else "", deflate=True, opens_per_s=700, once=once),)


def _since(scene: Scene) -> tuple[Plan, ...]:
    join = frame(payloads.join(KEPT, scene.since(KEPT)))
    return (Swarm(50, token="member", once=join, again=join, every=WITHIN_RATE_S),)


def _pages(_: Scene) -> tuple[Plan, ...]:
    return (
        Swarm(50, token="member", once=frame(payloads.join(KEPT)), again=_history(KEPT), every=WITHIN_RATE_S),
    )


def _packed_pages(_: Scene) -> tuple[Plan, ...]:
    first, again = packed_command("JOIN", KEPT_FLAT), packed_command("HISTORY", KEPT_FLAT)
    return (Swarm(20, token="member", packed=True, once=first, again=again, every=WITHIN_RATE_S),)


def _storm(_: Scene) -> tuple[Plan, ...]:
    pair = frame(b'{"type":"JOIN","room":"storm"}') + frame(b'{"type":"LEAVE","room":"storm"}')
    return (Swarm(200, token="member", again=pair, every=0.5),)


def _many_rooms(_: Scene) -> tuple[Plan, ...]:
    """Each member joins as many rooms as it may, shared with nobody."""

    def each(number: int) -> bytes:
        return b"".join(frame(payloads.join(f"own:{number}:{room}")) for room in range(5))

    return (Swarm(400, token="member", each=each, returns=0.0, hangs_up=True),)


def _typing(_: Scene) -> tuple[Plan, ...]:
    typing = frame(b'{"type":"TYPING","room":"attack"}')
    join = frame(payloads.join("attack"))
    return (
        listening("attack", connections=180),
        Swarm(20, token="member", once=join, again=typing, every=WITHIN_RATE_S),
    )


def _long_names(_: Scene) -> tuple[Plan, ...]:
    def each(number: int) -> bytes:
        return frame(payloads.join(f"r{number:0127d}", None, "i" * 64))

    again = frame(chat(b"1", "r" * 128, b',"id":"' + b"i" * 64 + b'","key":"' + b"k" * 128 + b'"'))
    return (Swarm(200, token="member", each=each, again=again, every=0.3),)


def _everyone(_: Scene) -> tuple[Plan, ...]:
    """Each connection is in the room ``default``, and may send there."""
    text = said(chat(b'"' + b"x" * (LARGE - 2) + b'"', "default"))
    speakers = Swarm(2, token="member", deflate=True, once=text, again=text, every=WITHIN_RATE_S)
    return (Swarm(50, token="member", deflate=True), speakers)


def _neighbours(_: Scene) -> tuple[Plan, ...]:
    """A room in the same shard as that of the well-behaved clients, filled by 20 senders."""
    shared = shard_of(ROOM, DEFAULT_SHARDS)
    room = next(
        name for number in range(1_000) if shard_of(name := f"beside{number}", DEFAULT_SHARDS) == shared
    )
    return by_members(chat(b'"' + b"x" * (LARGE - 2) + b'"', room), connections=20)


def _leaves(_: Scene) -> tuple[Plan, ...]:
    return (Swarm(200, token="member", again=frame(b'{"type":"LEAVE","room":"nowhere"}'), every=0.22),)


def _large_ping(_: Scene) -> tuple[Plan, ...]:
    return _unread(frame(b'{"type":"PING","payload":"' + b"x" * 200_000 + b'"}'), every=0.5)


ATTACKS: tuple[Attack, ...] = (
    Attack(
        "half-messages",
        "memory",
        "300 strangers, each with all but the last byte of 1 MiB",
        lambda _: (Swarm(300, once=HALF, returns=1.0),),
    ),
    Attack("half-parts", "memory", "300 strangers, the same in parts", _half_in_parts),
    Attack(
        "half-members",
        "memory",
        "300 members, the same",
        lambda _: (Swarm(300, token="member", once=HALF, returns=1.0),),
    ),
    Attack(
        "drip",
        "memory",
        "1,000 strangers, each with a byte of a message every half second",
        lambda _: (Swarm(1_000, once=HALF[:20], again=b"x", every=0.5, opens_per_s=500),),
    ),
    Attack("idle", "memory", "2,000 strangers who say nothing", lambda _: (Swarm(2_000, opens_per_s=700),)),
    Attack(
        "windows-strangers",
        "memory",
        "2,000 strangers, each with a compressed message that is no JSON",
        lambda _: _windows(token=False),
    ),
    Attack(
        "windows", "memory", "2,000 members, each with one compressed message", lambda _: _windows(token=True)
    ),
    Attack(
        "history-unread",
        "memory",
        "200 members who ask for HISTORY over and over and read nothing",
        lambda _: _unread(_history(KEPT), first=frame(payloads.join(KEPT))),
        at_least_s=15,
    ),
    Attack(
        "pongs-unread",
        "memory",
        "200 members who send PING messages of 200 kB and read no answer",
        _large_ping,
    ),
    Attack("room-unread", "memory", "200 members of a busy room who read nothing", _room_unread),
    Attack("joins-since", "reads", "50 members who JOIN a room with an old position over and over", _since),
    Attack("history", "reads", "50 members who ask for HISTORY over and over", _pages),
    Attack(
        "history-packed",
        "reads",
        "20 members of MessagePack who ask for the HISTORY of a room full of brackets",
        _packed_pages,
    ),
    Attack(
        "reject",
        "answers",
        "a member of a namespace that rejects, as fast as it is taken",
        lambda _: flooding(REJECTED),
    ),
    Attack(
        "reject-unread",
        "answers",
        "20 of them who read no answer",
        lambda _: (Swarm(20, token="member", reads=False, again=REJECTED),),
    ),
    Attack("joins", "answers", "200 members who JOIN and LEAVE within their rate", _storm),
    Attack("rooms-new", "answers", "members who JOIN five new rooms, hang up and come back", _many_rooms),
    Attack(
        "everyone",
        "answers",
        "two members who say 1 MiB to the room that all are in, 50 others among them",
        _everyone,
    ),
    Attack("neighbours", "answers", "20 members who say 1 MiB in a room of the victims' shard", _neighbours),
    Attack("leaves", "answers", "200 members who LEAVE what they never joined", _leaves),
    Attack("typing", "answers", "20 members who type in a room of 200", _typing),
    Attack(
        "longest-names", "answers", "200 members whose rooms, ids and keys are as long as may be", _long_names
    ),
)
