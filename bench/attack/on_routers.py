"""Attacks on routers with what a backend may publish. A router that one entry blocks or terminates hands that
entry to the next router.
"""

from __future__ import annotations

from bench.attack import payloads
from bench.attack.message_patterns import LARGE, Make, Plans, listening
from bench.attack.plans import Attack, Flood, Plan, Scene

KIND = "router"


def _one(make: Make, size: int) -> Plans:
    return lambda _: (Flood((make(size),), count=1),)


def _often(make: Make, per_s: float) -> Plans:
    return lambda _: (Flood((make(LARGE),), per_s=per_s),)


def _flood(body: bytes, key: str = "room.attack") -> Plans:
    return lambda _: (Flood((body,), key=key),)


def _spelled(make: Make) -> Plans:
    def plans(_: Scene) -> tuple[Plan, ...]:
        return (listening("attack", packed=True), Flood((make(LARGE),), per_s=5))

    return plans


def _row(name: str, says: str, plans: Plans) -> Attack:
    return Attack(name, KIND, says, plans, fresh_router=True)


ATTACKS: tuple[Attack, ...] = (
    _row(
        "notify-unterminated-64k",
        "one notification of 64 KiB: a string that does not end",
        _one(payloads.unterminated, 65_536),
    ),
    _row("notify-unterminated-160k", "one of 160 KiB", _one(payloads.unterminated, 163_840)),
    _row(
        "notify-unterminated-1m",
        "one of 1 MiB, with brackets in it",
        _one(payloads.unterminated_brackets, LARGE),
    ),
    _row(
        "notify-wide-towers",
        "five a second of 1 MiB: towers as high as is allowed",
        _often(payloads.wide_towers, 5),
    ),
    _row("notify-tower", "20 a second of 1 MiB: one tower", _often(payloads.tower, 20)),
    _row(
        "notify-late-fault",
        "five a second of 1 MiB that turn out to be no JSON at the end",
        _often(payloads.late_fault, 5),
    ),
    _row("notify-escapes", "five a second of 1 MiB of escapes", _often(payloads.escapes, 5)),
    _row(
        "notify-headers-deep",
        "one whose headers hold a table in a table, 900 deep",
        lambda _: (Flood((b"1",), count=1, depth=900),),
    ),
    _row(
        "notify-headers-wide",
        "100 a second with 2,000 headers each",
        lambda _: (Flood((b"1",), per_s=100, width=2_000),),
    ),
    _row(
        "notify-time",
        "one whose time is beyond the calendar",
        lambda _: (Flood((b"1",), count=1, timestamp=1 << 62),),
    ),
    _row("notify-text", "one whose texts are no UTF-8", lambda _: (Flood((b"1",), count=1, broken=True),)),
    _row("notify-invalid", "small ones that are no JSON, as fast as they are taken", _flood(b"{")),
    _row("notify-one-room", "small ones to one room, as fast as they are taken", _flood(b"1")),
    _row("notify-victims", "small ones to the room of those who behave well", _flood(b"1", "room.victims")),
    _row("notify-all", "small ones to everyone", _flood(b"1", "all")),
    _row("notify-nobody", "small ones to a user who is not there", _flood(b"1", "user.nobody")),
    _row(
        "notify-spelled-digits",
        "five a second of long numbers to a member of MessagePack",
        _spelled(payloads.long_numbers),
    ),
    _row(
        "notify-spelled-towers",
        "five a second of wide towers to a member of MessagePack",
        _spelled(payloads.wide_towers),
    ),
)
