"""The set-up of an attack: an installation, well-behaved clients, attackers, and a monitor of the resources
that all of them use.

A calm phase, the attack, and a time to recover. Each attack gets a new gateway, and a new router if it
targets one, so that it does not inherit memory from the attack before. RabbitMQ and the other routers are
kept, because they take long to start.
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import orjson
import psutil

from bench.attack import backend, payloads
from bench.attack.figures import Result, Sample, latency
from bench.attack.on_memory import KEPT, KEPT_FLAT
from bench.attack.plans import Attack, Scene
from bench.installation import Installation, Process
from bench.socket_client import SocketClient

SECRET = "known to the bench and to the gateway alone"
NAMESPACES = """[
  {name: reject, pattern: "reject:*", rate: {count: 5, per_ms: 1000, policy: reject}},
  {name: kept, pattern: "kept:*", history: {count: 1000, age_s: 3600}},
]"""
# The limits on single clients have their defaults: they are under test here.
ENV = {
    "WARREN_GATEWAY_AUTH": "jwt",
    "WARREN_GATEWAY_ECHO": "true",  # it is attacked, too
    "WARREN_GATEWAY_JWT_SECRET": SECRET,
    "WARREN_GATEWAY_RATE": "5",
    "WARREN_GATEWAY_CONNECTIONS": "10000",
    "WARREN_LOG_LEVEL": "info",
    "WARREN_NAMESPACES": NAMESPACES,
}
FILLED = {KEPT: b'"' + b"x" * 48_000 + b'"', KEPT_FLAT: payloads.flat(48_000)}
FILL_COUNT = 40  # within the history of one room
WATCH_S = 0.05
READY_S = 60.0  # the well-behaved clients are ready only after a router has accepted their JOINs
SETTLES_S = 1.0  # after the attack, before samples count as recovered
_ROOT = Path(__file__).parents[2]


class Watch:
    """Memory and CPU of two processes, sampled every WATCH_S by a separate thread."""

    def __init__(self, *processes: Process) -> None:
        self._processes = processes
        self._most = [0] * len(processes)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(WATCH_S):
            for index, process in enumerate(self._processes):
                self._most[index] = max(self._most[index], rss_of(process))

    def end(self) -> list[int]:
        """Return the peak memory of each."""
        self._over.set()
        self._thread.join()
        return self._most


def rss_of(process: Process) -> int:
    """Return a process's resident memory, 0 if it has died."""
    try:
        return process.rss_bytes()
    except psutil.Error:
        return 0


def cpu_of(process: Process) -> float:
    """Return the CPU seconds that a process has used, 0 if it has died."""
    try:
        return process.cpu_s()
    except psutil.Error:
        return 0.0


def machine() -> tuple[float, float]:
    """Return the CPU seconds of the whole machine, and how many of them it was idle."""
    times = psutil.cpu_times()
    guests = times.guest + times.guest_nice  # already included in user and nice
    return sum(times) - guests, times.idle + times.iowait


def token(user: str) -> str:
    """Return a valid token."""
    return jwt.encode({"sub": user, "exp": time.time() + 3_600}, SECRET, "HS256")


