"""The broker goes away, is not there, does not answer, or refuses us: what RabbitBus does about it on a real
RabbitMQ.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from tests.support.buses import FAST, ContractTopology, Inbox, durable, gateway, through, until_held
from tests.support.eventually import MS, eventually
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.rabbit import Rabbit

from warren.bus import Record
from warren.bus.rabbit.bus import ConnectionTimes, RabbitBus
from warren.errors import BusUnavailable, NotConfirmed, Unroutable

pytestmark = pytest.mark.rabbit


@pytest.fixture
def topology(rabbit: Rabbit) -> Iterator[ContractTopology]:
    topology = ContractTopology(rabbit.prefix())
    yield topology
    rabbit.heal()
    rabbit.remove(topology)


@pytest_asyncio.fixture
async def proxy(rabbit: Rabbit) -> AsyncIterator[Proxy]:
    async with Proxy(rabbit.host, rabbit.port) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def bus(rabbit: Rabbit, topology: ContractTopology, proxy: Proxy) -> AsyncIterator[RabbitBus]:
    """A bus behind the proxy, not started."""
    bus = RabbitBus([through(rabbit, proxy)], topology, name="cut", times=FAST)
    yield bus
    await bus.close()


@pytest_asyncio.fixture
async def witness(rabbit: Rabbit, topology: ContractTopology) -> AsyncIterator[RabbitBus]:
    """A bus straight to the broker, started: it sees what the one behind the proxy can't disturb."""
    bus = RabbitBus([rabbit.url], topology, name="witness", times=FAST)
    await bus.start()
    yield bus
    await bus.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the bus has logged; nothing of it may hold a traceback, and aiormq says nothing at all."""
    assert all(record.exc_info is None for record in caplog.records)
    assert not [record for record in caplog.records if record.name.startswith("aiormq")]
    return [record.getMessage() for record in caplog.records if record.name == "warren.bus"]


async def read(bus: RabbitBus, topology: ContractTopology, *, until: bytes) -> list[bytes]:
    """Return the first shard's log, up to and with this entry."""
    seen: list[bytes] = []

    def take(record: Record) -> bool:
        seen.append(record.body)
        return record.body != until

    await asyncio.wait_for(bus.tail(topology.log(0).name, "first", take), 20)
    return seen


async def nowhere(witness: RabbitBus, topology: ContractTopology, key: str) -> bool:
    """Whether no queue takes what has this key."""
    try:
        await witness.publish(topology.egress, key, b"x", mandatory=True)
    except Unroutable:
        return True
    except NotConfirmed:
        return False  # it met the queue on its way out
    return False


