"""Gateways and routers as real processes: started, watched, frozen and killed as Kubernetes, or bad luck,
would do it. They are forked from a process that has the services imported already (``fork_server``), or,
where they are to be fresh, started by the command of the image.

A pod's log goes to a file; its end is in every error and is printed when the pod is closed, so that pytest
shows it where a test failed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import aiohttp
from tests.support.eventually import stretched
from tests.support.fork_server import ForkedChild, ForkServer
from tests.support.ports import free_port

from rabbit_nodes.child import Child

ROOT = Path(__file__).parents[2]
# What is read as Python starts, or as a library is imported: such a pod can't be forked.
_READ_EARLY = ("OTEL_", "PYTHON")
# A service with something changed in it (``tests.faults.…``) changes it before anybody has imported it.
_CHANGED = "tests."


@cache
def fork_servers() -> tuple[ForkServer, ForkServer]:
    """Return this process's servers. They are two, so that of two gateways, and of two routers, each has
    hashes of its own: an order that depends on them shows.
    """
    return ForkServer(), ForkServer()


_turns: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)


class Pod:
    """One process ``python -m gateway`` or ``python -m router``. Restarting it is a new life on the same
    ports.
    """

    def __init__(
        self,
        module: str,
        name: str,
        env: Mapping[str, str],
        internal_port: int,
        folder: Path,
        *,
        fresh: bool = False,
    ) -> None:
        """Nothing runs before ``start``; ``folder`` takes the log. ``fresh``: started as ``python -m`` and not
        forked.
        """
        self.module = module
        self.name = name
        self.env = dict(env)
        self.internal_port = internal_port
        self.log_file = folder / f"{name}.log"
        self._fresh = fresh or any(each.startswith(_READ_EARLY) and each != "PYTHONPATH" for each in self.env)
        self._child: Child | ForkedChild | None = None
        self._log_bytes = 0  # when the present life began

    @property
    def child(self) -> Child | ForkedChild:
        """The process of the pod's present life."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def running(self) -> bool:
        """Whether the process is there (a paused one is)."""
        return self._child is not None and self._child.running

    @property
    def begun(self) -> bool:
        """Whether the present life has written anything: before that it may not listen to signals yet."""
        return self.log_file.stat().st_size > self._log_bytes

    @property
    def internal_url(self) -> str:
        """Where probes and metrics are."""
        return f"http://127.0.0.1:{self.internal_port}"

    def log(self, lines: int = 60) -> str:
        """Return the end of what the pod wrote, all its lives together."""
        if not self.log_file.exists():
            return "(no log)"
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def launch(self) -> None:
        """Start the process and don't wait for anything."""
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("WARREN_", "OTEL_"))
        }
        with self.log_file.open("ab") as output:
            self._log_bytes = output.tell()
            env, folder = inherited | self.env, self.log_file.parent
            if self._fresh or self.module.startswith(_CHANGED):
                command = [sys.executable, "-m", self.module]
                self._child = Child(command, env=env, output=output, cwd=folder)
            else:
                server = fork_servers()[next(_turns[self.module]) % 2]
                self._child = server.launch(self.module, env=env, output=output, cwd=folder)

    async def start(self, timeout_s: float = 20.0) -> None:
        """Start the process and return once it is ready."""
        self.launch()
        await self.ready(timeout_s)

    async def ready(self, timeout_s: float = 20.0) -> None:
        """Return once ``/readyz`` answers 200. Raises AssertionError with the log's end where it ends or does
        not get ready.
        """
        said = "nothing"
        try:
            async with asyncio.timeout(stretched(timeout_s)):
                while True:
                    if not self.running:
                        break
                    try:
                        status, said = await self.get("/readyz")
                        if status == 200:
                            return
                    except aiohttp.ClientError as error:
                        said = repr(error)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        state = "runs but is not ready" if self.running else f"ended with {self.child.exit_code}"
        raise AssertionError(f"{self.name} {state}; /readyz says {said}; its log:\n{self.log()}")

    async def get(self, path: str) -> tuple[int, str]:
        """GET a path on the internal port; return (status, text)."""
        limit = aiohttp.ClientTimeout(total=stretched(5.0))
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(self.internal_url + path) as answer,
        ):
            return answer.status, await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels (0 where there is none)."""
        _, text = await self.get("/metrics")
        total = 0.0
        for line in text.splitlines():
            sample, _, value = line.rpartition(" ")
            head, _, rest = sample.partition("{")
            if head == name and all(f'{label}="{wanted}"' in rest for label, wanted in labels.items()):
                total += float(value)
        return total

    def kill(self) -> None:
        """SIGKILL, as when its machine goes."""
        self.child.kill()

    def pause(self) -> None:
        """SIGSTOP: it is there and does nothing."""
        self.child.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.child.resume()

    async def terminate(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, as Kubernetes does; return the exit code. Raises AssertionError where it does not end in
        time.
        """
        self.child.send(signal.SIGTERM)
        return await self.ended(timeout_s)

    async def ended(self, timeout_s: float = 20.0) -> int:
        """Wait for the end and return the exit code (negative: the signal)."""
        try:
            return await asyncio.to_thread(self.child.wait, stretched(timeout_s))
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {timeout_s:.0f} s; its log:\n{self.log()}"
            ) from None

    def close(self) -> None:
        """Make an end of it, whatever its state, and print the end of its log."""
        if self._child is None:
            return
        code = self._child.exit_code
        self._child.kill()
        sys.stdout.write(
            f"── {self.name}: {'was running' if code is None else f'had ended with {code}'}; "
            f"log:\n{self.log()}\n"
        )


