"""What a publish over HTTP costs: Warren's ``POST /v1/publish`` beside Centrifugo's ``POST /api/publish``.

    python -m bench.http_api [--rates 200,500,1000] [--seconds 10] [--connections 32] [--before FOLDER] [--json FILE]

Each product is one node that serves the API (Warren: one router and one gateway on a private RabbitMQ;
Centrifugo: the server of ``bench/peers``, on Redis). Requests come from a process of their own, in Python, on kept-alive connections: at
each rate at their times, whatever the answers take (a late answer delays none), and then as fast as so many
connections can. Latency is from the time at which a request was due to the end of its answer. Products take
turns at each rate, three times; the middle one of the three counts. ``--before`` measures another checkout of
Warren as well, on a broker of its own.

Where the machine itself stood still (``bench/slow_cpu.py``) that is the host's doing, and meets most whoever
needs most CPU: p99 is told as it was, and of the requests that met no such moment.

An answer of Warren's says that the message is committed by the broker (fsync, quorum of one); one of
Centrifugo's that Redis has taken it in memory. That difference is part of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import psutil

from bench.peers.fleet import PEERS, Fleet, Peer
from bench.slow_cpu import SlowCpu, SlowTimes
from rabbit_nodes.ports import free_port

TURNS = 3
KEY = "bench"
ROOM = "kept:http"
TEXT = "x" * 120


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: requests a second that were answered, latency in ms, CPU of the product's processes for each
    request in µs, and how many answers were no success. ``p99_undisturbed_ms`` is of the requests that met no moment
    at which the machine was slow, which it was for ``slow`` of the time.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    p99_undisturbed_ms: float
    slow: float
    cpu_us: float
    failed: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where a product's API is, and the request that is sent to it."""

    host: str
    port: int
    request: bytes
    pids: tuple[int, ...]


def request_of(path: str, headers: dict[str, str], body: Mapping[str, object], host: str) -> bytes:
    """Return a whole HTTP/1.1 request."""
    text = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    lines += ["Content-Type: application/json", f"Content-Length: {len(text)}", "", ""]
    return "\r\n".join(lines).encode() + text


class Connection:
    """One kept-alive connection that has one request under way at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> bool:
        """Send the request, and say whether it was answered with success."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.host, self._target.port)
        reader, writer = self._streams
        writer.write(self._target.request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        return head.startswith(b"HTTP/1.1 200 ")

    def close(self) -> None:
        """End it."""
        if self._streams is not None:
            self._streams[1].close()


async def _load(
    target: Target, rate: float, seconds: float, connections: int
) -> tuple[list[tuple[float, float]], int, float]:
    """Ask at ``rate`` (0: as fast as the connections can) for so long; return when each request was due and
    answered, failures, and how long it took.
    """
    idle = [Connection(target) for _ in range(connections)]
    everyone = list(idle)
    free = asyncio.Semaphore(connections)
    answered: list[tuple[float, float]] = []
    failed = 0
    now = time.perf_counter  # uvloop's own clock knows whole milliseconds

    async def one(due: float) -> None:
        nonlocal failed
        async with free:
            connection = idle.pop()
            try:
                failed += not await connection.ask()
                answered.append((due, now()))
            finally:
                idle.append(connection)

    began = now()
    tasks: set[asyncio.Task[None]] = set()
    number = 0
    while now() - began < seconds:
        if rate:
            due = began + number / rate
            if (pause := due - now()) > 0:
                await asyncio.sleep(pause)
        else:
            due = 0.0
            while len(tasks) >= connections:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            due = now()
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
    if tasks:
        await asyncio.wait(tasks, timeout=30)
    took = now() - began
    for connection in everyone:
        connection.close()
    return answered, failed, took


def _loading(target: Target, rate: float, seconds: float, connections: int, answers: object) -> None:
    """Be the process that asks."""
    import uvloop

    answers.put(uvloop.run(_load(target, rate, seconds, connections)))  # type: ignore[attr-defined]


def measure(target: Target, rate: float, seconds: float, connections: int) -> Figures:
    """Return the figures of one run."""
    before, context = _cpu_s(target.pids), multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_loading, args=(target, rate, seconds, connections, answers))
    with SlowCpu() as watching:
        process.start()
        answered, failed, took = answers.get(timeout=seconds + 90)
        process.join()
        used = _cpu_s(target.pids) - before
    return figures_of(answered, failed, took, used, watching.times)


def figures_of(
    answered: list[tuple[float, float]], failed: int, took_s: float, cpu_s: float, slow: SlowTimes
) -> Figures:
    """Return the figures of what was seen."""
    all_of_them = [answer - due for due, answer in answered]
    undisturbed = [answer - due for due, answer in answered if not slow.met(due, answer)]
    return Figures(
        rate=round(len(answered) / took_s, 1),
        p50_ms=_quantile_ms(all_of_them, 0.5),
        p99_ms=_quantile_ms(all_of_them, 0.99),
        p99_undisturbed_ms=_quantile_ms(undisturbed or all_of_them, 0.99),
        slow=round(slow.share, 3),
        cpu_us=round(1_000_000 * cpu_s / len(answered)),
        failed=failed,
    )


