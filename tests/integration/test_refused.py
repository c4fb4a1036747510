"""What a real broker refuses: the line in the log says what is wrong and what to do, and the service goes on
as soon as it is mended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.eventually import eventually
from tests.support.rabbit import Rabbit

from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.errors import TopologyMismatch
from warren.topology import Limits, Topology

pytestmark = pytest.mark.rabbit
TIMES = ConnectionTimes(first_pause_s=0.05, longest_pause_s=0.2)


@asynccontextmanager
async def starting(url: str, topology: Topology) -> AsyncIterator[asyncio.Task[None]]:
    """A bus on its way to the broker."""
    bus = RabbitBus([url], topology, name="refused", times=TIMES)
    task = asyncio.create_task(bus.start())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


def said(caplog: pytest.LogCaptureFixture, *words: str) -> bool:
    return any(all(word in line.getMessage() for word in words) for line in caplog.records)


def address(rabbit: Rabbit, user: str = "guest:guest", vhost: str = "") -> str:
    return f"amqp://{user}@{rabbit.host}:{rabbit.port}/{vhost}"


async def test_a_virtual_host_that_does_not_exist_is_named_and_waited_for(
    rabbit: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has its name and the command that makes it; once it is there the bus starts."""
    caplog.set_level(logging.INFO)
    name = rabbit.prefix()
    rabbit.node  # noqa: B018 - skips where the broker is not ours
    async with starting(address(rabbit, vhost=name), Topology(shards=1)) as task:
        await eventually(lambda: said(caplog, f"vhost {name} not found", f"rabbitmqctl add_vhost {name}"))
        await asyncio.to_thread(rabbit.node.add_vhost, name)
        await task
    await asyncio.to_thread(rabbit.node.delete_vhost, name)


async def test_a_wrong_password_is_said_and_not_repeated(
    rabbit: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    """The line names the user and the variable."""
    async with starting(address(rabbit, "guest:wrong-one"), Topology(shards=1)):
        await eventually(
            lambda: said(caplog, "no such user as 'guest', or another password", "WARREN_AMQP_URL")
        )
    assert not said(caplog, "wrong-one")


async def test_a_user_without_permissions_is_told_which(
    rabbit: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    """First that it may not enter the virtual host, then what it may not declare; with permissions the bus
    starts.
    """
    user = rabbit.prefix()
    topology = Topology(rabbit.prefix(), shards=1)

    def permit(*permissions: str) -> None:
        rabbit.ctl("set_permissions", user, *permissions)

    await asyncio.to_thread(rabbit.ctl, "add_user", user, "pw")
    try:
        async with starting(address(rabbit, f"{user}:pw"), topology) as task:
            await eventually(
                lambda: said(caplog, f"refused for user '{user}'", f"set_permissions -p / {user} ")
            )
            await asyncio.to_thread(permit, "^$", "^$", "^$")
            await eventually(
                lambda: said(caplog, f"exchange '{topology.ingress}'", "configure, write and read")
            )
            await asyncio.to_thread(permit, *[rf"^{topology.prefix}\..*"] * 3)
            await task
    finally:
        await asyncio.to_thread(rabbit.ctl, "delete_user", user)
        await asyncio.to_thread(rabbit.remove, topology)


@pytest.mark.parametrize(
    "limits", [Limits(notify_bytes=1 << 20), Limits(log_bytes=1 << 24), Limits(dead_bytes=1 << 20)]
)
async def test_a_service_of_other_sizes_refuses_to_start_and_names_the_settings(
    rabbit: Rabbit, topology: Topology, limits: Limits
) -> None:
    """Queues and streams alike: the broker tells both sizes, and the service does not wait for what can't
    come.
    """
    async with starting(rabbit.url, topology) as task:
        await task
    async with starting(rabbit.url, Topology(topology.prefix, topology.shards, limits)) as task:
        with pytest.raises(TopologyMismatch, match=r"WARREN_BROKER_.*received.*current is"):
            await task
