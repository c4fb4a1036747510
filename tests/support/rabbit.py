"""The RabbitMQ that the tests run against: a private node, or the broker that WARREN_TEST_AMQP_URL names.

A test asks for a fresh topology prefix (free) or a fresh virtual host (0.7 s); nothing of either is left in
the broker afterwards. Tests that kill or freeze the broker are skipped on one that is not ours. The fixtures
are in ``tests/conftest.py``.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from urllib.parse import urlsplit

import pika
import pika.exceptions
import pytest

from rabbit_nodes.node import RabbitNode
from warren.topology import Topology

EXTERNAL = "WARREN_TEST_AMQP_URL"


class Rabbit:
    """One broker for a whole test session. Blocking: from a coroutine call it by ``asyncio.to_thread`` where
    time matters.
    """

    def __init__(self, node: RabbitNode | None, url: str) -> None:
        """``node`` is None for a broker that is not ours."""
        self._node = node
        self.url = url
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 5672
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count(1)
        self._vhosts: list[str] = []

    def prefix(self) -> str:
        """Return a topology prefix that nobody has used; the ``topology`` fixture also removes what is made
        under it.
        """
        return f"test-{self._run}-{next(self._numbers)}"

    def vhost(self) -> str:
        """Make a fresh virtual host and return its URL; it is removed by ``remove_vhosts`` (after
        each test).
        """
        name = self.prefix()
        url = self.node.add_vhost(name)
        self._vhosts.append(name)
        return url

    def remove_vhosts(self) -> None:
        """Remove every virtual host made since the last call."""
        while self._vhosts:
            self.node.delete_vhost(self._vhosts.pop())

    def remove(self, topology: Topology) -> None:
        """Remove every durable queue and every exchange of a topology, whether it was declared or not. A node
        that was just started again does not know all of them at once: it is tried for a while.
        """
        deadline = time.monotonic() + 30.0
        while True:
            try:
                self._remove(topology)
            except pika.exceptions.AMQPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def _remove(self, topology: Topology) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for queue in topology.queues():
                channel.queue_delete(queue.name)
            for exchange in topology.exchanges():
                channel.exchange_delete(exchange.name)

    @property
    def node(self) -> RabbitNode:
        """Our own node; the test is skipped where the broker is not ours."""
        if self._node is None:
            pytest.skip(f"the broker of {EXTERNAL} is not ours to change")
        return self._node

    def start(self) -> None:
        """Start the node again after ``stop`` or ``kill``, on the same port with the same data."""
        self.node.start()

    def stop(self) -> None:
        """Shut the node down in order."""
        self.node.stop()

    def kill(self) -> None:
        """Lose the node (SIGKILL). What it knows of its streams is written first: RabbitMQ does that half a
        second later, and a node that was killed before never serves them again.
        """
        self.node.ctl("eval", "[dets:sync(Table) || Table <- dets:all()], ok.")
        self.node.kill()

    def pause(self) -> None:
        """Freeze the node."""
        self.node.pause()

    def resume(self) -> None:
        """Let a frozen node go on."""
        self.node.resume()

    def ctl(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` and return what it printed."""
        return self.node.ctl(*arguments)

    def heal(self) -> None:
        """Bring the node back if a test left it frozen or dead."""
        if self._node is not None:
            self._node.resume()
            self._node.start()

    def close(self) -> None:
        """Remove our node, or leave the other one as it is."""
        if self._node is not None:
            self._node.close()


def open_rabbit() -> Rabbit:
    """Start a private node, or take the one that the environment names."""
    if url := os.environ.get(EXTERNAL):
        return Rabbit(None, url)
    node = RabbitNode()
    try:
        node.start()
    except BaseException:
        node.close()
        raise
    return Rabbit(node, node.url)
