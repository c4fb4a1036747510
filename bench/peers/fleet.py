"""The servers of each peer as processes on the loopback, with the broker or store that they share.

``Fleet`` holds one RabbitMQ and one Redis for a whole run. ``serving`` starts one peer's nodes on them, in
their own virtual host (or an emptied store), and stops them. It knows how each is started and nothing of what
is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.installation import GENEROUS, Process
from bench.peers.redis_node import RedisNode
from rabbit_nodes.child import Child, end_all
from rabbit_nodes.node import RabbitNode
from rabbit_nodes.ports import free_port

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / ".cache" / "bench"
# No rooms are joined at connect: every peer's clients join one given room.
WARREN = {**GENEROUS, "WARREN_GATEWAY_ROOMS": "-"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One of the products compared; ``driver`` is the load generator's name for its protocol."""

    key: str
    title: str
    driver: str
    store: str  # rabbit or redis
    recovers: str  # what it does for a client that comes back
    kept: str = "bench:"  # prefix of rooms with a history


@dataclass(slots=True)
class Serving:
    """A running peer: its nodes' addresses, which processes' CPU counts as what, and where a backend
    publishes.
    """

    urls: list[str]
    watch: dict[str, list[int]]
    backend: str
    children: list[Child] = field(default_factory=list)


PEERS = (
    Peer("warren", "Warren", "warren", "rabbit", "sends what was missed, or says that it can't"),
    Peer(
        "python-socketio",
        "python-socketio + RabbitMQ",
        "socketio",
        "rabbit",
        "nothing: what was said meanwhile is lost",
    ),
    Peer(
        "socketio",
        "Socket.IO + Redis",
        "socketio",
        "redis",
        "nothing with this adapter: what was said meanwhile is lost",
    ),
    Peer(
        "centrifugo", "Centrifugo + Redis", "centrifugo", "redis", "sends what its history has", kept="kept:"
    ),
    Peer("ws-redis", "ws + Redis", "plain", "redis", "nothing: what was said meanwhile is lost"),
)
TITLES = {peer.key: peer.title for peer in PEERS}