async def test_cut_and_back(
    bus: RabbitBus,
    witness: RabbitBus,
    proxy: Proxy,
    topology: ContractTopology,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cut is told once, the return once; each exclusive queue comes back under a new name and gets
    messages.
    """
    caplog.set_level(logging.INFO, "warren.bus")
    await bus.start()
    told: list[bool] = []
    bus.watch(told.append)
    inboxes = [Inbox(ack=True) for _ in range(5)]
    subscriptions = [
        await bus.subscribe(gateway(topology, f"g{number}"), inbox, prefetch=10)
        for number, inbox in enumerate(inboxes)
    ]
    names = [subscription.queue for subscription in subscriptions]
    for round_number in range(3):
        await proxy.cut()
        await eventually(lambda: told[-1:] == [False])
        with pytest.raises(BusUnavailable):
            await bus.publish(topology.egress, "all", b"x")
        for number in range(5):
            # the broker may hear of the end later than the bus
            await eventually(lambda number=number: nowhere(witness, topology, f"g{number}"))  # type: ignore[misc]
        await proxy.restore()
        await eventually(lambda: told[-1:] == [True])
        await witness.publish(topology.egress, "all", b"%d" % round_number, mandatory=True)
        for inbox in inboxes:
            await inbox.holds(round_number + 1)
    assert told == [False, True] * 3
    assert all(inbox.bodies == [b"0", b"1", b"2"] for inbox in inboxes)
    assert not set(names) & {subscription.queue for subscription in subscriptions}
    said = lines(caplog)
    assert sum("is gone (publish)" in line for line in said) == 3
    assert sum("connected" in line and "(consume)" in line for line in said) >= 4


async def test_publishes_under_way_at_the_cut(
    bus: RabbitBus, witness: RabbitBus, proxy: Proxy, topology: ContractTopology
) -> None:
    """Each publish under way when the connection breaks ends with an outcome, and each that was confirmed is
    in the log.
    """
    await bus.start()
    confirmed: list[bytes] = []
    failed: list[bytes] = []
    numbers = itertools.count()

    async def publish_until_it_fails() -> None:
        while True:
            body = b"%d" % next(numbers)
            try:
                await bus.publish(topology.ingress, "0", body, mandatory=True)
            except (NotConfirmed, BusUnavailable):
                failed.append(body)
                return
            confirmed.append(body)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(500):
            group.create_task(publish_until_it_fails())
        await eventually(lambda: confirmed, every_s=0)
        await proxy.cut()
    assert len(failed) == 500
    await witness.publish(topology.ingress, "0", b"end", mandatory=True)
    *seen, _ = await read(witness, topology, until=b"end")
    assert set(confirmed) <= set(seen)
    assert seen == sorted(seen, key=int)


async def test_broker_is_dead_at_start(
    bus: RabbitBus, proxy: Proxy, topology: ContractTopology, caplog: pytest.LogCaptureFixture
) -> None:
    """A bus whose broker is not there keeps trying with a clear line each time, and is up when it comes."""
    caplog.set_level(logging.INFO, "warren.bus")
    await proxy.cut()
    starting = asyncio.create_task(bus.start())
    await eventually(lambda: len(lines(caplog)) >= 6)
    assert not starting.done()
    assert f"127.0.0.1:{proxy.port}" in lines(caplog)[0]
    assert "refused" in lines(caplog)[0] or "failed" in lines(caplog)[0]
    await proxy.restore()
    await asyncio.wait_for(starting, 20)
    await bus.publish("", topology.plain.name, b"x", mandatory=True)
    assert "connected to the broker" in lines(caplog)[-1]


async def test_close_ends_a_start_that_waits(rabbit: Rabbit, topology: ContractTopology) -> None:
    """A start that waits for a dead broker can be cancelled and leaves nothing behind."""
    bus = RabbitBus([f"amqp://guest:guest@127.0.0.1:{free_port()}/"], topology, name="nobody", times=FAST)
    starting = asyncio.create_task(bus.start())
    done, _ = await asyncio.wait({starting}, timeout=0.2)
    assert not done
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not bus.up


async def test_start_can_be_cancelled_at_any_moment(
    rabbit: Rabbit, topology: ContractTopology, witness: RabbitBus
) -> None:
    """However far a start has come, cancelling it ends it in time and leaves nothing behind."""
    assert witness.up
    for step in range(40):
        bus = RabbitBus([rabbit.url], topology, name="cancelled", times=FAST)
        starting = asyncio.create_task(bus.start())
        await asyncio.wait({starting}, timeout=step * 2 * MS)
        starting.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(starting, return_exceptions=True)
            await bus.close()
        assert not bus.up


async def test_wrong_address_first(
    rabbit: Rabbit, topology: ContractTopology, caplog: pytest.LogCaptureFixture
) -> None:
    """Of several addresses the first one that answers is taken."""
    caplog.set_level(logging.INFO, "warren.bus")
    dead = free_port()
    urls = [f"amqp://guest:guest@127.0.0.1:{dead}/", "amqp://guest:guest@no-such-host.invalid/", rabbit.url]
    bus = RabbitBus(urls, topology, name="three", times=FAST)
    try:
        async with asyncio.timeout(20):
            await bus.start()
        await bus.publish("", topology.plain.name, b"x", mandatory=True)
        said = lines(caplog)
        assert any(f":{dead}" in line for line in said)
        assert any("no-such-host.invalid" in line for line in said)
    finally:
        await bus.close()


async def test_the_next_address_takes_over(rabbit: Rabbit, topology: ContractTopology, proxy: Proxy) -> None:
    """When the address in use goes away the bus moves to the next one."""
    bus = RabbitBus([through(rabbit, proxy), rabbit.url], topology, name="two", times=FAST)
    told: list[bool] = []
    bus.watch(told.append)
    try:
        await bus.start()
        told.clear()
        assert proxy.connections == 2
        await proxy.cut()
        await eventually(lambda: told == [False, True])
        await bus.publish("", topology.plain.name, b"x", mandatory=True)
    finally:
        await bus.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [({"password": "open-sesame"}, "ACCESS_REFUSED"), ({"vhost": "nowhere"}, "nowhere")],
    ids=["credentials", "vhost"],
)
async def test_refused(
    change: dict[str, str],
    says: str,
    rabbit: Rabbit,
    topology: ContractTopology,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wrong credentials or an unknown virtual host: it keeps trying, says why, and never logs the
    password.
    """
    parts = urlsplit(rabbit.url)
    password = change.get("password", parts.password)
    url = f"amqp://{parts.username}:{password}@{parts.hostname}:{parts.port}/{change.get('vhost', '')}"
    bus = RabbitBus([url], topology, name="refused", times=FAST)
    starting = asyncio.create_task(bus.start())
    await eventually(lambda: sum(says in line for line in lines(caplog)) >= 4, 15)
    assert not starting.done()
    assert "open-sesame" not in caplog.text
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


async def test_a_network_that_went_silent_is_noticed(
    rabbit: Rabbit, topology: ContractTopology, proxy: Proxy
) -> None:
    """A connection on which nothing comes any more is given up after the heartbeats, and made again."""
    times = ConnectionTimes(heartbeat_s=1, connect_s=1.0, first_pause_s=0.02, longest_pause_s=0.1)
    bus = RabbitBus([through(rabbit, proxy)], topology, name="silent", times=times)
    told: list[bool] = []
    bus.watch(told.append)
    try:
        await bus.start()
        proxy.stall()
        hanging = asyncio.create_task(bus.publish("", topology.plain.name, b"x"))
        await eventually(lambda: told == [False], 15)
        with pytest.raises(NotConfirmed):
            await hanging
        proxy.slow()
        await eventually(lambda: told == [False, True], 15)
    finally:
        await bus.close()


async def test_close_does_not_wait_for_a_broker_that_says_nothing(
    bus: RabbitBus, topology: ContractTopology, proxy: Proxy
) -> None:
    """With a silent network close still ends in time and leaves no connection."""
    await bus.start()
    await bus.subscribe(gateway(topology, "g"), Inbox(), prefetch=1)
    reading = asyncio.create_task(bus.tail(topology.log(0).name, "first", lambda _: True))
    await eventually(lambda: proxy.connections == 3)
    proxy.stall()
    async with asyncio.timeout(12):
        await bus.close()
    proxy.slow()
    await eventually(lambda: proxy.connections == 0)
    with pytest.raises(BusUnavailable):
        await reading


async def test_a_server_that_accepts_and_says_nothing(rabbit: Rabbit, topology: ContractTopology) -> None:
    """An address where something accepts but speaks no AMQP costs the connect time-out, then comes the next
    one.
    """
    with socket.create_server(("127.0.0.1", 0)) as mute:
        times = ConnectionTimes(heartbeat_s=5, connect_s=0.3, first_pause_s=0.02)
        url = f"amqp://guest:guest@127.0.0.1:{mute.getsockname()[1]}/"
        bus = RabbitBus([url, rabbit.url], topology, name="mute", times=times)
        try:
            async with asyncio.timeout(20):
                await bus.start()
        finally:
            await bus.close()


async def test_close_leaves_nothing(bus: RabbitBus, topology: ContractTopology, proxy: Proxy) -> None:
    """After close no connection is left, and nobody is told of a loss, for it was none."""
    lost: list[str] = []
    await bus.start()
    bus.watch(lambda up: lost.append(f"watch {up}"))
    await bus.subscribe(
        gateway(topology, "g"), Inbox(), prefetch=1, on_lost=lambda: lost.append("subscription")
    )
    reading = asyncio.create_task(bus.tail(topology.log(0).name, "first", lambda _: True))
    await eventually(lambda: proxy.connections == 3)
    await bus.close()
    await eventually(lambda: proxy.connections == 0)
    assert lost == []
    with pytest.raises(BusUnavailable):
        await reading
    with pytest.raises(BusUnavailable):
        await bus.tail(topology.log(0).name, "first", lambda _: True)
    await bus.close()


async def test_a_memory_alarm_holds_publishers_but_not_consumers(
    rabbit: Rabbit, bus: RabbitBus, topology: ContractTopology, caplog: pytest.LogCaptureFixture
) -> None:
    """Under an alarm a publish waits and ``blocked`` says so, deliveries and acks go on, and afterwards the
    publish is confirmed.
    """
    await bus.start()
    inbox = Inbox()
    for number in range(4):
        await bus.publish("", topology.plain.name, b"%d" % number, mandatory=True)
    await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0")
    try:
        held = await until_held(bus)
        await bus.subscribe(durable(topology.plain), inbox, prefetch=1)
        for count in range(1, 5):
            await inbox.holds(count)
            inbox.deliveries[-1].ack()
        assert not held.done()
        assert bus.up
        await eventually(lambda: any("holds publishing back" in line for line in lines(caplog)))
    finally:
        await asyncio.to_thread(rabbit.ctl, "set_vm_memory_high_watermark", "0.4")
    await asyncio.wait_for(held, 20)
    assert not bus.blocked


@pytest.mark.slow
async def test_the_broker_is_killed_and_started_again(
    rabbit: Rabbit, bus: RabbitBus, topology: ContractTopology
) -> None:
    """After a broker was killed and is back, what was confirmed is in the log, and subscriptions go on."""
    rabbit.node  # noqa: B018 - skips here where the broker is not ours
    await bus.start()
    told: list[bool] = []
    bus.watch(told.append)
    inbox = Inbox(ack=True)
    await bus.subscribe(gateway(topology, "g"), inbox, prefetch=10)
    for number in range(20):
        await bus.publish(topology.ingress, "0", b"%d" % number, mandatory=True)
    await asyncio.to_thread(rabbit.kill)
    await eventually(lambda: told == [False], 10)
    await asyncio.to_thread(rabbit.start)
    await eventually(lambda: told == [False, True], 60)
    await bus.publish(topology.egress, "g", b"x", mandatory=True)
    await inbox.holds(1)

    async def logged() -> list[bytes] | None:
        try:
            return await read(bus, topology, until=b"19")
        except BusUnavailable:  # the node starts its streams after it takes connections
            return None

    assert await eventually(logged, 30) == [b"%d" % number for number in range(20)]
