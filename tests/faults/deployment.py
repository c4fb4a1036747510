"""The world: a RabbitMQ cluster, gateways and routers as processes, and a proxy on every way between them, so
that each can be cut by itself.

``fault_injection.py`` hurts it by the names of the schedule; the participants connect to its ``doors``. It
restarts a pod that fell by itself, as Kubernetes would, and remembers that it fell. It never judges, and
nothing of it is left after ``close``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.faults import mutants
from tests.support.eventually import stretched
from tests.support.pods import ROOT, Gateway, Pod, Router
from tests.support.ports import free_port
from tests.support.proxy import Proxy

from rabbit_nodes.cluster import RabbitCluster
from warren.topology import Topology

# Short, so that what is frozen is noticed within the long pauses of the schedule (twice this).
HEARTBEAT_S = 3
SHARDS = 8
_WATCH_S = 0.5

_ENV = {
    "WARREN_SHARDS": str(SHARDS),
    "WARREN_AMQP_HEARTBEAT_S": str(HEARTBEAT_S),
    # Troubles last for seconds, and rooms are busy: within what is kept every resume must recover.
    "WARREN_NAMESPACES": "[{name: all, pattern: '*', history: {count: 5000, age_s: 600}}]",
    "WARREN_GATEWAY_ROOMS": "-",
    "WARREN_GATEWAY_RATE": "100000",
    # a pod that is told to go sends its clients away quickly
    "WARREN_GATEWAY_DRAIN_MS": "1000",
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "4000",
    "WARREN_ROUTER_STOP_DEADLINE_MS": "5000",
}


@dataclass(frozen=True, slots=True)
class Measures:
    """How large the world is. ``mutant`` names a module of ``tests/faults/mutants``; ``env`` goes to every
    pod.
    """

    gateways: int = 3
    routers: int = 3
    brokers: int = 3
    mutant: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


class Post:
    """A pod's place: the pod, its links to each broker node, and (a gateway's) the door of its clients."""

    def __init__(self, pod: Pod, links: Sequence[Proxy], door: Proxy | None = None) -> None:
        """The links and the door are started."""
        self.pod = pod
        self.links = list(links)
        self.door = door
        self.wanted = True  # whether it is meant to run now

    async def restore(self) -> None:
        """Mend all its ways."""
        for proxy in (*self.links, *([self.door] if self.door else [])):
            await proxy.restore()


class Deployment:
    """Use it by ``async with``."""

    def __init__(
        self, measures: Measures, folder: Path, *, cluster: RabbitCluster | None = None, prefix: str = "soak"
    ) -> None:
        """``folder`` takes the pods' logs. ``cluster`` is one that runs, of ``measures.brokers`` nodes, and
        goes on (None: one of its own); others may use it under another ``prefix``. Nothing runs before
        ``start``.
        """
        self.measures = measures
        self.folder = folder
        self.gateways: list[Post] = []
        self.routers: list[Post] = []
        self.falls: list[str] = []  # pods that ended though nobody asked them to
        self.cluster = cluster
        self.topology = Topology(prefix=prefix, shards=SHARDS)
        self._own_cluster = cluster is None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def front_urls(self) -> list[str]:
        """The gateways' URLs, each through its door."""
        return [f"ws://{post.door.host}:{post.door.port}/ws" for post in self.gateways if post.door]

    @property
    def posts(self) -> list[Post]:
        """All pods' places."""
        return [*self.gateways, *self.routers]

    async def start(self) -> None:
        """Bring everything up; return when every pod is ready."""
        if self.cluster is None:
            self.cluster = RabbitCluster(self.measures.brokers)
            await asyncio.to_thread(self.cluster.form)
        for number in range(self.measures.gateways):
            env, links = await self._surroundings("gateway", number)
            gateway = Gateway(f"gateway-{number}", env, self.folder, free_port())
            door = Proxy("127.0.0.1", gateway.port)
            await door.start()
            self.gateways.append(self._post(gateway, links, door))
        for number in range(self.measures.routers):
            env, links = await self._surroundings("router", number)
            self.routers.append(self._post(Router(f"router-{number}", env, self.folder), links))
        await _all(post.pod.start(60.0) for post in self.posts)
        self._watcher = asyncio.create_task(self._watch())

    async def heal(self) -> None:
        """Mend everything and bring everything back; return when every pod is ready."""
        assert self.cluster is not None
        for index, node in enumerate(self.cluster.nodes):
            node.resume()
            await asyncio.to_thread(self.cluster.start, index)
        if not await asyncio.to_thread(self.cluster.together, stretched(30.0)):
            raise AssertionError(f"the broker's nodes don't find each other:\n{self.cluster.nodes[0].log}")
        for post in self.posts:
            await post.restore()
            if post.pod.running:
                post.pod.resume()
            else:
                post.pod.launch()
            post.wanted = True
        await _all(post.pod.ready(60.0) for post in self.posts)

    async def close(self) -> None:
        """End everything at once."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for post in self.posts:
            with contextlib.suppress(RuntimeError):
                post.pod.child.kill()
        for post in self.posts:
            for proxy in (*post.links, *([post.door] if post.door else [])):
                await proxy.close()
        if self.cluster is not None and self._own_cluster:
            await asyncio.to_thread(self.cluster.close)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _surroundings(self, service: str, number: int) -> tuple[dict[str, str], list[Proxy]]:
        """Return a pod's environment and its links; each pod prefers another node of the broker."""
        assert self.cluster is not None
        links: list[Proxy] = []
        urls: list[str] = []
        for node in self.cluster.nodes:
            link = Proxy("127.0.0.1", node.port)
            await link.start()
            links.append(link)
            parts = urlsplit(node.url)
            urls.append(
                parts._replace(netloc=f"{parts.username}:{parts.password}@{link.host}:{link.port}").geturl()
            )
        first = number % len(urls)
        own = {
            "WARREN_AMQP_URL": ",".join(urls[first:] + urls[:first]),
            "WARREN_PREFIX": self.topology.prefix,
            f"WARREN_{service.upper()}_ID": f"{service}-{number}",
            "PYTHONPATH": str(ROOT),
        }
        return {**_ENV, **own, **self.measures.env}, links

    def _post(self, pod: Pod, links: list[Proxy], door: Proxy | None = None) -> Post:
        if self.measures.mutant and mutants.service_of(self.measures.mutant) == pod.module:
            pod.module = f"tests.faults.mutants.{self.measures.mutant}"
        return Post(pod, links, door)

    async def _watch(self) -> None:
        """Start again what fell by itself."""
        while True:
            await asyncio.sleep(_WATCH_S)
            for post in self.posts:
                if post.wanted and not post.pod.running:
                    end = "\n    ".join(post.pod.log(12).splitlines())
                    self.falls.append(
                        f"{post.pod.name} ended by itself with {post.pod.child.exit_code}:\n    {end}"
                    )
                    post.pod.launch()


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them, whatever becomes of one, and raise the first error."""
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
