"""The router's part of a message's path: the fold of a log and its checkpoints, the feeds of gateways, and
the table of rooms.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, cycle

from bench.micro.shared_side import AT_US, COUNT, publish
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.history import History
from router.core.room_members import RoomMembers
from warren import envelope as wire
from warren.namespaces import Namespaces
from warren.position import LogPosition

FRESH = 50_000  # messages that are built before anything is measured


def fold_of(rooms: int) -> Fold:
    """Return a fold with rooms of two members on two gateways."""
    made = Fold(0, 1)
    made.apply(0, wire.encode([wire.Rules("life", 1, 65_536, 65_536, 1_024, AT_US)]))
    for gateway in ("g0", "g1"):
        joins = [
            wire.Join(f"chat:{number}", f"{gateway}~{number:x}", f"user{number}") for number in range(rooms)
        ]
        record = wire.encode([wire.Batch(gateway, 1, 1, AT_US), wire.Hello(), *joins])
        made.apply(made.offset + 1, record)
    return made


def fold_apply(rooms: int, together: int) -> Callable[[], Callable[[], object]]:
    """A record of so many messages ▶ its effects: each is for members on two gateways and is acknowledged."""

    def record(number: int) -> bytes:
        messages = [
            publish(at, f"chat:{at % rooms}") for at in range(number * together, (number + 1) * together)
        ]
        return wire.encode([wire.Batch("g0", 1, number + 2, AT_US), *messages])

    def make() -> Callable[[], object]:
        fold, fresh = fold_of(rooms), [record(number) for number in range(FRESH // together)]
        numbers = count()

        def run() -> None:
            number = next(numbers)
            fold.apply(fold.offset + 1, fresh[number] if number < len(fresh) else record(number))

        return run

    return make


def fold_joins() -> Callable[[], object]:
    """A record of a JOIN and a LEAVE."""
    fold = fold_of(1_000)
    join, leave = wire.Join("chat:1", "g0~fff", "ann", "ref"), wire.Leave(("chat:1",), "g0~fff", "", "ann")
    numbers = count(2)

    def run() -> None:
        record = wire.encode([wire.Batch("g0", 1, next(numbers), AT_US), join, leave])
        fold.apply(fold.offset + 1, record)

    return run


def feeds_take() -> Callable[[], object]:
    """The effects of a record of 32 messages ▶ the feeds of two gateways."""
    fold, feeds = fold_of(100), Feeds("r", 0, 4 * 1024 * 1024)
    feeds.start(fold.life, fold.offset, fold.gateways, fold.ended)
    feeds.begin()
    for gateway in fold.gateways:
        feeds.number(wire.Number(gateway, 0, 1, LogPosition(fold.life, fold.offset, 1)))
    messages = [publish(at, f"chat:{at}") for at in range(COUNT)]
    effects = fold.apply(fold.offset + 1, wire.encode([wire.Batch("g0", 1, 2, AT_US), *messages]))
    offsets = count(fold.offset)

    def run() -> None:
        feeds.take(fold.life, next(offsets), effects, fold.gateways, fold.ended)
        for gateway in list(feeds.dirty()):
            feeds.next(gateway)

    return run


def fold_full() -> Fold:
    """Return a fold that remembers 65,536 rooms, as many ids of each kind, and 20,000 members."""
    fold = fold_of(10_000)
    for number in range(70_000 // COUNT):
        at = range(number * COUNT, (number + 1) * COUNT)
        messages = [publish(each, f"idle:{each}") for each in at]
        fold.apply(fold.offset + 1, wire.encode([wire.Batch("g0", 1, number + 2, AT_US), *messages]))
        notified = [wire.Publish("chat:1", "NEWS", b"1", AT_US, id=f"~router-1.{each:x}") for each in at]
        fold.apply(fold.offset + 1, wire.encode([wire.Notified("r", AT_US), *notified]))
    return fold


def fold_parts() -> Callable[[], object]:
    """The whole state of a full fold ▶ the bodies of a checkpoint."""
    fold = fold_full()
    return fold.parts


def fold_snapshot() -> Callable[[], object]:
    """A full fold ▶ the snapshot from which its checkpoint is encoded step by step: the part that is done at
    once.
    """
    fold = fold_full()
    return lambda: fold.snapshot().close()


def fold_restored() -> Callable[[], object]:
    """The bodies of a checkpoint ▶ a full fold."""
    fold = fold_full()
    bodies, _ = fold.parts()
    return lambda: Fold.restored(0, 1, fold.offset, bodies)


def history_put() -> Callable[[], object]:
    """A message for one of 2,000 rooms, which all have as many as their policy keeps."""
    history, policy = History(1 << 20, 256 << 20, 0), Namespaces().policy("chat:0").history
    numbers, payload = count(), b"x" * 200

    def run() -> None:
        number = next(numbers)
        room, at_us = f"chat:{number % 2_000}", AT_US + number
        message = wire.Deliver(room, "life-1", number // 2_000 + 1, "CHAT", payload, at_us, "", "", "")
        history.put(message, policy, at_us)

    for _ in range(2_000 * policy.count):
        run()
    return run


def rooms_join_and_leave() -> Callable[[], object]:
    table = RoomMembers()
    names = cycle([f"chat:{number}" for number in range(1_000)])
    for number in range(1_000):
        table.join(f"chat:{number}", "g0", f"g0~{number:x}", "ann")

    def run() -> None:
        room = next(names)
        table.join(room, "g1", "g1~1", "bob")
        table.leave(room, "g1", "g1~1")

    return run


def rooms_targets() -> Callable[[], object]:
    table = RoomMembers()
    for gateway in range(50):
        table.join("chat:room", f"g{gateway}", f"g{gateway}~1", "ann")
    return lambda: table.targets("chat:room")


BENCHES: dict[str, Callable[[], Callable[[], object]]] = {
    "fold apply, a record of 1 message, 100 rooms": fold_apply(100, 1),
    "fold apply, a record of 32 messages, 100 rooms": fold_apply(100, COUNT),
    "fold apply, a record of 32 messages, 20,000 rooms": fold_apply(20_000, COUNT),
    "fold apply, a record of JOIN and LEAVE": fold_joins,
    "fold parts, full": fold_parts,
    "fold snapshot, full": fold_snapshot,
    "fold restored, full": fold_restored,
    "feeds, a record of 32 messages for two gateways": feeds_take,
    "history, a message": history_put,
    "rooms join and leave": rooms_join_and_leave,
    "rooms targets": rooms_targets,
}