def _quantile_ms(seconds: list[float], part: float) -> float:
    ordered = sorted(seconds)
    return round(1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * part))], 2)


def _cpu_s(pids: tuple[int, ...]) -> float:
    total = 0.0
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        total += times.user + times.system
    return total


@contextmanager
def products(names: list[str]) -> Iterator[dict[str, Target]]:
    """Start each product; all run at the same time, and are loaded in turns."""
    chosen = {peer.key: peer for peer in PEERS if peer.key in names}
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(rabbit="warren" in chosen, redis="centrifugo" in chosen))
        targets: dict[str, Target] = {}
        for name in names:
            starting = {"warren": _warren, "centrifugo": _centrifugo}[name]
            targets[name] = stack.enter_context(starting(fleet, chosen[name]))
        yield targets


@contextmanager
def another(checkout: Path) -> Iterator[Target]:
    """Start Warren from another checkout, on a broker of its own."""
    sources = ("libs/warren/src", "services/router/src", "services/gateway/src")
    path = ":".join(str(checkout.resolve() / each) for each in sources)
    warren = next(peer for peer in PEERS if peer.key == "warren")
    with (
        Fleet(rabbit=True, redis=False) as fleet,
        _warren(fleet, warren, {"PYTHONPATH": path}) as target,
    ):
        yield target


@contextmanager
def _warren(fleet: Fleet, peer: Peer, env: Mapping[str, str] | None = None) -> Iterator[Target]:
    from router.core.api_keys import hash_of

    with TemporaryDirectory(prefix="warren-http-") as folder:
        keys, port = Path(folder) / "keys.yaml", free_port()
        keys.write_text(f'keys: [{{name: bench, sha256: "{hash_of(KEY.encode())}", scopes: [publish]}}]')
        more = {
            **(env or {}),
            "WARREN_ROUTER_API_HOST": "127.0.0.1",
            "WARREN_ROUTER_API_PORT": str(port),
            "WARREN_ROUTER_API_KEYS_FILE": str(keys),
        }
        with fleet.serving(peer, 1, more) as serving:
            host = f"127.0.0.1:{port}"
            body = {"address": f"room.{ROOM}", "payload": {"text": TEXT}}
            request = request_of("/v1/publish", {"Authorization": f"Bearer {KEY}"}, body, host)
            pids = (*serving.watch["server"], *serving.watch["rabbit"])
            yield Target("127.0.0.1", port, request, pids)


@contextmanager
def _centrifugo(fleet: Fleet, peer: Peer) -> Iterator[Target]:
    with fleet.serving(peer, 1) as serving:
        where = urlsplit(serving.urls[0])
        body = {"channel": ROOM, "data": {"text": TEXT}}
        request = request_of("/api/publish", {"X-API-Key": KEY}, body, where.netloc)
        pids = (*serving.watch["server"], *serving.watch["redis"])
        yield Target(where.hostname or "", where.port or 0, request, pids)


def middle(runs: list[Figures]) -> Figures:
    """Return the run whose p99 is in the middle."""
    return sorted(runs, key=lambda run: run.p99_ms)[len(runs) // 2]


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table; 1 where an answer was no success."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--rates", default="200,500,1000", help="requests a second, and 0 for as fast as can be"
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--products", default="warren,centrifugo")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--before", type=Path, help="another checkout of Warren, measured too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rates = [float(rate) for rate in options.rates.split(",")] + [0.0]
    found: dict[str, dict[str, dict[str, object]]] = {}
    with ExitStack() as stack:
        targets = stack.enter_context(products(options.products.split(",")))
        if options.before is not None:
            targets["before"] = stack.enter_context(another(options.before))
        for target in targets.values():
            measure(target, 100, 2.0, options.connections)  # warm
        for rate in rates:
            runs: dict[str, list[Figures]] = {name: [] for name in targets}
            for _ in range(options.turns):
                for name, target in targets.items():
                    time.sleep(0.5)
                    runs[name].append(measure(target, rate, options.seconds, options.connections))
            for name, those in runs.items():
                chosen = middle(those)
                asked = f"{rate:g}/s" if rate else f"{options.connections} at a time"
                spread = [f"{run.p99_ms:g} ({run.p99_undisturbed_ms:g})" for run in those]
                found.setdefault(asked, {})[name] = asdict(chosen) | {
                    "all_turns": [asdict(run) for run in those]
                }
                sys.stdout.write(
                    f"{asked:>14}  {name:<11} {chosen.rate:>8.1f}/s  p50 {chosen.p50_ms:>7.2f} ms  "
                    f"p99 {chosen.p99_ms:>6.2f} ms, undisturbed {chosen.p99_undisturbed_ms:>6.2f} "
                    f"(of each turn: {', '.join(spread)}; slow for {100 * chosen.slow:.1f} %)  "
                    f"CPU {chosen.cpu_us:>5} µs  failed {sum(run.failed for run in those)}\n"
                )
                sys.stdout.flush()
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(any(each["failed"] for row in found.values() for each in row.values()))


if __name__ == "__main__":
    raise SystemExit(main())
