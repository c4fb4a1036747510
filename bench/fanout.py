"""CPU of a gateway for each delivery of a fan-out: 2,000 members in one room. For comparison, in the same
run: `ws.send_bytes` in a loop.

    python -m bench.fanout [--members 2000] [--messages 200] [--rounds 3] [--json FILE]

Warren: one gateway, one router and the broker; a backend's notifications to the room, paced (one at a time)
and in a burst (all at once). The loop: a bare aiohttp server on uvloop that sends the same bytes to the same
number of sockets. The members are in a separate process and count what they receive. CPU is that of the
gateway's process alone (user + system), medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pika
import psutil
import uvloop
from aiohttp import web

from bench.installation import Installation
from bench.socket_client import SocketClient
from rabbit_nodes.ports import free_port
from warren.topology import Topology

ROOM = "bench"
PAYLOAD = b'{"text": "' + b"x" * 150 + b'"}'


def members(url: str, count: int, room: str, pipe: Connection) -> None:
    """A process with the members; it reports how many messages they have received each time it is asked."""

    async def run() -> None:
        got = joined = 0

        def on_text(_: SocketClient, data: bytes) -> None:
            nonlocal got, joined
            if b"xxxxxxxxxx" in data:
                got += 1
            elif b'"JOINED"' in data and f'"room":"{room}"'.encode() in data:
                joined += 1

        clients = []
        for _ in range(count):
            client = await SocketClient.connect(url, on_text, subprotocol="warren.v1" if room else "")
            if room:
                client.send(f'{{"type":"JOIN","room":"{room}"}}'.encode())
            clients.append(client)
        while room and joined < count:
            await asyncio.sleep(0.01)
        pipe.send("ready")
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.002)
            if pipe.recv() == "end":
                return
            pipe.send(got)

    uvloop.run(run())


class Members:
    """The process with the members, as seen by the benchmark."""

    def __init__(self, url: str, count: int, room: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=members, args=(url, count, room, theirs), daemon=True)
        self._process.start()
        if not self._pipe.poll(120) or self._pipe.recv() != "ready":
            raise RuntimeError("the members did not come")

    def got(self) -> int:
        self._pipe.send("got")
        return int(self._pipe.recv())

    def wait(self, expected: int) -> None:
        deadline = time.monotonic() + 60
        while self.got() < expected:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{expected - self.got()} deliveries are missing")
            time.sleep(0.005)

    def close(self) -> None:
        self._pipe.send("end")
        self._process.join(10)


def loop_server(port: int, pipe: Connection) -> None:
    """A bare aiohttp server that sends to every socket in a loop when told to."""

    async def run() -> None:
        sockets: list[web.WebSocketResponse] = []

        async def serve(request: web.Request) -> web.WebSocketResponse:
            ws = web.WebSocketResponse(compress=False)
            await ws.prepare(request)
            sockets.append(ws)
            async for _ in ws:
                pass
            return ws

        app = web.Application()
        app.router.add_get("/ws", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        pipe.send(os.getpid())
        body = b'{"type":"NOTIFICATION","room":"bench","payload":' + PAYLOAD + b',"version":"1.0"}'
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.001)
            count = pipe.recv()
            if count == 0:
                return
            for _ in range(count):
                for ws in sockets:
                    await ws.send_bytes(body)
            pipe.send("sent")

    uvloop.run(run())


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def measure(
    send: Callable[[int], None],
    pid: int,
    those: Members,
    count: int,
    messages: int,
    rounds: int,
    *,
    at_once: bool,
) -> float:
    """Return the median CPU in µs for each delivery."""
    figures = []
    for _ in range(rounds):
        before, cpu = those.got(), _cpu(pid)
        if at_once:
            send(messages)
            those.wait(before + messages * count)
        else:
            for number in range(messages):
                send(1)
                those.wait(before + (number + 1) * count)
        figures.append((_cpu(pid) - cpu) * 1e6 / (messages * count))
    return statistics.median(figures)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    table: dict[str, float] = {}
    context = multiprocessing.get_context("spawn")
    port, (ours, theirs) = free_port(), context.Pipe()
    server = context.Process(target=loop_server, args=(port, theirs), daemon=True)
    server.start()
    pid = ours.recv()
    those = Members(f"ws://127.0.0.1:{port}/ws", arguments.members, "")

    def send_loop(count: int) -> None:
        ours.send(count)
        ours.recv()

    table["ws.send_bytes in a loop"] = measure(
        send_loop, pid, those, arguments.members, arguments.messages, arguments.rounds, at_once=False
    )
    those.close()
    ours.send(0)
    server.join(10)

    with Installation(gateways=1, routers=1) as installation:
        those = Members(installation.urls[0], arguments.members, ROOM)
        exchange = Topology().notify
        with pika.BlockingConnection(pika.URLParameters(installation.rabbit.url)) as connection:
            channel = connection.channel()
            properties = pika.BasicProperties(content_type="application/json")

            def publish(count: int) -> None:
                for _ in range(count):
                    channel.basic_publish(exchange, f"room.{ROOM}", PAYLOAD, properties)

            pid = installation.gateways[0].child.pid
            common = (publish, pid, those, arguments.members, arguments.messages, arguments.rounds)
            table["Warren, one at a time"] = measure(*common, at_once=False)
            table["Warren, in a burst"] = measure(*common, at_once=True)
        those.close()
    base = table["ws.send_bytes in a loop"]
    if arguments.json is not None:
        keys = ("loop", "one at a time", "burst")
        arguments.json.write_text(json.dumps(dict(zip(keys, table.values(), strict=True)), indent=1) + "\n")
    print(f"{arguments.members} members, {arguments.messages} messages, median of {arguments.rounds} rounds")
    for name, figure in table.items():
        print(f"{name:26} {figure:7.2f} µs of CPU a delivery   {figure / base:5.2f} ×")
    return 0


if __name__ == "__main__":
    sys.exit(main())
