"""Attacks on the codecs: messages of legal size and rate that are expensive to parse or to encode."""

from __future__ import annotations

from bench.attack import payloads
from bench.attack.frames import frame
from bench.attack.message_patterns import (
    LARGE,
    WITHIN_RATE_S,
    Make,
    Plans,
    by_members,
    by_strangers,
    listening,
    says,
)
from bench.attack.payloads import chat, packed_chat
from bench.attack.plans import Attack, Plan, Scene, Swarm

KIND = "judging"


def _saying(make: Make) -> Plans:
    return lambda _: by_members(chat(make(LARGE)))


def _saying_packed(make: Make) -> Plans:
    return lambda _: by_members(packed_chat(make(LARGE)), packed=True)


def _beside(make: Make, *, packed: bool, deflate: bool) -> Plans:
    """JSON messages in a room with a member for whom they must be encoded again."""
    return lambda _: (listening("attack", packed=packed, deflate=deflate), *by_members(chat(make(LARGE))))


def _command(kind: bytes, make: Make, *, strangers: bool = False) -> Plans:
    def plans(_: Scene) -> tuple[Plan, ...]:
        message = b'{"type":"' + kind + b'","room":"attack","payload":' + make(LARGE) + b"}"
        return by_strangers(message) if strangers else by_members(message)

    return plans


def _packed_ping(_: Scene) -> tuple[Plan, ...]:
    return by_members(b"\x82\xa4type\xa4PING\xa7payload" + payloads.packed_wide_towers(LARGE), packed=True)


def _plain_bytes(_: Scene) -> tuple[Plan, ...]:
    return (Swarm(4, token="member", again=frame(chat(payloads.wide_towers(LARGE))), every=WITHIN_RATE_S),)


def _whole(make: Make, *, strangers: bool = False) -> Plans:
    return lambda _: by_strangers(make(LARGE)) if strangers else by_members(make(LARGE))


def _text(size: int) -> bytes:
    """Return one string."""
    return b'"' + b"x" * (size - 2) + b'"'


def _packed_strangers(make: Make) -> Plans:
    return lambda _: by_strangers(packed_chat(make(LARGE)), packed=True)


ATTACKS: tuple[Attack, ...] = (
    Attack("plain", KIND, "for comparison: four members say 1 MiB of one string", _saying(_text)),
    Attack(
        "plain-many",
        KIND,
        "for comparison: 20 members do",
        lambda _: by_members(chat(_text(LARGE)), connections=20),
    ),
    Attack(
        "packed-flat-strangers",
        KIND,
        "strangers: 1 MiB of [] in MessagePack with an integer that looks like infinity, in 1,086 bytes",
        _packed_strangers(payloads.packed_flat),
    ),
    Attack(
        "packed-wide-towers-strangers",
        KIND,
        "strangers: towers in MessagePack",
        _packed_strangers(payloads.packed_wide_towers),
    ),
    Attack(
        "packed-maps-strangers",
        KIND,
        "strangers: maps whose keys are no text",
        _packed_strangers(payloads.packed_maps),
    ),
    Attack(
        "json-wide-towers-strangers",
        KIND,
        "strangers: towers as high as is allowed, side by side",
        lambda _: by_strangers(chat(payloads.wide_towers(LARGE))),
    ),
    Attack("json-wrong-kind", KIND, "members: a type that is 1 MiB of []", _whole(payloads.wrong_kind)),
    Attack(
        "json-wrong-kind-strangers", KIND, "strangers: the same", _whole(payloads.wrong_kind, strangers=True)
    ),
    Attack("json-fields", KIND, "members: 87,000 fields that nobody knows", _whole(payloads.fields)),
    Attack(
        "json-fields-again", KIND, "members: each field again and again", _whole(payloads.repeated_fields)
    ),
    Attack("uncompressed", KIND, "members: wide towers, each byte of which is sent", _plain_bytes),
    Attack("ping-packed", KIND, "members: PING with 1 MiB of towers, answered in MessagePack", _packed_ping),
    Attack(
        "ping-deflate",
        KIND,
        "members: PING with 1 MiB of keys, whose answer is compressed",
        _command(b"PING", payloads.keys),
    ),
    Attack(
        "join-payload",
        KIND,
        "members: JOIN with 1 MiB of [] as its payload",
        _command(b"JOIN", payloads.flat),
    ),
    Attack("history-payload", KIND, "members: HISTORY with the same", _command(b"HISTORY", payloads.flat)),
    Attack(
        "auth-payload",
        KIND,
        "strangers: AUTH with the same",
        _command(b"AUTH", payloads.flat, strangers=True),
    ),
    *(
        Attack(f"json-{name}", KIND, f"members: {says(make)}", _saying(make))
        for name, make in payloads.JSON.items()
    ),
    *(
        Attack(f"packed-{name}", KIND, f"members, in MessagePack: {says(make)}", _saying_packed(make))
        for name, make in payloads.PACKED.items()
    ),
    *(
        Attack(
            f"spelled-{name}",
            KIND,
            f"to a member of MessagePack: {says(payloads.JSON[name])}",
            _beside(payloads.JSON[name], packed=True, deflate=False),
        )
        for name in ("wide-towers", "flat", "long-numbers", "keys")
    ),
    Attack(
        "spelled-deflate",
        KIND,
        "to a member with compression: 1 MiB of keys",
        _beside(payloads.keys, packed=False, deflate=True),
    ),
)