class Fleet:
    """One RabbitMQ and one Redis for all peers, as a context manager."""

    def __init__(self, *, rabbit: bool = True, redis: bool = True) -> None:
        self._stack = ExitStack()
        self._wanted = rabbit, redis
        self.rabbit: RabbitNode | None = None
        self.redis: RedisNode | None = None

    def __enter__(self) -> Self:
        with self._stack:
            if self._wanted[0]:
                self.rabbit = self._stack.enter_context(RabbitNode())
            if self._wanted[1]:
                self.redis = self._stack.enter_context(RedisNode())
            self._folder = Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix="warren-peers-"))
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @contextmanager
    def serving(self, peer: Peer, nodes: int, env: Mapping[str, str] | None = None) -> Iterator[Serving]:
        """Start ``nodes`` nodes of a peer (Warren: as many gateways and as many routers, with ``env``
        besides), and stop them.
        """
        starters: dict[str, Callable[[Serving, int, str], None]] = {
            "warren": self._warren,
            "python-socketio": self._python_socketio,
            "socketio": self._node_js,
            "ws-redis": self._node_js,
            "centrifugo": self._centrifugo,
        }
        serving = Serving([], {}, "")
        self._peer, self._env = peer, dict(env or {})
        store = ""
        try:
            if peer.store == "rabbit":
                assert self.rabbit is not None
                store = self.rabbit.add_vhost(peer.key)
                pid = self.rabbit.pid
            else:
                assert self.redis is not None
                self.redis.ask("FLUSHALL")
                store, pid = self.redis.url, self.redis.pid
            starters[peer.key](serving, nodes, store)
            for url in serving.urls:
                _wait(url, serving.children, self._folder)
            serving.watch.setdefault("server", [child.pid for child in serving.children])
            serving.watch[peer.store] = [pid]
            yield serving
        finally:
            end_all(serving.children, 5.0)
            if peer.store == "rabbit" and self.rabbit is not None and store:
                self.rabbit.delete_vhost(peer.key)

    def _start(
        self, serving: Serving, arguments: list[str | Path], port: int, cwd: Path | None = None
    ) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("WARREN_")}
        with (self._folder / f"{self._peer.key}-{port}.log").open("wb") as output:
            serving.children.append(Child(arguments, env=env, output=output, cwd=cwd))
        serving.urls.append(f"http://127.0.0.1:{port}")

    def _warren(self, serving: Serving, nodes: int, store: str) -> None:
        processes: dict[str, list[Process]] = {"router": [], "gateway": []}
        for module in processes:
            for _ in range(nodes):
                internal, port = free_port(), free_port()
                env = {
                    **WARREN,
                    **self._env,
                    "WARREN_AMQP_URL": store,
                    f"WARREN_{module.upper()}_INTERNAL_PORT": str(internal),
                }
                if module == "gateway":
                    env |= {"WARREN_GATEWAY_HOST": "127.0.0.1", "WARREN_GATEWAY_PORT": str(port)}
                    serving.urls.append(f"http://127.0.0.1:{port}")
                process = Process(module, env, internal, self._folder)
                processes[module].append(process)
                serving.children.append(process.child)
        for each in (*processes["router"], *processes["gateway"]):
            each.wait_ready()
        serving.watch = {"server": [child.pid for child in serving.children]} | {
            module: [process.child.pid for process in those] for module, those in processes.items()
        }
        serving.backend = f"amqp-warren={store}"

    def _python_socketio(self, serving: Serving, nodes: int, store: str) -> None:
        python = BUILT / "python-socketio" / "bin" / "python"
        for _ in range(nodes):
            port = free_port()
            server = HERE / "python_socketio" / "server.py"
            self._start(serving, [python, server, "--port", str(port), "--amqp", store], port)
        serving.backend = f"amqp-socketio={store}"

    def _node_js(self, serving: Serving, nodes: int, store: str) -> None:
        folder = HERE / self._peer.key.replace("-", "_")
        for _ in range(nodes):
            port = free_port()
            self._start(serving, ["node", "server.js", "--port", str(port), "--redis", store], port, folder)
        kind = "redis-socketio" if self._peer.key == "socketio" else "redis-plain"
        serving.backend = f"{kind}={store.removeprefix('redis://')}"

    def _centrifugo(self, serving: Serving, nodes: int, store: str) -> None:
        binary = shutil.which("centrifugo")
        for number in range(nodes):
            port = free_port()
            if binary is None:
                command: list[str | Path] = [
                    BUILT / "centrifugo",
                    "-address",
                    f"127.0.0.1:{port}",
                    "-redis",
                    store,
                ]
            else:
                config = self._folder / f"centrifugo-{number}.json"
                config.write_text(json.dumps(centrifugo_config(port, store)))
                command = [binary, "--config", config]
            if not Path(command[0]).exists():
                raise SystemExit(f"{command[0]} is missing: scripts/bench/peers makes it")
            self._start(serving, command, port)
        serving.backend = f"http-centrifugo={serving.urls[0]}"


def centrifugo_config(port: int, store: str) -> dict[str, object]:
    """Return the configuration that makes Centrifugo 6 do what the thin server does; everything else is its
    default.
    """
    anyone = {
        "allow_subscribe_for_client": True,
        "allow_publish_for_client": True,
        "allow_subscribe_for_anonymous": True,
    }
    anyone |= {"allow_publish_for_anonymous": True}
    kept = {**anyone, "history_size": 300, "history_ttl": "300s", "force_recovery": True}
    return {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "engine": {"type": "redis", "redis": {"address": store}},
        "client": {"insecure": True, "allow_anonymous_connect_without_token": True},
        "http_api": {"key": "bench"},
        "health": {"enabled": True},
        "channel": {"namespaces": [{"name": "bench", **anyone}, {"name": "kept", **kept}]},
    }


def _wait(url: str, children: list[Child], folder: Path) -> None:
    """Return once the port of ``url`` accepts connections."""
    port, deadline = int(url.rsplit(":", 1)[1]), time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > deadline or not all(child.running for child in children):
                said = "\n".join(path.read_text(errors="replace")[-1500:] for path in folder.glob("*.log"))
                raise RuntimeError(f"a server did not start:\n{said}") from None
            time.sleep(0.05)
