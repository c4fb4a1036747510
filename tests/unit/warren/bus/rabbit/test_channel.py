"""RabbitChannel, frame by frame, against a scripted server."""

import asyncio
import gc
from dataclasses import replace

import pamqp.frame
import pytest
from pamqp import commands as spec
from pamqp.header import ContentHeader
from tests.support.amqp_server import AmqpServer
from tests.support.eventually import eventually

from warren.bus import Delivery, Outgoing, Properties
from warren.bus.rabbit.channel import CONFIRM_S, RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection
from warren.errors import BusUnavailable, Nacked, NotConfirmed, Unroutable


async def publish(channel: RabbitChannel, body: bytes, *, mandatory: bool = False) -> None:
    await channel.publish("ex", "key", body, None, mandatory, persistent=True)


def several(count: int) -> list[Outgoing]:
    return [Outgoing("key", b"%d" % number) for number in range(count)]


# ── publishing ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_confirms_in_any_order_wake_their_own_publish(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """An ack, a nack, and an ack of several each end the publishes that they name."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    tasks = [asyncio.create_task(publish(channel, b"%d" % number)) for number in range(6)]
    await eventually(lambda: len(server.published) == 6)
    server.send(1, spec.Basic.Ack(2), spec.Basic.Nack(5), spec.Basic.Ack(4, multiple=True))
    await eventually(lambda: sum(task.done() for task in tasks) == 5)
    assert isinstance(tasks[4].exception(), NotConfirmed)
    assert [task.exception() for task in tasks[:4]] == [None] * 4
    server.send(1, spec.Basic.Ack(6))
    await tasks[5]
    assert [each.body for each in server.published] == [b"%d" % number for number in range(6)]


