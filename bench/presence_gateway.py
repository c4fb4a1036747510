"""What a gateway does for those of its clients who watch a room: one diff for all of them, and the answers
when all have lost the same one.

    python -m bench.presence_gateway [--watchers 10000] [--rounds 50] [--json FILE]

No broker and no sockets: the gateway's own code (watchers, hub, frames, outboxes), from the envelope as it
came to the bytes on each outbox; what waits there is taken out again between the rounds. CPU is user + system
of this process. A third of the watchers each speak JSON, JSON with deflate, and MessagePack.

* diff: 25 users have joined, each with an info of 30 bytes
* page: a client asks for the first 100 of 1,000 users; all ask for the same, and the router answers once

The memory is what Python has allocated (tracemalloc) for one watcher of one room.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from gateway.core.client_limits import OutboxLimits
from gateway.core.client_messages import Presence
from gateway.core.hub import Hub, Member
from gateway.core.inputs import Input, PresenceRead
from gateway.core.outbox import Outbox
from gateway.core.presence_watchers import PresenceWatchers
from gateway.core.websocket import frames
from gateway.shell.room_presence import RoomPresence
from warren.clock import SystemClock
from warren.envelope import Inform, PresenceDiff, PresenceMember, PresencePage, PresenceQuery, Watch
from warren.metrics import GatewayMetrics

ROOM = "chat:presence"
INFO = b'{"name":"Ann Example","n":123}'
JOINED = 25
PAGE = 100
USERS = 1_000
SPOKEN = (frames.JSON, frames.JSON_DEFLATE, frames.MSGPACK)


class Watcher(Member):
    """A client that takes what comes; an answer becomes its frame."""

    __slots__ = ("answers",)

    def __init__(self, number: int, limits: OutboxLimits) -> None:
        """Begin with nothing that waits."""
        name = f"g~{number + 1:x}"
        super().__init__(name, f"user-{number}", SPOKEN[number % len(SPOKEN)], Outbox(limits))
        self.answers = 0

    def put(self, item: Input, *, write: bool = True) -> None:
        """Spell an answer as a connection does."""
        assert isinstance(item, PresenceRead)
        chunk = frames.message_frame(Presence(item.room, item.payload, item.ref), self.variant, 0)
        self.outbox.put(chunk)
        self.answers += 1

    def flush(self) -> None:
        """Leave it where it is: the round takes it out."""


class StillClock(SystemClock):
    """Time is given to the code, not waited for: on a busy machine what was read would be too old."""

    def monotonic(self) -> float:
        """Return always the same."""
        return 1.0


class Upward:
    """The way up: what is asked is kept, the rest is counted."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.asked: list[PresenceQuery] = []

    def tell(self, up: Watch | Inform, shard: int) -> bool:
        """Take a word about presence."""
        return True

    def ask(self, shard: int, question: Any) -> None:
        """Keep a question."""
        self.asked.append(question)


def member(number: int, revision: int) -> PresenceMember:
    """Return one who is there."""
    return PresenceMember(f"user-{number:05}", f"user-{number:05}", INFO, number * 2**40 + revision)


def measure(watchers: int, rounds: int) -> dict[str, float]:
    """Return the figures."""
    limits, upward, hub = OutboxLimits(), Upward(), Hub()
    clients = [Watcher(number, limits) for number in range(watchers)]
    for client in clients:
        hub.add(client)
    presence = RoomPresence(
        PresenceWatchers("g", hub.is_here),
        hub,
        upward,  # type: ignore[arg-type]
        upward,  # type: ignore[arg-type]
        StillClock(),
        GatewayMetrics(),
    )
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for client in clients:
        presence.watch(ROOM, 0, client.id, contact=False)
    memory = (tracemalloc.get_traced_memory()[0] - before) / watchers
    tracemalloc.stop()

    diffs = [
        PresenceDiff(
            ROOM,
            number,
            USERS,
            USERS,
            number,
            joined=tuple(member(number * JOINED + each, number) for each in range(JOINED)),
        )
        for number in range(1, rounds + 1)
    ]
    began, size = time.process_time(), 0
    taking = 0.0
    for diff in diffs:
        presence.diff(diff)
        paused = time.process_time()
        for client in clients:
            size += sum(map(len, client.outbox.take(2**30)))
        taking += time.process_time() - paused
    diff_s = (time.process_time() - began - taking) / rounds

    began = time.process_time()
    for client in clients:
        presence.ask(PresenceQuery(ROOM, client.id, "q", PAGE), 0)
    (asked,) = upward.asked
    members = tuple(member(number, 1) for number in range(PAGE))
    page = PresencePage(asked.conn, ROOM, asked.ref, rounds, USERS, USERS, rounds, members, more=True)
    presence.page(page)
    for client in clients:
        presence.ask(PresenceQuery(ROOM, client.id, "q2", PAGE), 0)
    pages_s = (time.process_time() - began) / (2 * watchers)
    assert len(upward.asked) == 1
    assert all(client.answers == 2 for client in clients)
    return {
        "watchers": watchers,
        "diff_ms": diff_s * 1e3,
        "diff_us_a_watcher": diff_s * 1e6 / watchers,
        "diff_bytes_a_watcher": size / rounds / watchers,
        "page_us": pages_s * 1e6,
        "questions_to_the_router": len(upward.asked),
        "bytes_a_watcher": memory,
    }


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.watchers, options.rounds)
    for name, value in found.items():
        sys.stdout.write(f"{name:<26}{value:>12,.2f}\n")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
