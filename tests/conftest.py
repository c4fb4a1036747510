"""The few fixtures that all tests share: the broker or a cluster of three, a topology of one's own, and the
check that nothing is left behind.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from tests.support import floors, order, ports, xdist_groups
from tests.support.eventually import stretched
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit, open_rabbit

from rabbit_nodes.cluster import RabbitCluster
from warren.topology import Topology

TEST_SHARDS = 4

# How long one example takes says how busy the machine is, nothing about the code.
hypothesis.settings.register_profile("warren", deadline=None)
hypothesis.settings.load_profile("warren")


def pytest_configure() -> None:
    """Give each worker of a run with ``-n`` ports of its own (its RabbitMQ it has anyway: fixtures are made
    in each worker).
    """
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        ports.take_part(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the tests, have them begin with those that wait for the longest, and keep groups
    together.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = order.in_order(items)
        xdist_groups.pytest_collection_modifyitems(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the time went."""
    floors.show(terminalreporter)


@pytest.fixture(scope="session")
def _broker() -> Iterator[Rabbit]:
    broker = open_rabbit()
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture
def rabbit(_broker: Rabbit) -> Iterator[Rabbit]:
    """The session's RabbitMQ, alive whatever the test before did to it; its virtual hosts go
    after each test.
    """
    _broker.heal()
    yield _broker
    _broker.heal()
    _broker.remove_vhosts()


@pytest.fixture(scope="session")
def _cluster() -> Iterator[RabbitCluster]:
    with RabbitCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster: RabbitCluster) -> Iterator[RabbitCluster]:
    """Three nodes that are one broker, whatever a test does to them; what is declared on them stays. Tests
    that take it carry ``pytest.mark.xdist_group``, so that few workers start one.
    """
    yield _cluster
    for index, node in enumerate(_cluster.nodes):
        node.resume()
        _cluster.start(index)
    assert _cluster.together(stretched(30.0))


@pytest.fixture
def topology(rabbit: Rabbit) -> Iterator[Topology]:
    """A topology under a prefix of its own on the session's RabbitMQ, removed after the test."""
    topology = Topology(prefix=rabbit.prefix(), shards=TEST_SHARDS)
    yield topology
    rabbit.heal()
    rabbit.remove(topology)


@pytest.fixture
def pods(rabbit: Rabbit, topology: Topology, tmp_path: Path) -> Iterator[Pods]:
    """Makes gateways and routers as real processes on the test's own topology; all of them end
    with the test.
    """
    pods = Pods(rabbit.url, topology.prefix, topology.shards, tmp_path)
    try:
        yield pods
    finally:
        pods.close()


@pytest_asyncio.fixture
async def _tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    known = before | {asyncio.current_task()}
    left = asyncio.all_tasks() - known
    for _ in range(5):  # a task that was cancelled, or whose work is done, needs a few turns to end
        if not left:
            return
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - known
    names = "\n  ".join(sorted(repr(task.get_coro()) for task in left))
    for task in left:
        task.cancel()
    pytest.fail(f"{len(left)} task(s) left behind:\n  {names}", pytrace=False)


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> None:
    """Fail each async test that leaves an asyncio task behind (set up first, so it looks after all other
    fixtures are gone).
    """
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_tasks")
