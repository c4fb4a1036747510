"""How soon a message is delivered after a start: ``python -m bench.failover --starts N`` and ``--full-log
MIB``.

* ``starts``: a gateway and a router start at the same time on a broker that knows nothing of them, again and
  again. As soon as both are ready (``/readyz``), a client connects, and in a room of each shard it sends JOIN
  and a message without waiting in between. Measured for each room, including the first: from the message to
  its ACK; and for each start: from ``/readyz`` to the first ACK, including connect and JOIN.
* ``full log``: the log of one shard is filled until its beginning has been dropped. Then the router is killed
  and another one starts. Measured: from the moment at which the shard is its own until it speaks for it,
  which is the time to read; and from its start until it is ready, which includes the start of Python and
  listening to the other routers. For comparison, both are also measured for a nearly empty log. A message
  must continue where the room was.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque

import orjson

from bench.failover_load import SHARDS, line
from bench.installation import Installation, Process
from bench.socket_client import SocketClient
from warren.address import shard_of

PATIENCE_S = 60.0
POLL_S = 0.002
# The size of a message that fills a log, and how many are in flight at once.
MESSAGE_BYTES = 16 * 1024
WINDOW = 64
# of the log before a router is killed: what is newer than the last checkpoint is there for every length
LAST_MIB = 8


async def ready(process: Process) -> float:
    """Return when a process becomes ready, polling very often."""
    await asyncio.to_thread(process.wait_ready, PATIENCE_S, POLL_S)
    return time.monotonic()


class _Speaker:
    """One client, and when each of its messages was acknowledged."""

    def __init__(self) -> None:
        self.said: dict[str, float] = {}
        self.acked: dict[str, tuple[float, int]] = {}  # id ▶ when, seq
        self.client: SocketClient | None = None
        self._all = asyncio.Event()

    async def connect(self, url: str) -> None:
        self.client = await SocketClient.connect(url, self._told)

    def join(self, room: str) -> None:
        self._send({"type": "JOIN", "room": room, "id": f"join-{room}"})

    def say(self, room: str, ident: str, text: str = "") -> None:
        self.said[ident] = time.monotonic()
        self._send({"type": "CHAT", "room": room, "id": ident, "payload": text})

    def _send(self, message: dict[str, str]) -> None:
        assert self.client is not None
        self.client.send(orjson.dumps(message))

    async def settled(self, open_: int = 0) -> None:
        """Return once at most so many messages are unacknowledged."""
        while len(self.said) - len(self.acked) > open_:
            self._all.clear()
            await asyncio.wait_for(self._all.wait(), PATIENCE_S)

    def _told(self, _: SocketClient, data: bytes) -> None:
        if b'"type":"ACK"' in data:
            message = orjson.loads(data)
            self.acked.setdefault(message["ref"], (time.monotonic(), message["payload"]["seq"]))
            self._all.set()
        elif b'"type":"ERROR"' in data and b'"close"' not in data:
            raise RuntimeError(f"refused: {data!r}")


def _rooms(shards: int) -> list[str]:
    names: dict[int, str] = {}
    for number in range(100 * shards):
        names.setdefault(shard_of(f"start:{number}", shards), f"start:{number}")
    return [names[shard] for shard in range(shards)]


async def starts(count: int) -> None:
    """Measure and print."""
    messages: list[float] = []
    firsts: list[float] = []
    with Installation(gateways=0, routers=0, env={"WARREN_SHARDS": str(SHARDS)}) as warren:
        for number in range(count):
            warren.env["WARREN_PREFIX"] = f"start{number}"
            pair = [warren.start_gateway(), warren.start_router()]
            began = max(await asyncio.gather(*map(ready, pair)))
            speaker = _Speaker()
            await speaker.connect(warren.urls[-1])
            for room in _rooms(SHARDS):
                speaker.join(room)
                speaker.say(room, room)
            await speaker.settled()
            took = [speaker.acked[each][0] - said for each, said in speaker.said.items()]
            firsts.append(min(at for at, _ in speaker.acked.values()) - began)
            messages += took
            print(
                f"{line(f'start {number + 1}', took)}; the first ACK {1_000 * firsts[-1]:.0f} ms after /readyz",
                flush=True,
            )
            assert speaker.client is not None
            speaker.client.close()
            for process in pair:
                warren.end(process)
    print(line("fresh start, from a message to its ACK", messages) + " (aim: under 50 ms)")
    print(
        line("fresh start, from /readyz to the first ACK, connect and JOIN included", firsts) + "\n",
        flush=True,
    )


def _took(router: Process) -> float:
    """Return how long a router took to speak for the shard that was assigned to it, according to its log."""
    said = [orjson.loads(line) for line in router.log.splitlines() if '"shard_taken"' in line]
    return float(said[-1]["ms"]) / 1_000


async def full_log(mib: int, times: int) -> bool:
    """Measure and print; return whether all messages were in place."""
    env = {
        "WARREN_SHARDS": "1",
        "WARREN_BROKER_LOG_BYTES": str(mib * 1024 * 1024),
        "WARREN_LOG_LEVEL": "info",
    }
    with Installation(gateways=1, routers=1, env=env) as warren:
        speaker, sent = _Speaker(), 0
        await speaker.connect(warren.urls[0])
        speaker.join("full")
        figures: dict[str, tuple[list[float], list[float]]] = {}
        for name, bytes_ in (
            ("next to nothing", LAST_MIB),
            (f"{mib} MiB and more", mib + mib // 4 + LAST_MIB),
        ):
            recent: deque[float] = deque(maxlen=100)
            began = time.monotonic()
            while sent * MESSAGE_BYTES < bytes_ * 1024 * 1024:
                sent += 1
                speaker.say("full", str(sent), "x" * MESSAGE_BYTES)
                recent.append(time.monotonic())
                await speaker.settled(WINDOW)
            await speaker.settled()
            print(
                f"{sent * MESSAGE_BYTES / 1024 / 1024:.0f} MiB written after {time.monotonic() - began:.0f} s",
                flush=True,
            )
            for _ in range(times):
                (router,) = warren.routers
                router.child.send(signal.SIGKILL)
                warren.end(router)
                began = time.monotonic()
                router = warren.start_router()
                reads, starts_ = figures.setdefault(name, ([], []))
                starts_.append(await ready(router) - began)
                reads.append(_took(router))
                sent += 1
                speaker.say("full", str(sent), "x")
                await speaker.settled()
        good = [seq for _, seq in speaker.acked.values()] == list(range(1, sent + 1))
        assert speaker.client is not None
        speaker.client.close()
    for name, (reads, starts_) in figures.items():
        for what, took in (
            ("shard to speaking for it (aim: at most 2 s)", reads),
            ("router's start to /readyz", starts_),
        ):
            print(line(f"the log holds {name}: from the {what}", took).replace("rooms", "starts"))
    print("numbers go on where they were\n" if good else "NUMBERS DO NOT GO ON WHERE THEY WERE\n", flush=True)
    return good