class Child:
    """A helper process that says when it is ready, and reports when it is told to end."""

    def __init__(self, module: str, *arguments: str, told: dict[str, Any] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        if told is not None:
            self._say(json.dumps(told))
        stdout = self._process.stdout
        assert stdout is not None
        there, _, _ = select.select([stdout], [], [], READY_S)
        if not there or stdout.readline().strip() != "ready":
            self._process.kill()
            raise RuntimeError(f"{module} did not become ready")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def begin(self) -> None:
        """Tell it to begin."""
        self._say("begin")

    def report(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """End it, and return its report."""
        output, _ = self._process.communicate(timeout=timeout_s)
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    def kill(self) -> None:
        """End it, whatever its state."""
        self._process.kill()
        self._process.wait()


class Stage:
    """An installation on which one attack after the other is run."""

    def __init__(
        self, installation: Installation, *, seconds: float, calm_s: float, recovery_s: float, victims: int
    ) -> None:
        self._installation = installation
        self._seconds, self._calm_s, self._recovery_s = seconds, calm_s, recovery_s
        self._victims = victims
        self._spent = False  # the router may still be busy with the last attack
        self._origins: dict[str, tuple[str, int]] = {}

    def play(self, attack: Attack) -> Result:
        """Run one attack."""
        installation = self._installation
        spent, self._spent = self._spent, True  # unless all goes well
        if attack.fresh_router or spent:
            for router in list(installation.routers):
                installation.end(router)
            backend.purge(installation.rabbit.url)
            installation.start_router()
        for gateway in list(installation.gateways):
            installation.end(gateway)
        installation.start_gateway()
        for process in (*installation.routers, *installation.gateways):
            process.wait_ready()
        if attack.kind in ("memory", "reads") and not self._origins:
            self._fill()
        children: list[Child] = []
        try:
            result = self._play(attack, children)
            self._spent = attack.fresh_router or bool(result.died)
            return result
        finally:
            for child in children:
                child.kill()

    def _play(self, attack: Attack, children: list[Child]) -> Result:
        installation = self._installation
        gateway, router, url = installation.gateways[0], installation.routers[0], installation.urls[0]
        victims = Child(
            "bench.attack.victims", url, *(token(f"victim{number}") for number in range(self._victims))
        )
        children.append(victims)
        seconds = max(self._seconds, attack.at_least_s)
        told = {
            "name": attack.name, "seconds": seconds, "url": url, "amqp": installation.rabbit.url, "secret": SECRET, "origins": self._origins,
        }  # fmt: skip
        attackers = []
        for number in range(len(attack.plans(Scene(seconds, self._origins)))):
            attackers.append(Child("bench.attack.attacker", told={**told, "plan": number}))
            children.append(attackers[-1])
        time.sleep(0.5)
        result = Result(attack.name, attack.kind, attack.says)

        calm_at, calm_cpu = time.monotonic(), (cpu_of(gateway), cpu_of(router))
        time.sleep(self._calm_s)
        began, before = time.monotonic(), (cpu_of(gateway), cpu_of(router))
        result.gateway_calm_cpu, result.router_calm_cpu = (
            (b - a) / (began - calm_at) for a, b in zip(calm_cpu, before, strict=True)
        )
        rss = rss_of(gateway), rss_of(router)
        watch, total = Watch(gateway, router), machine()
        ours = self._ours(gateway, router)
        for attacker in attackers:
            attacker.begin()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        ended, after, total_after = time.monotonic(), (cpu_of(gateway), cpu_of(router)), machine()
        own = self._ours(gateway, router) - ours
        reports = [attacker.report() for attacker in attackers]
        time.sleep(self._recovery_s)
        most = watch.end()

        result.seconds = ended - began
        result.gateway_cpu, result.router_cpu = (
            (b - a) / result.seconds for a, b in zip(before, after, strict=True)
        )
        result.rss = rss[0], most[0], rss_of(gateway)
        result.router_rss = rss[1], most[1], rss_of(router)
        for name, process in (("gateway", gateway), ("router", router)):
            if not process.child.running:
                result.died.append(f"the {name} died ({process.child.exit_code})")
        tracebacks = gateway.log.count("Traceback (most recent") + router.log.count("Traceback (most recent")
        if tracebacks:
            result.died.append(f"{tracebacks} tracebacks in the log")
        _take_reports(result, reports)
        told_by_victims = victims.report()
        _take_victims(result, told_by_victims, calm_at, began, ended)
        whole = total_after[0] - total[0]
        own += sum(report["cpu_s"] for report in reports) + told_by_victims["cpu_s"] * result.seconds / (
            result.seconds + self._calm_s + self._recovery_s
        )
        result.idle = (total_after[1] - total[1]) / whole
        result.others = max(0.0, 1 - result.idle - own / whole)
        return result

    def _ours(self, gateway: Process, router: Process) -> float:
        broker = psutil.Process(self._installation.rabbit.pid).cpu_times()
        return cpu_of(gateway) + cpu_of(router) + broker.user + broker.system + time.process_time()

    def _fill(self) -> None:
        """Fill the rooms whose histories are requested, and find out where they begin."""
        for room, body in FILLED.items():
            backend.publish(self._installation.rabbit.url, room, [body] * FILL_COUNT)
        self._origins = {room: asyncio.run(origin(self._installation.urls[0], room)) for room in FILLED}


async def origin(url: str, room: str) -> tuple[str, int]:
    """Return the position of a room's first message, once everything that it was filled with has arrived."""
    found: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def heard(_: SocketClient, data: bytes) -> None:
        if b'"ref":"origin"' in data:
            found.put_nowait(orjson.loads(data))

    client = await SocketClient.connect(url, heard, subprotocol=f"warren.v1, bearer.{token('origin')}")
    while True:
        client.send(payloads.join(room, None, "origin"))
        joined = await asyncio.wait_for(found.get(), 20)
        if joined["type"] == "ERROR":
            raise RuntimeError(str(joined))
        if joined["payload"]["seq"] >= FILL_COUNT:
            client.close()
            return joined["payload"]["epoch"], 1
        await asyncio.sleep(0.3)


def _take_reports(result: Result, reports: list[dict[str, Any]]) -> None:
    ends: Counter[str] = Counter()
    for report in reports:
        result.sent += report["sent"]
        result.received += report["received"]
        result.opened += report["opened"]
        result.attacker_cpu += report["cpu_s"] / result.seconds
        ends.update(report["ends"])
        if report["first_end"] is not None and result.first_end is None:
            result.first_end = (report["first_end"][0], report["first_end"][1])
    result.ends = dict(ends.most_common(4))


def _take_victims(result: Result, told: dict[str, Any], calm_at: float, began: float, ended: float) -> None:
    samples = [Sample(*sample) for victim in told["victims"] for sample in victim["samples"]]
    for kind in ("ping", "ack"):
        result.calm[kind] = latency(samples, kind, calm_at, began)
        result.attacked[kind] = latency(samples, kind, began, ended)
        result.after[kind] = latency(samples, kind, ended + SETTLES_S, float("inf"))
    closes = [code for victim in told["victims"] for at, code in victim["closes"] if at >= began]
    result.closes = {str(code): count for code, count in Counter(closes).most_common()}
