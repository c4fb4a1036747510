"""What presence costs: joins and diffs in a room that many watch, beside one frame for each member, and the
memory of a member.

    python -m bench.presence [--watchers 1000] [--joins 100] [--gateways 2] [--seconds 10] [--members 50000]
                             [--json FILE]

No broker and no gateway: the router's own code (fold, diffs, envelopes), and of a gateway what no way of
telling can do without: an envelope decoded, a frame encoded, and one ``send`` for each connection, by TCP on
the loopback to somebody else who reads. Both ways fold the same entries, one join each: a way of telling that
cost nothing would still be half a percent of the CPU of the other. Time is given to the code, not waited for.
CPU is user + system of this process; what the readers take is not in it.

* diffs: what Warren does, ten turns a second
* frames: each join is told at once to each gateway, and by a frame to each who watches

The memory is what Python has allocated (tracemalloc) for a log with so many members of one room, more than
for the same log without presence; strings that both have are not in it. So is the same for users' own rooms,
of one connection each, which contacts watch.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import selectors
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import orjson

from router.core.effects import PresenceChanged
from router.core.fold import Fold
from router.core.presence_diffs import EVERY_S, PresenceDiffs
from warren import envelope as wire
from warren.envelope import PresenceDiff, PresenceMember
from warren.log_entries import PRESENCE_OFF, PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy

ROOM = "chat:presence"
INFO = b'{"name":"Ann Example"}'
NAMESPACES = Namespaces([RoomPolicy("all", "*", presence=PresencePolicy("users", max=100_000))])
MOST_WRITES_PERCENT = 2.0
MOST_CPU_PERCENT = 3.0
MOST_BYTES = 200


class Sockets:
    """Connections, of which another process reads all that comes."""

    def __init__(self, count: int) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
            pairs = []
            for _ in range(count):
                theirs = socket.create_connection(server.getsockname())
                ours, _ = server.accept()
                ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pairs.append((ours, theirs))
        self.ours = [ours for ours, _ in pairs]
        self._reader = os.fork()
        if not self._reader:
            for ours in self.ours:
                ours.close()
            _read_all([theirs for _, theirs in pairs])
            os._exit(0)
        for _, theirs in pairs:
            theirs.close()

    def send(self, frame: bytes) -> int:
        """Write a frame to each; return the bytes."""
        for ours in self.ours:
            ours.sendall(frame)
        return len(frame) * len(self.ours)

    def close(self) -> None:
        """End, and wait for the reader to."""
        for ours in self.ours:
            ours.close()
        os.waitpid(self._reader, 0)


def _read_all(sockets: Sequence[socket.socket]) -> None:
    """Read each until its end, in a few threads."""

    def read(some: Sequence[socket.socket]) -> None:
        with selectors.DefaultSelector() as selector:
            for each in some:
                selector.register(each, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    if not key.fileobj.recv(262_144):  # type: ignore[union-attr]
                        selector.unregister(key.fileobj)

    threads = [threading.Thread(target=read, args=(sockets[at::2],)) for at in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


class Log:
    """A fold that reads what gateways write."""

    def __init__(self) -> None:
        self.fold = Fold(0, 1)
        self.fold.apply(0, wire.encode([wire.Rules("life", 2, 65_536, 65_536, 1_024, 1)]))
        self._numbers: dict[str, int] = {}

    def put(self, gateway: str, *contents: wire.Envelope) -> list[PresenceChanged]:
        number = self._numbers[gateway] = self._numbers.get(gateway, 0) + 1
        hello = [wire.Hello()] if number == 1 else []
        record = wire.encode([wire.Batch(gateway, 1, number, 1), *hello, *contents])
        effects = self.fold.apply(self.fold.offset + 1, record)
        return [effect for effect in effects if isinstance(effect, PresenceChanged)]


def frame_of(diff: PresenceDiff) -> bytes:
    """Return the frame of a diff, as the protocol has it."""

    def shown(members: Sequence[PresenceMember]) -> list[dict[str, object]]:
        return [
            {"user": each.user, "info": orjson.Fragment(each.info), "proof": f"{each.proof:016x}"}
            for each in members
        ]

    payload = {
        "version": diff.version,
        "count": {"users": diff.users, "connections": diff.connections},
        "digest": f"{diff.digest:016x}",
        "joined": shown(diff.joined),
        "left": diff.left,
        "updated": shown(diff.updated),
    }
    return orjson.dumps(
        {"type": "PRESENCE", "room": diff.room, "payload": payload, "timestamp": 1, "version": "1.0"}
    )


class Scene:
    """A room with those who watch it, of whom each gateway has the same share."""

    def __init__(self, watchers: int, gateways: int) -> None:
        self.log = Log()
        self.gateways = [f"g{number}" for number in range(gateways)]
        self.sockets = Sockets(watchers)
        self.writes = self.bytes = self.envelopes = 0
        for number in range(watchers):
            gateway = self.gateways[number % gateways]
            self.log.put(gateway, wire.Watch(ROOM, f"{gateway}~{number:x}", f"w{number}", on=True))

    def join(self, number: int) -> list[PresenceChanged]:
        join = wire.Join(
            ROOM, f"g0~{number + 1_000_000:x}", f"user{number}", info=INFO, presence=PRESENCE_USERS
        )
        return self.log.put("g0", join)

    def tell(self, diff: PresenceDiff) -> None:
        """Carry a diff to the gateways, and a frame to all who watch."""
        for _ in self.gateways:
            body = wire.encode([diff])
            frame = frame_of(wire.decode(body)[0])  # type: ignore[arg-type]
            self.envelopes += 1
        self.bytes += self.sockets.send(frame)
        self.writes += len(self.sockets.ours)


def by_diffs(scene: Scene, joins: int, seconds: int) -> float:
    """Return the CPU seconds of so many seconds by diffs."""
    diffs, now, turns = PresenceDiffs(NAMESPACES), 0.0, round(1 / EVERY_S)
    diffs.speak(now)
    began, number = time.process_time(), 0
    for turn in range(seconds * turns):
        now += EVERY_S
        while number < joins * (turn + 1) // turns:
            for change in scene.join(number):
                diffs.changed(change, scene.log.fold, now)
            number += 1
        for _, diff in diffs.due(scene.log.fold, now):
            scene.tell(diff)
    return time.process_time() - began


def by_frames(scene: Scene, joins: int, seconds: int) -> float:
    """Return the CPU seconds of the same by one frame for each member."""
    began, presence = time.process_time(), scene.log.fold.presence
    for number in range(joins * seconds):
        for change in scene.join(number):
            member = presence.member(ROOM, change.key)
            counts = presence.counts(ROOM)
            joined = () if member is None else (member,)
            scene.tell(
                PresenceDiff(ROOM, counts.version, counts.users, counts.connections, counts.digest, joined)
            )
    return time.process_time() - began


def allocated(members: int, presence: int, *, own_rooms: bool) -> int:
    """Return the bytes of a fold with so many members, of one room or each of the user's own."""
    gc.collect()
    tracemalloc.start()
    log = Log()
    for begin in range(0, members, 1_000):
        joins = [
            wire.Join(
                f"@user{number}" if own_rooms else ROOM, f"g0~{number:x}", f"user{number}", presence=presence
            )
            for number in range(begin, min(members, begin + 1_000))
        ]
        log.put("g0", *joins)
        del joins
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(log.fold.rooms)
    return size


