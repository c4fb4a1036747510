"""Round trips a second, and latency, of REQUESTs to a service on a real RabbitMQ.

    python -m bench.rpc [--seconds 10] [--clients 40] [--window 4]

One gateway, one router, the broker and a service that answers at once, each as a process of its own. Each
client keeps ``--window`` REQUESTs open (it asks again when an answer arrives), so the rate found is what the
path can carry. The gateway's CPU for each round trip gives round trips a second for each of its cores,
whatever else the machine does. Latency is measured separately, at 200 a second. Every answer is counted: a
REQUEST without an answer of its own, or with two, makes the command fail, and so does a missed target.
p99 is told as it was, and of the round trips that met no moment at which the machine itself was slow
(``bench/slow_cpu.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psutil
import uvloop

from bench.installation import Installation
from bench.slow_cpu import SlowCpu
from bench.socket_client import SocketClient
from rabbit_nodes.child import Child
from warren.bus import Delivery, Properties, Source
from warren.bus.rabbit.bus import RabbitBus
from warren.topology import Binding, Queue, Topology

SERVICE = "bench.echo"
PAYLOAD = {"id": 7, "text": "x" * 120}
IDLE_PER_S = 200
ENV = {
    "WARREN_NAMESPACES": "services: [{pattern: '*'}]",
    "WARREN_GATEWAY_CALLS_PER_CONNECTION": "64",
    "WARREN_GATEWAY_CALLS": "8192",
}
PER_CORE, P50_MS = 2_000, 4.0


@dataclass
class Client:
    """One client, and what it has asked and heard."""

    socket: SocketClient | None = None
    asked: int = 0
    answered: int = 0
    wrong: int = 0
    open: dict[str, float] = field(default_factory=dict)  # id ▶ when it was asked
    answers: list[tuple[float, float]] = field(default_factory=list)  # when each was asked for, and came
    window: int = 0

    def ask(self) -> None:
        self.asked += 1
        name = str(self.asked)
        self.open[name] = time.perf_counter()
        assert self.socket is not None
        self.socket.send(
            orjson.dumps({"type": "REQUEST", "service": SERVICE, "id": name, "payload": PAYLOAD})
        )

    def hear(self, _: SocketClient, data: bytes) -> None:
        message = orjson.loads(data)
        if message["type"] not in ("RESPONSE", "ERROR"):
            return
        began = self.open.pop(message.get("ref", ""), None)
        if began is None or message["type"] == "ERROR" or message["payload"] != PAYLOAD:
            if not self.wrong:
                print(data.decode()[:300], file=sys.stderr)
            self.wrong += 1
            return
        self.answered += 1
        self.answers.append((began, time.perf_counter()))
        if len(self.open) < self.window:
            self.ask()


@dataclass
class Result:
    """The result of one run; CPU in µs for each round trip."""

    rate: float
    gateway_us: float
    broker_us: float
    p50_ms: float
    p99_ms: float
    p99_undisturbed_ms: float
    slow: float  # for which part of the time the machine was slow
    lost: int
    wrong: int

    @property
    def per_core(self) -> float:
        """Round trips a second that one core of a gateway carries."""
        return 1e6 / self.gateway_us


async def serve(url: str) -> None:
    """Be the service: answer each request with its body, until the process is ended."""
    topology = Topology()
    bus = RabbitBus([url], topology, name="bench-service")
    await bus.start()
    queue = Queue("bench.service", "exclusive")
    answering: set[asyncio.Task[None]] = set()

    def asked(delivery: Delivery) -> None:
        properties = delivery.properties
        answer = Properties("application/json", correlation_id=properties.correlation_id)
        answered = bus.publish("", properties.reply_to or "", delivery.body, answer, persistent=False)
        task = asyncio.ensure_future(answered)
        answering.add(task)
        task.add_done_callback(answering.discard)
        delivery.ack()

    source = Source(queue, (Binding(topology.rpc, queue.name, SERVICE),))
    await bus.subscribe(lambda: source, asked, prefetch=1_000)
    print("serving", flush=True)
    await asyncio.Future()


async def settle(clients: list[Client]) -> None:
    """Wait until everything is answered, or give up on the rest."""
    deadline = time.monotonic() + 20
    while any(client.open for client in clients) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


async def saturate(clients: list[Client], seconds: float, window: int) -> float:
    """Keep the path full; return the round trips a second."""
    before, began = sum(client.answered for client in clients), time.monotonic()
    for client in clients:
        client.window = window
        for _ in range(window):
            client.ask()
    await asyncio.sleep(seconds)
    rate = (sum(client.answered for client in clients) - before) / (time.monotonic() - began)
    for client in clients:
        client.window = 0
    await settle(clients)
    return rate


async def pace(clients: list[Client], seconds: float) -> tuple[float, float, float, float]:
    """Ask at a fixed rate over all clients; return p50, p99 and p99 without slow times in ms, and for which
    part of the time the machine was slow.
    """
    for client in clients:
        client.answers.clear()
    with SlowCpu() as watching:
        began, count = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            while count < elapsed * IDLE_PER_S:
                clients[count % len(clients)].ask()
                count += 1
            await asyncio.sleep(0.001)
        await settle(clients)
    answers = [answer for client in clients for answer in client.answers]
    undisturbed = [answer for answer in answers if not watching.times.met(*answer)] or answers
    whole, part = (
        sorted(1_000 * (came - asked) for asked, came in those) for those in (answers, undisturbed)
    )
    return statistics.median(whole), _p99(whole), _p99(part), watching.times.share


def _p99(ordered: list[float]) -> float:
    return ordered[int(len(ordered) * 0.99)]


async def measure(installation: Installation, count: int, seconds: float, window: int) -> Result:
    clients = [Client() for _ in range(count)]
    for client in clients:
        client.socket = await SocketClient.connect(installation.urls[0], client.hear)
    await asyncio.sleep(1.0)
    gateway, broker = installation.gateways[0], psutil.Process(installation.rabbit.pid)

    def broker_s() -> float:
        times = broker.cpu_times()
        return times.user + times.system

    await saturate(clients, 2.0, window)  # warm up
    before, gateway_s, began_broker_s = (
        sum(client.answered for client in clients),
        gateway.cpu_s(),
        broker_s(),
    )
    rate = await saturate(clients, seconds, window)
    trips = sum(client.answered for client in clients) - before
    gateway_us = (gateway.cpu_s() - gateway_s) * 1e6 / trips
    broker_us = (broker_s() - began_broker_s) * 1e6 / trips
    latency = await pace(clients, seconds / 2)
    lost, wrong = sum(len(client.open) for client in clients), sum(client.wrong for client in clients)
    for client in clients:
        assert client.socket is not None
        client.socket.close()
    return Result(rate, gateway_us, broker_us, *latency, lost, wrong)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--window", type=int, default=4, help="REQUESTs that each client keeps open")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
        return 0
    with Installation(gateways=1, routers=1, env=ENV) as installation:
        command = [sys.executable, "-m", "bench.rpc", "--serve", installation.rabbit.url]
        read, write = os.pipe()
        with os.fdopen(read, "rb") as said, os.fdopen(write, "wb") as output:
            service = Child(command, env=dict(os.environ), output=output, folder=Path.cwd())
            try:
                if said.readline() != b"serving\n":
                    raise RuntimeError(f"the service does not start: {said.read1()!r}")
                result = uvloop.run(
                    measure(installation, arguments.clients, arguments.seconds, arguments.window)
                )
            finally:
                service.end(5.0)
    if arguments.json:
        print(json.dumps({**vars(result), "per_core": result.per_core}, indent=2))
    else:
        print(
            f"{'round trips/s':>13} {'a core':>7} {'gateway µs':>11} {'broker µs':>10} {'p50 idle':>9} "
            f"{'p99 idle':>9} {'undisturbed':>11} {'slow':>6}   lost  wrong"
        )
        print(
            f"{result.rate:13,.0f} {result.per_core:7,.0f} {result.gateway_us:11.0f} {result.broker_us:10.0f} "
            f"{result.p50_ms:9.2f} {result.p99_ms:9.2f} {result.p99_undisturbed_ms:11.2f} {result.slow:6.1%} "
            f"{result.lost:6} {result.wrong:6}"
        )
        print(f"(a core: of the gateway; targets: at least {PER_CORE:,}, and p50 at most {P50_MS} ms)")
    return int(result.lost or result.wrong or result.per_core < PER_CORE or result.p50_ms > P50_MS)


if __name__ == "__main__":
    sys.exit(main())