class Gateway(Pod):
    """A gateway's pod."""

    def __init__(
        self, name: str, env: Mapping[str, str], folder: Path, port: int, *, fresh: bool = False
    ) -> None:
        """``port`` is the external one."""
        internal_port = free_port()
        own = {
            "WARREN_GATEWAY_HOST": "127.0.0.1",
            "WARREN_GATEWAY_PORT": str(port),
            "WARREN_GATEWAY_INTERNAL_PORT": str(internal_port),
            "WARREN_GATEWAY_AUTH": "anonymous",
            "WARREN_GATEWAY_GRACE_MS": "0",  # most tests await what follows from a closed socket
        }
        super().__init__("gateway", name, own | dict(env), internal_port, folder, fresh=fresh)
        self.port = port

    @property
    def http_url(self) -> str:
        """The external address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"


class Router(Pod):
    """A router's pod."""

    def __init__(self, name: str, env: Mapping[str, str], folder: Path, *, fresh: bool = False) -> None:
        """Its internal port is a free one."""
        internal_port = free_port()
        own = {"WARREN_ROUTER_INTERNAL_PORT": str(internal_port)}
        super().__init__("router", name, own | dict(env), internal_port, folder, fresh=fresh)


class Pods:
    """The pods of one test: one installation on one broker."""

    def __init__(self, amqp_url: str, prefix: str, shards: int, folder: Path, *, fresh: bool = False) -> None:
        """Every pod gets this broker, prefix and number of shards; ``folder`` takes the logs. ``fresh`` as
        for Pod.
        """
        self.shards = shards
        self._shared = {"WARREN_AMQP_URL": amqp_url, "WARREN_PREFIX": prefix, "WARREN_SHARDS": str(shards)}
        self._folder = folder
        self._fresh = fresh
        self._pods: list[Pod] = []
        if not fresh:
            fork_servers()

    async def gateway(
        self, env: Mapping[str, str] | None = None, *, port: int | None = None, start: bool = True
    ) -> Gateway:
        """Make a gateway (anonymous unless ``env`` says otherwise) and start it."""
        name = f"gateway-{sum(isinstance(pod, Gateway) for pod in self._pods) + 1}"
        own = self._shared | dict(env or {})
        pod = Gateway(name, own, self._folder, port or free_port(), fresh=self._fresh)
        self._pods.append(pod)
        if start:
            await pod.start()
        return pod

    async def router(self, env: Mapping[str, str] | None = None, *, start: bool = True) -> Router:
        """Make a router and start it."""
        name = f"router-{sum(isinstance(pod, Router) for pod in self._pods) + 1}"
        pod = Router(name, self._shared | dict(env or {}), self._folder, fresh=self._fresh)
        self._pods.append(pod)
        if start:
            await pod.start()
        return pod

    async def installation(
        self, gateways: int = 2, routers: int = 2, env: Mapping[str, str] | None = None
    ) -> tuple[list[Gateway], list[Router]]:
        """Start several of each at once; return them when all are ready."""
        front = [await self.gateway(env, start=False) for _ in range(gateways)]
        back = [await self.router(env, start=False) for _ in range(routers)]
        await asyncio.gather(*(pod.start(timeout_s=40.0) for pod in (*front, *back)))
        return front, back

    @property
    def all(self) -> tuple[Pod, ...]:
        """Every pod that was made, in that order."""
        return tuple(self._pods)

    def close(self) -> None:
        """End them all."""
        for pod in self._pods:
            pod.close()
