"""What a router does with a message: shard and plan, and the table of rooms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, cycle

from bench.micro.shared_side import AT_US, COUNT, publish
from router.core.limits import ShardLimits
from router.core.plan import plan
from router.core.rooms import RoomTable
from router.core.shard import Shard
from warren import envelope as wire
from warren.namespaces import Namespaces

FRESH = 50_000  # messages that are made before anything is measured


def shard_of(rooms: int) -> Shard:
    """Return a shard with rooms of two members on two gateways."""
    made = Shard(0, 1, 1, ShardLimits(), Namespaces(), "r")
    made.open(None, AT_US)
    for number in range(rooms):
        for gateway in ("g0", "g1"):
            made.apply(wire.Join(f"chat:{number}", f"{gateway}~{number:x}", f"user{number}"), AT_US)
    return made


def apply(rooms: int) -> Callable[[], Callable[[], object]]:
    """A message ▶ effects, in rooms that take turns."""

    def make() -> Callable[[], object]:
        shard = shard_of(rooms)
        fresh = [publish(number, f"chat:{number % rooms}") for number in range(FRESH)]
        numbers = count()

        def run() -> None:
            number = next(numbers)
            shard.apply(fresh[number] if number < FRESH else publish(number, f"chat:{number % rooms}"), AT_US)

        return run

    return make


def apply_join() -> Callable[[], object]:
    """A JOIN and a LEAVE."""
    shard = shard_of(1_000)
    join, leave = wire.Join("chat:1", "g0~fff", "ann", "ref"), wire.Leave(("chat:1",), "g0~fff", "", "ann")

    def run() -> None:
        shard.apply(join, AT_US)
        shard.apply(leave, AT_US)

    return run


def plan_batch() -> Callable[[], object]:
    """The effects of 32 messages ▶ what goes where."""
    shard = shard_of(COUNT)
    effects = [effect for number in range(COUNT) for effect in shard.apply(publish(number, f"chat:{number}"), AT_US)]
    living = frozenset({"g0", "g1", "g2"})
    return lambda: plan(effects, living)


def rooms_join_and_leave() -> Callable[[], object]:
    table = RoomTable()
    names = cycle([f"chat:{number}" for number in range(1_000)])
    for number in range(1_000):
        table.join(f"chat:{number}", "g0", f"g0~{number:x}", "ann")

    def run() -> None:
        room = next(names)
        table.join(room, "g1", "g1~1", "bob")
        table.leave(room, "g1", "g1~1")

    return run


def rooms_targets() -> Callable[[], object]:
    table = RoomTable()
    for gateway in range(50):
        table.join("chat:room", f"g{gateway}", f"g{gateway}~1", "ann")
    return lambda: table.targets("chat:room")


BENCHES: dict[str, Callable[[], Callable[[], object]]] = {
    "shard apply, 100 rooms": apply(100),
    "shard apply, 20,000 rooms": apply(20_000),
    "shard apply, JOIN and LEAVE": apply_join,
    "plan, 32 messages": plan_batch,
    "rooms join and leave": rooms_join_and_leave,
    "rooms targets": rooms_targets,
}