async def test_each_of_several_has_the_outcome_that_its_confirm_says(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Whatever the order of the confirms; what can't be sent at all does not concern the others."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    too_long = Outgoing("k" * 256, b"long")
    task = asyncio.create_task(channel.publish_all("ex", [*several(3), too_long, *several(1)]))
    await eventually(lambda: len(server.published) == 4)
    server.send(1, spec.Basic.Nack(3), spec.Basic.Ack(4))
    server.send(1, spec.Basic.Ack(2, multiple=True))
    outcomes = await task
    assert [type(outcome) for outcome in outcomes] == [
        type(None), type(None), Nacked, ValueError, type(None),
    ]  # fmt: skip
    assert [each.body for each in server.published] == [b"0", b"1", b"2", b"0"]


async def test_of_several_only_what_stays_away_is_given_up(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Each has as long as a publish by itself, and what waits while the broker holds back has longer."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    channel.confirm_s = 0.05
    server.on_publish = lambda published: published.tag == 2 and server.answer(published, spec.Basic.Ack(2))
    outcomes = await channel.publish_all("ex", several(3))
    assert [type(outcome) for outcome in outcomes] == [NotConfirmed, type(None), NotConfirmed]
    server.on_publish = None
    channel.confirm_s = 4 * CONFIRM_S
    assert await channel.publish_all("ex", several(2)) == [None, None]
    assert channel.confirm_s == CONFIRM_S


async def test_several_that_are_cancelled_leave_no_hole(
    server: AmqpServer, connection: RabbitConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """Their confirms, and those that fail afterwards, are nobody's, and nothing is said of them."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    task = asyncio.create_task(channel.publish_all("ex", [*several(3), Outgoing("k" * 256, b"long")]))
    await eventually(lambda: len(server.published) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    later = asyncio.create_task(channel.publish_all("ex", several(1)))
    await eventually(lambda: len(server.published) == 4)
    server.send(1, spec.Basic.Ack(4, multiple=True))
    assert await later == [None]
    del task
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_the_end_of_a_channel_ends_all_of_several(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Those before it are not confirmed; what comes behind is not sent."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda published: published.tag == 2 and server.drop()
    outcomes = await channel.publish_all("ex", several(3))
    assert {type(outcome) for outcome in outcomes} == {NotConfirmed}
    assert [type(outcome) for outcome in await channel.publish_all("ex", several(2))] == [BusUnavailable] * 2


async def test_a_return_belongs_to_the_publish_that_it_names(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Of several mandatory publishes under way, also with the same message id, the returned one raises
    Unroutable.
    """
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    same = Properties(message_id="same")
    tasks = [
        asyncio.create_task(channel.publish("ex", "key", b"x", same, True, persistent=True)) for _ in range(3)
    ]
    await eventually(lambda: len(server.published) == 3)
    server.give_back(server.published[1])
    server.send(1, spec.Basic.Ack(3, multiple=True))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Unroutable, type(None)]
    assert {each.properties.message_id for each in server.published} == {"same"}


async def test_a_return_that_names_nothing_known_is_ignored(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """A returned message with a foreign app-id, or of a publish that nobody waits for, disturbs nothing."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    await publish(channel, b"x")
    for app_id in ("other", "warren/999"):
        server.give_back(
            replace(server.published[0], tag=999, properties=spec.Basic.Properties(app_id=app_id))
        )
    await publish(channel, b"x")


async def test_a_cancelled_publish_leaves_no_hole(server: AmqpServer, connection: RabbitConnection) -> None:
    """When a publish is cancelled after it was sent, the confirms of the others still fit."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    tasks = [asyncio.create_task(publish(channel, b"x")) for _ in range(3)]
    await eventually(lambda: len(server.published) == 3)
    tasks[1].cancel()
    server.send(1, spec.Basic.Nack(2), spec.Basic.Ack(3), spec.Basic.Ack(1))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]


async def test_a_confirm_that_stays_away_is_not_waited_for(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Its fate is not known; one that comes after that disturbs nothing, and those of others still fit."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    channel.confirm_s = 0.05
    server.on_publish = lambda _: None
    with pytest.raises(NotConfirmed, match="no confirm came"):
        await publish(channel, b"x")
    assert connection.confirmed_at < 0
    later = asyncio.create_task(publish(channel, b"y"))
    await eventually(lambda: len(server.published) == 2)
    server.send(1, spec.Basic.Ack(2, multiple=True))
    await later
    assert connection.confirmed_at > 0


async def test_a_broker_that_is_slow_no_more_is_given_as_long_as_any(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """One confirm that comes at once is enough."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    channel.confirm_s = 4 * CONFIRM_S
    await publish(channel, b"x")
    assert channel.confirm_s == CONFIRM_S


async def test_while_the_broker_holds_publishers_back_a_confirm_is_waited_for(
    server: AmqpServer, connection: RabbitConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when that ends; sent again it would only stand there twice."""
    looks: list[bool] = []

    def held_back(_: RabbitConnection) -> bool:
        looks.append(True)
        return True

    monkeypatch.setattr(RabbitConnection, "held_back", property(held_back))
    channel = await RabbitChannel.opened(connection, confirms=True)
    channel.confirm_s = 0.01
    server.on_publish = lambda _: None
    waits = asyncio.create_task(publish(channel, b"x"))
    await eventually(lambda: len(looks) >= 3)
    assert not waits.done()
    server.send(1, spec.Basic.Ack(1))
    await waits


async def test_the_end_of_a_channel_ends_its_publishes(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """What is not confirmed when the broker closes the channel is NotConfirmed with the broker's reason;
    later ones are BusUnavailable.
    """
    ends: list[bool] = []
    channel = await RabbitChannel.opened(connection, confirms=True, on_end=lambda: ends.append(True))
    server.on_publish = lambda published: server.send(
        1, spec.Channel.Close(404, "NOT_FOUND - no exchange", 60, 40)
    )
    with pytest.raises(NotConfirmed, match="no exchange"):
        await publish(channel, b"x")
    assert channel.over
    assert ends == [True]
    with pytest.raises(BusUnavailable):
        await publish(channel, b"y")
    await channel.leave()
    assert ends == [True]


async def test_the_end_of_the_connection_ends_its_publishes(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """When the connection breaks each publish under way is NotConfirmed, also those that wait for room to be
    written.
    """
    channel = await RabbitChannel.opened(connection, confirms=True)
    server.on_publish = lambda _: None
    tasks = [asyncio.create_task(publish(channel, bytes(200_000))) for _ in range(50)]
    await eventually(lambda: server.published)
    server.drop()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} <= {NotConfirmed, BusUnavailable}
    assert type(results[0]) is NotConfirmed


async def test_body_frames_keep_to_what_was_agreed() -> None:
    """A body larger than the broker's frame size goes in several frames (the server checks their size)."""
    async with AmqpServer(frame_max=4096) as server:
        connection = RabbitConnection(server.url)
        await connection.connect()
        await connection.connected.wait()
        channel = await RabbitChannel.opened(connection, confirms=True)
        bodies = [b"", bytes(4088), bytes(4089), bytes(100_000)]
        for body in bodies:
            await publish(channel, body)
        assert [each.body for each in server.published] == bodies
        await connection.close()


async def test_where_any_size_is_allowed_a_body_is_one_frame() -> None:
    """A broker may set no bound (``frame_max`` 0): then it is published and read all the same."""
    async with AmqpServer(frame_max=0) as server:
        connection = RabbitConnection(server.url)
        await connection.connect()
        await connection.connected.wait()
        channel = await RabbitChannel.opened(connection, confirms=True)
        await publish(channel, bytes(200_000))
        assert [len(each.body) for each in server.published] == [200_000]
        assert connection.socket.frame_bytes > 200_000
        await connection.close()


async def test_properties_are_those_of_each_publish(server: AmqpServer, connection: RabbitConnection) -> None:
    """The kept encoding of the last properties is never used for others, nor for another delivery mode."""
    channel = await RabbitChannel.opened(connection, confirms=True)
    one, two = Properties(type="one"), Properties(type="two")
    for properties, persistent in (
        (one, True),
        (one, False),
        (two, False),
        (one, False),
        (None, True),
        (one, True),
    ):
        await channel.publish("ex", "key", b"", properties, False, persistent)
    seen = [(each.properties.message_type, each.properties.delivery_mode) for each in server.published]
    assert seen == [("one", 2), ("one", 1), ("two", 1), ("one", 1), (None, 2), ("one", 2)]


# ── consuming ───────────────────────────────────────────────────────────────────────────────────────────────


async def consuming(
    server: AmqpServer, connection: RabbitConnection, count: int
) -> tuple[RabbitChannel, list[Delivery]]:
    """Open a channel that has got ``count`` deliveries."""
    channel = await RabbitChannel.opened(connection)
    taken: list[Delivery] = []
    await channel.consume("q", taken.append, prefetch=count)
    for tag in range(1, count + 1):
        server.deliver(channel.number, tag, b"%d" % tag)
    await eventually(lambda: len(taken) == count)
    return channel, taken


def settled(server: AmqpServer) -> list[tuple[str, int, bool]]:
    """What the server was told of deliveries: (kind, tag, multiple or requeue)."""
    return [
        ("ack", frame.delivery_tag, frame.multiple)
        if isinstance(frame, spec.Basic.Ack)
        else ("reject", frame.delivery_tag, frame.requeue)
        for _, frame in server.frames
        if isinstance(frame, spec.Basic.Ack | spec.Basic.Reject)
    ]


async def test_acks_of_one_turn_are_told_at_once(server: AmqpServer, connection: RabbitConnection) -> None:
    """Acks without a hole before them are told in one frame."""
    _, taken = await consuming(server, connection, 5)
    for delivery in taken[:4]:
        delivery.ack()
    await eventually(lambda: settled(server) == [("ack", 4, True)])
    taken[4].ack()
    await eventually(lambda: settled(server)[1:] == [("ack", 5, True)])


async def test_an_ack_never_covers_what_is_not_settled(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Acks behind a delivery that is still held are told one by one; when that is acked, one frame covers the
    rest.
    """
    _, taken = await consuming(server, connection, 5)
    taken[1].ack()
    taken[3].ack()
    await eventually(lambda: settled(server) == [("ack", 2, False), ("ack", 4, False)])
    taken[0].ack()
    await eventually(lambda: settled(server)[2:] == [("ack", 1, True)])
    taken[2].ack()
    taken[4].ack()
    await eventually(lambda: settled(server)[3:] == [("ack", 5, True)])


async def test_rejects_go_before_the_ack_that_would_cover_them(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """A reject is told before an ack of several, which would otherwise take the rejected one with it."""
    _, taken = await consuming(server, connection, 3)
    taken[0].ack()
    taken[2].ack()
    taken[1].reject(requeue=False)
    await eventually(lambda: settled(server) == [("reject", 2, False), ("ack", 3, True)])


async def test_a_delivery_is_settled_once(server: AmqpServer, connection: RabbitConnection) -> None:
    """A second ack or reject of a delivery does nothing."""
    _, taken = await consuming(server, connection, 2)
    taken[0].reject(requeue=True)
    taken[0].ack()
    taken[1].ack()
    taken[1].reject(requeue=False)
    await eventually(lambda: len(settled(server)) == 2)
    assert settled(server) == [("reject", 1, True), ("ack", 2, True)]


async def test_acks_that_were_given_are_told_before_the_channel_goes(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """Leaving right after an ack tells it first; an ack after that does nothing."""
    channel, taken = await consuming(server, connection, 2)
    taken[0].ack()
    await channel.leave()
    taken[1].ack()
    kinds = [type(frame) for _, frame in server.frames]
    assert settled(server) == [("ack", 1, True)]
    assert kinds.index(spec.Basic.Ack) < kinds.index(spec.Channel.Close)


@pytest.mark.parametrize("turns", range(6))
async def test_no_ack_comes_behind_the_end_that_a_cancelled_call_brings(
    server: AmqpServer, connection: RabbitConnection, turns: int
) -> None:
    """A reader that is given up while the broker has not answered it yet has acks in hand: they go before the
    channel does, or not at all.
    """
    server.refuse[spec.Basic.Consume] = lambda _: None
    channel = await RabbitChannel.opened(connection)
    taken: list[Delivery] = []
    consuming = asyncio.create_task(channel.consume("q", taken.append, prefetch=256))
    await eventually(lambda: server.of(spec.Basic.Consume))
    for tag in (1, 2, 3):
        server.deliver(channel.number, tag, b"x")
    await eventually(lambda: len(taken) == 3)
    taken[0].ack()
    consuming.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    taken[1].ack()
    await asyncio.gather(consuming, return_exceptions=True)
    taken[2].ack()
    await channel.leave()
    await eventually(lambda: server.of(spec.Channel.Close))
    await (await RabbitChannel.opened(connection)).leave()  # whatever was on its way has come
    kinds = [type(frame) for number, frame in server.frames if number == channel.number]
    assert spec.Basic.Ack not in kinds[kinds.index(spec.Channel.Close) :]
    assert ("ack", 1, True) in settled(server) or ("ack", 2, True) in settled(server)


async def test_what_comes_after_a_consumer_was_given_up_does_not_stop_the_connection(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """The broker goes on with deliveries until it has read that the channel ends: however many, the others
    are served.
    """
    server.refuse[spec.Basic.Consume] = server.refuse[spec.Channel.Close] = lambda _: None
    channel = await RabbitChannel.opened(connection)
    consuming = asyncio.create_task(channel.consume("q", lambda _: None, prefetch=256))
    await eventually(lambda: server.of(spec.Basic.Consume))
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await channel.leave()
    await eventually(lambda: server.of(spec.Channel.Close))
    for tag in range(1, 400):
        server.deliver(channel.number, tag, b"x")
    async with asyncio.timeout(5.0):
        other = await RabbitChannel.opened(connection)
        assert other.number != channel.number
        server.send(channel.number, spec.Channel.CloseOk())
        await eventually(lambda: channel.number not in connection.channels)
        again = await RabbitChannel.opened(connection)
    assert again.number not in (channel.number, other.number)  # what is late must not meet another channel
    server.refuse.clear()
    for each in (other, again):
        await each.leave()


async def test_a_channel_is_closed_once_though_who_leaves_it_is_cancelled(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """A second end would cost the whole connection (504); the channel goes all the same."""
    server.refuse[spec.Channel.Close] = lambda _: None
    channel = await RabbitChannel.opened(connection)
    leaving = asyncio.create_task(channel.leave())
    await eventually(lambda: server.of(spec.Channel.Close))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await RabbitChannel.opened(connection)  # whatever was on its way has come
    assert len(server.of(spec.Channel.Close)) == 1
    server.send(channel.number, spec.Channel.CloseOk())
    await eventually(lambda: channel.over)


async def test_an_end_that_crosses_ours_is_answered(server: AmqpServer, connection: RabbitConnection) -> None:
    """Else the broker would wait for that answer for as long as the connection lasts."""
    server.refuse[spec.Basic.Consume] = server.refuse[spec.Channel.Close] = lambda _: None
    channel = await RabbitChannel.opened(connection)
    consuming = asyncio.create_task(channel.consume("q", lambda _: None, prefetch=8))
    await eventually(lambda: server.of(spec.Basic.Consume))
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await channel.leave()
    server.send(channel.number, spec.Channel.Close(406, "PRECONDITION_FAILED", 60, 20))
    await eventually(lambda: server.of(spec.Channel.CloseOk))
    assert len(server.of(spec.Channel.Close)) == 1


async def test_nothing_is_published_behind_the_end(server: AmqpServer, connection: RabbitConnection) -> None:
    """A channel that is being left takes no publish any more, though the broker has not answered."""
    server.refuse[spec.Channel.Close] = lambda _: None
    channel = await RabbitChannel.opened(connection, confirms=True)
    leaving = asyncio.create_task(channel.leave())
    await eventually(lambda: server.of(spec.Channel.Close))
    with pytest.raises(BusUnavailable):
        await channel.publish("ex", "key", b"x", None, False, True)
    assert server.published == []
    server.send(channel.number, spec.Channel.CloseOk())
    await leaving


async def test_on_start_comes_before_the_first_delivery(
    server: AmqpServer, connection: RabbitConnection
) -> None:
    """``on_start`` is called once, before any delivery, also where one arrives together with the answer to
    consume.
    """
    moments: list[str] = []
    channel = await RabbitChannel.opened(connection)

    def answer(frame: spec.Basic.Consume) -> None:
        server.send(channel.number, spec.Basic.ConsumeOk(frame.consumer_tag or ""))
        server.deliver(channel.number, 1, b"early")

    server.refuse[spec.Basic.Consume] = answer
    await channel.consume(
        "q", lambda d: moments.append(d.body.decode()), prefetch=1, on_start=lambda: moments.append("start")
    )
    await eventually(lambda: len(moments) == 2)
    assert moments == ["start", "early"]


async def test_a_callback_that_raises_is_logged_and_no_more(
    server: AmqpServer, connection: RabbitConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in the callback is logged, and the next delivery is handed over."""
    seen: list[bytes] = []

    def take(delivery: Delivery) -> None:
        seen.append(delivery.body)
        raise ZeroDivisionError

    channel = await RabbitChannel.opened(connection)
    await channel.consume("q", take, prefetch=5)
    server.deliver(channel.number, 1, b"a")
    server.deliver(channel.number, 2, b"b")
    await eventually(lambda: seen == [b"a", b"b"])
    assert "stays unacknowledged" in caplog.text


async def test_long_deliveries_do_not_keep_the_loop(
    server: AmqpServer, connection: RabbitConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a delivery that took long others have a turn before the next one, which is here already."""
    seen: list[str] = []

    def take(_: Delivery) -> None:
        seen.append("delivery")
        asyncio.get_running_loop().call_soon(seen.append, "turn")

    channel = await RabbitChannel.opened(connection)
    await channel.consume("q", take, prefetch=9)
    four = b"".join(
        pamqp.frame.marshal(frame, channel.number)
        for tag in range(1, 5)
        for frame in (
            spec.Basic.Deliver("c", tag, False, "ex", "key"),
            ContentHeader(0, 0, spec.Basic.Properties()),
        )
    )
    for long_s, told in ((1e9, ["delivery"] * 4 + ["turn"] * 4), (0.0, ["delivery", "turn"] * 4)):
        monkeypatch.setattr("warren.bus.rabbit.channel.LONG_S", long_s)
        seen.clear()
        connection.socket.data_received(four)
        await eventually(lambda: len(seen) == 8)
        assert seen == told


async def test_a_delivery_tells_where_it_comes_from(server: AmqpServer, connection: RabbitConnection) -> None:
    """A delivery has the exchange, the key, its properties and its body, also an empty one."""
    channel = await RabbitChannel.opened(connection)
    taken: list[Delivery] = []
    await channel.consume("q", taken.append, prefetch=5)
    server.deliver(channel.number, 1, b"", message_type="T", headers={"h": 1})
    await eventually(lambda: taken)
    delivery = taken[0]
    assert (delivery.exchange, delivery.routing_key, delivery.redelivered, delivery.body) == (
        "ex",
        "key",
        False,
        b"",
    )
    assert delivery.properties == Properties(type="T", headers={"h": 1})
    assert delivery.properties is delivery.properties


async def test_a_cancel_by_the_broker_is_told(server: AmqpServer, connection: RabbitConnection) -> None:
    """When the broker ends the consumer (basic.cancel) whoever consumes is told."""
    told: list[bool] = []
    channel = await RabbitChannel.opened(connection)
    await channel.consume("q", lambda _: None, prefetch=1, on_cancel=lambda: told.append(True))
    server.send(channel.number, spec.Basic.Cancel(server.of(spec.Basic.Consume)[0].consumer_tag))
    await eventually(lambda: told == [True])


# ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("turns", range(8))
async def test_a_channel_whose_opener_is_cancelled_is_left_in_order(
    server: AmqpServer, connection: RabbitConnection, turns: int
) -> None:
    """Whenever the cancellation comes, no channel is closed that was not opened, and its number can be used
    again.
    """
    opening = asyncio.create_task(RabbitChannel.opened(connection))
    for _ in range(turns):
        await asyncio.sleep(0)
    opening.cancel()
    channel = (await asyncio.gather(opening, return_exceptions=True))[0]
    if isinstance(channel, RabbitChannel):
        await channel.leave()
    await eventually(lambda: not connection.channels.keys() - {0})
    again = await RabbitChannel.opened(connection)
    about = [(number, type(frame)) for number, frame in server.frames if number]
    assert about[-1] == (again.number, spec.Channel.Open)
    assert about[:-1] in ([], [(1, spec.Channel.Open), (1, spec.Channel.Close)])
    await again.leave()


async def test_a_refused_call_is_bus_unavailable(server: AmqpServer, connection: RabbitConnection) -> None:
    """What the broker answers with channel.close becomes BusUnavailable with its reason."""
    server.refuse[spec.Basic.Consume] = lambda _: spec.Channel.Close(404, "NOT_FOUND - no queue 'q'", 60, 20)
    channel = await RabbitChannel.opened(connection)
    with pytest.raises(BusUnavailable, match="no queue"):
        await channel.consume("q", lambda _: None, prefetch=1)
    with pytest.raises(BusUnavailable):
        await RabbitChannel.opened(await closed(connection))


async def closed(connection: RabbitConnection) -> RabbitConnection:
    await connection.close()
    return connection
