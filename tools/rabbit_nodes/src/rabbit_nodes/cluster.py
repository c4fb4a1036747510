"""A private cluster of RabbitMQ nodes on the loopback, for what must survive the loss of any one of them.

The first node starts alone; each other finds it by RabbitMQ's own peer discovery as it starts, one after the
other (all at once makes two clusters now and then on 3.10). It works with what ``RabbitNode`` works with, and
never touches a broker that it did not start.
"""

from __future__ import annotations

import subprocess
import time
from types import TracebackType
from typing import Self

from rabbit_nodes.debian import RabbitRoot
from rabbit_nodes.node import RabbitNode
from rabbit_nodes.server import RabbitMissing

# What RabbitMQ's own guide advises for three nodes: who is cut off from the others serves nobody.
_CONFIG = "cluster_partition_handling = pause_minority\n"
# Erlang, for 3.10 (which has no list_running) and later.
_ALL_SEE_ALL = """
Nodes = lists:sort([%s]),
Running = case erlang:function_exported(rabbit_nodes, list_running, 0) of
  true -> list_running;
  false -> all_running
end,
lists:all(fun(Node) -> lists:sort(rpc:call(Node, rabbit_nodes, Running, [], 5000)) =:= Nodes end, Nodes).
"""


class RabbitCluster:
    """Several nodes that are one broker. ``start`` blocks until all are in; ``close`` (or leaving the
    ``with``) removes all of it.
    """

    def __init__(self, count: int = 3, *, root: RabbitRoot | None = None, config: str = "") -> None:
        """``root`` and ``config`` as for RabbitNode."""
        first = RabbitNode(config=_CONFIG + config, root=root)
        self.nodes = [first]
        try:
            for _ in range(1, count):
                node = RabbitNode(
                    config=first.config, root=root, epmd_port=first.epmd_port, cookie=first.cookie
                )
                self.nodes.append(node)
                node.config += (
                    "cluster_formation.peer_discovery_backend = classic_config\n"
                    f"cluster_formation.classic_config.nodes.1 = {first.name}\n"
                    f"cluster_formation.classic_config.nodes.2 = {node.name}\n"
                )
        except BaseException:
            self.close()
            raise

    @property
    def urls(self) -> list[str]:
        """The AMQP URL of each node, in their order."""
        return [node.url for node in self.nodes]

    def form(self, timeout_s: float = 90.0) -> None:
        """Start all nodes for the first time. Raises RabbitMissing where one does not come up or did not
        join.
        """
        for node in self.nodes:
            node.start(timeout_s)
        if not self.together(timeout_s):
            raise RabbitMissing(f"the nodes did not become one cluster:\n{self.nodes[-1].log}")

    def together(self, timeout_s: float = 10.0) -> bool:
        """Say whether every node sees every other, within ``timeout_s`` (0.7 s of CPU for each look: on a
        busy machine one can take 20).
        """
        deadline = time.monotonic() + timeout_s
        while not self._all_see_all(max(20.0, timeout_s)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def start(self, index: int, timeout_s: float = 90.0) -> None:
        """Bring a node back after ``kill`` or ``stop``, with its data, on its port."""
        self.nodes[index].start(timeout_s)

    def stop(self, index: int) -> None:
        """Shut a node down in order."""
        self.nodes[index].stop()

    def kill(self, index: int) -> None:
        """Lose a node (SIGKILL)."""
        self.nodes[index].kill()

    def pause(self, index: int) -> None:
        """Freeze a node: its sockets stay open and nothing answers."""
        self.nodes[index].pause()

    def resume(self, index: int) -> None:
        """Let a frozen node go on. Frozen for more than 10 s, one of 3.10 needs ``restart`` to be one of them
        again.
        """
        self.nodes[index].resume()

    def restart(self, index: int, timeout_s: float = 90.0) -> None:
        """Kill a node, frozen or not, and bring it back."""
        self.nodes[index].kill()
        self.nodes[index].start(timeout_s)

    def close(self) -> None:
        """End every node at once and leave nothing behind."""
        for node in reversed(self.nodes):
            node.close()

    def __enter__(self) -> Self:
        try:
            self.form()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _all_see_all(self, timeout_s: float) -> bool:
        """Have one node ask all of them; one that does not answer sees nobody."""
        names = ", ".join(f"'{node.name}'" for node in self.nodes)
        try:
            said = self.nodes[0].ctl("eval", _ALL_SEE_ALL % names, timeout_s=timeout_s)
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return said.strip() == "true"