def memory(members: int, *, own_rooms: bool) -> float:
    """Return what presence takes for each member, in bytes."""
    without, with_it = (
        allocated(members, mode, own_rooms=own_rooms) for mode in (PRESENCE_OFF, PRESENCE_USERS)
    )
    return (with_it - without) / members


def main() -> int:
    """Measure, print, and say whether the targets hold."""
    parser = argparse.ArgumentParser(description="what presence costs")
    parser.add_argument("--watchers", type=int, default=1_000)
    parser.add_argument("--joins", type=int, default=100, help="a second")
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--members", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for name, run in (("diffs", by_diffs), ("frames", by_frames)):
        scene = Scene(options.watchers, options.gateways)
        cpu_s = run(scene, options.joins, options.seconds)
        scene.sockets.close()
        found[name] = {
            "cpu_ms": 1_000 * cpu_s / options.seconds,
            "writes": scene.writes / options.seconds,
            "kib": scene.bytes / 1_024 / options.seconds,
            "envelopes": scene.envelopes / options.seconds,
        }
        print(
            f"{name:8} {found[name]['cpu_ms']:9.1f} ms CPU  {found[name]['writes']:9.0f} writes  "
            f"{found[name]['kib']:9.0f} KiB  {found[name]['envelopes']:6.1f} envelopes, each second"
        )
    writes, cpu = (100 * found["diffs"][name] / found["frames"][name] for name in ("writes", "cpu_ms"))
    room, own = (memory(options.members, own_rooms=own_rooms) for own_rooms in (False, True))
    print(f"diffs are {writes:.2f} % of the writes (target: at most {MOST_WRITES_PERCENT:.0f} %)")
    print(f"diffs are {cpu:.2f} % of the CPU, joins included (target: at most {MOST_CPU_PERCENT:.0f} %)")
    print(f"a member of a room with presence: {room:.0f} bytes more (target: at most {MOST_BYTES})")
    print(f"a user's own room with presence: {own:.0f} bytes more")
    if options.json:
        figures = found | {
            "writes_percent": writes,
            "cpu_percent": cpu,
            "member_bytes": room,
            "own_room_bytes": own,
        }
        options.json.write_text(json.dumps(figures, indent=2))
    return int(writes > MOST_WRITES_PERCENT or cpu > MOST_CPU_PERCENT or room > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
