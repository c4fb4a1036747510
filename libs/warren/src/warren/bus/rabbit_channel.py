"""RabbitChannel: one AMQP channel: publishes with confirms, one consumer, and its acks.

It is aiormq's channel with the hot paths done otherwise: a publish is written as one byte string, a delivery is a plain call instead of
a task, and acks are gathered for a turn of the event loop and told in one frame where they can be. It never makes itself again:
whoever opened it is told once when it ends. Subscriptions, lanes and the bus open them on a Link's connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel, Returning
from aiormq.connection import Connection
from aiormq.exceptions import AMQPError, DeliveryError
from pamqp import commands as spec
from pamqp.header import ContentHeader

from warren.bus import OnDelivery, Properties
from warren.bus.rabbit_frames import (
    HEADER_OVERHEAD,
    NO_PROPERTIES,
    content,
    decode_properties,
    encode_properties,
    mark,
    marked,
    publish_method,
)
from warren.errors import BusUnavailable, NotConfirmed, Unroutable, WarrenError
from warren.fault import watched

LONG_S = 0.005  # a delivery that took longer is followed by a turn of the loop; else those that are here follow each other at once
FRAMES = 256  # frames that a channel takes in before the connection's reader waits for it

_log = logging.getLogger("warren.bus")


def describe(error: BaseException | type[BaseException] | None) -> str:
    """Say an AMQP or network error in one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    name = error.__name__ if isinstance(error, type) else type(error).__name__
    arguments = error.args if isinstance(error, BaseException) else ()
    texts = [str(argument).replace("\n", " ") for argument in arguments if argument not in (None, "")]
    return f"{name}: {' '.join(texts)}" if texts else name


@contextmanager
def broker_call(what: str) -> Iterator[None]:
    """Turn whatever aiormq raises when a channel or connection ends into BusUnavailable.

    aiormq cancels those who wait then, so a CancelledError that nobody asked this task for is such an end too. And where a real
    cancellation meets an end, aiormq raises the end, or nothing: the cancellation is raised here again, or it would be lost.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - nothing is swallowed: each way out raises
        failure = error
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError from failure
    match failure:
        case None:
            return
        case asyncio.CancelledError() if task is not None:
            raise BusUnavailable(f"{what}: the connection ended") from None
        case Exception() if not isinstance(failure, WarrenError):
            raise BusUnavailable(f"{what}: {describe(failure)}") from failure
        case _:
            raise failure


class RabbitDelivery:
    """A message that a queue gave us. Its properties are decoded when they are asked for."""

    __slots__ = ("_channel", "_frame", "_properties", "_raw", "_settled", "body")

    def __init__(
        self, channel: RabbitChannel, frame: spec.Basic.Deliver, raw: spec.Basic.Properties, body: bytes
    ) -> None:
        """Built by RabbitChannel for each delivery."""
        self._channel = channel
        self._frame = frame
        self._raw = raw
        self._properties: Properties | None = None
        self._settled = False
        self.body = body

    @property
    def exchange(self) -> str:
        """Where it was published."""
        return self._frame.exchange or ""

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        return self._frame.routing_key or ""

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        return bool(self._frame.redelivered)

    @property
    def properties(self) -> Properties:
        """Its properties."""
        if self._properties is None:
            self._properties = decode_properties(self._raw)
        return self._properties

    def ack(self) -> None:
        """Say that it is dealt with."""
        if not self._settled:
            self._settled = True
            self._channel.settle(self._frame.delivery_tag or 0, None)

    def reject(self, *, requeue: bool) -> None:
        """Give it back, or away to the dead-letter exchange."""
        if not self._settled:
            self._settled = True
            self._channel.settle(self._frame.delivery_tag or 0, requeue)


_LEAVING: set[asyncio.Task[Any]] = set()  # tasks that nobody else holds


def _nothing(_: object = None) -> None:
    """Stand for a callback that nobody gave."""


async def _unused(_: object) -> None:
    """Stand in aiormq's table of consumers: RabbitChannel calls its own."""


class RabbitChannel(Channel):
    """One channel on a connection."""

    def __init__(self, connection: Connection, number: int, confirms: bool, on_end: Callable[[], None]) -> None:
        """Use ``opened``. ``on_end`` is called once when the channel ends, whoever ends it."""
        super().__init__(connection, number, publisher_confirms=confirms, frame_buffer=FRAMES)
        self._on_end = on_end
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._publishing = asyncio.Lock()
        self._header: tuple[Properties, bool, bytes] = (NO_PROPERTIES, True, encode_properties(NO_PROPERTIES, True))
        self._on_delivery: OnDelivery | None = None
        self._on_start: Callable[[], None] = _nothing
        self._outstanding: deque[int] = deque()  # tags in the order of delivery; at most the prefetch
        self._settled: set[int] = set()
        self._acks: set[int] = set()
        self._rejects: list[tuple[int, bool]] = []
        self._flush: asyncio.Task[None] | None = None
        self.closing.add_done_callback(self._end)

    @classmethod
    async def opened(
        cls, connection: Connection, *, confirms: bool = False, on_end: Callable[[], None] = _nothing
    ) -> Self:
        """Open a channel. Raises BusUnavailable."""
        with broker_call("opening a channel"):
            if connection.is_closed:
                raise BusUnavailable("the connection is closed")
            number = 1
            while number in connection.channels:
                number += 1
            channel = cls(connection, number, confirms, on_end)
            connection.channels[number] = channel
            opening = asyncio.get_running_loop().create_task(channel.open())
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                # aiormq would close a channel that it may not have opened yet, which costs the whole connection: it is opened, then left.
                if not opening.done():
                    _LEAVING.add(opening)
                    opening.add_done_callback(channel._abandoned)
                raise
        if channel.over:
            raise BusUnavailable("opening a channel: the connection ended")
        return channel

    def _abandoned(self, opening: asyncio.Task[Any]) -> None:
        """Leave a channel whose opener was cancelled."""
        _LEAVING.discard(opening)
        if opening.cancelled() or opening.exception() is not None:
            return
        leaving = asyncio.get_running_loop().create_task(self.leave())
        _LEAVING.add(leaving)
        leaving.add_done_callback(_LEAVING.discard)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    # ── publishing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: Properties | None, mandatory: bool, persistent: bool
    ) -> None:
        """Publish and wait for the confirm. Raises BusUnavailable, NotConfirmed, Unroutable."""
        async with self._publishing:  # fair, so the order of the calls is the order on the wire
            confirm = await self._send(exchange, key, body, properties or NO_PROPERTIES, mandatory, persistent)
        try:
            await confirm
        except DeliveryError:
            raise NotConfirmed(f"{exchange or 'the default exchange'} ▶ {key} was refused by the broker") from None

    async def _send(
        self, exchange: str, key: str, body: bytes, properties: Properties, mandatory: bool, persistent: bool
    ) -> asyncio.Future[Any]:
        method = publish_method(self.number, exchange, key, mandatory)
        header = self._header
        if header[0] is not properties or header[1] is not persistent:
            header = self._header = (properties, persistent, encode_properties(properties, persistent))
        tag = self.delivery_tag + 1
        encoded = mark(header[2], tag) if mandatory else header[2]
        frame_max = self.connection.connection_tune.frame_max
        if len(encoded) + HEADER_OVERHEAD > frame_max:
            raise ValueError("the properties do not fit one AMQP frame")  # the broker would end the connection for it
        payload = b"".join((method, *content(self.number, encoded, body, frame_max)))
        loop = asyncio.get_running_loop()
        confirm: asyncio.Future[Any] = loop.create_future()
        self.delivery_tag = tag
        self.confirmations[tag] = confirm
        sent = False
        try:
            # The drain future makes the connection's writer wait for the socket before it takes the next frame.
            sent = await self._write(ChannelFrame(payload, should_close=False, drain_future=loop.create_future()))
        finally:
            if not sent:
                self.delivery_tag = tag - 1  # the broker has not seen it, so the next publish has this number
                self.confirmations.pop(tag, None)
        if not sent:
            raise BusUnavailable("the channel has ended")
        return confirm

    async def settled(self, longest_s: float) -> None:
        """Return when everything that was published has been answered, or after ``longest_s``."""
        waiting = [confirm for confirm in self.confirmations.values() if isinstance(confirm, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting, timeout=longest_s)

    async def _write(self, frame: ChannelFrame) -> bool:
        """Hand a frame to the connection's writer; False where the channel ended before that."""
        if self.over:
            return False
        if not self.write_queue.full():
            self.write_queue.put_nowait(frame)
            return True
        put = asyncio.get_running_loop().create_task(self.write_queue.put(frame))
        try:
            await asyncio.wait({put, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not put.done():
                put.cancel()
        return put.done() and not put.cancelled()

    async def _on_return_frame(self, frame: spec.Basic.Return) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):
            raise TypeError(f"a returned message begins with {header!r}")
        await self._read_content(frame, header)
        tag = marked(header.properties.app_id)
        confirm = None if tag is None else self.confirmations.get(tag)
        if tag is None or confirm is None:
            return
        self.confirmations[tag] = Returning()  # the broker confirms a returned message too; that confirm goes here
        if not confirm.done():
            confirm.set_exception(
                Unroutable(f"{frame.exchange or 'the default exchange'} ▶ {frame.routing_key} reached no queue")
            )

    # ── consuming ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def consume(
        self,
        queue: str,
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        on_start: Callable[[], None] = _nothing,
        on_cancel: Callable[[], None] = _nothing,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        """Consume a queue; ``on_start`` is called before the first delivery, ``on_cancel`` where the broker ends it (queue deleted)."""
        self._on_delivery = on_delivery
        self._on_start = on_start
        self.on_consumer_cancel_callbacks.add(lambda _: on_cancel())
        with broker_call(f"consuming {queue}"):
            await self.basic_qos(prefetch_count=prefetch)
            await self.basic_consume(queue, _unused, arguments=arguments)
        if self.over:
            raise BusUnavailable(f"consuming {queue}: the channel ended")
        self._begin()

    def silence(self) -> None:
        """Hand over no more deliveries, and tell no more acks."""
        self._on_delivery = None
        self._acks.clear()
        self._rejects.clear()

    def settle(self, tag: int, requeue: bool | None) -> None:
        """Take note of an ack (``requeue`` None) or a reject, and tell the broker in this turn of the loop."""
        if self.over or self._on_delivery is None:
            return
        self._settled.add(tag)
        if requeue is None:
            self._acks.add(tag)
        else:
            self._rejects.append((tag, requeue))
        if self._flush is None:
            self._flush = watched(asyncio.get_running_loop().create_task(self._tell_settled(), name="acks"))

    async def _tell_settled(self) -> None:
        try:
            while self._acks or self._rejects:
                rejects, self._rejects = self._rejects, []
                acks, self._acks = self._acks, set()
                head = 0
                while self._outstanding and self._outstanding[0] in self._settled:
                    tag = self._outstanding.popleft()
                    self._settled.discard(tag)
                    if tag in acks:
                        acks.discard(tag)
                        head = tag
                frames: list[Any] = [spec.Basic.Reject(tag, requeue) for tag, requeue in rejects]
                if head:  # all before it are settled, and the rejects among them go first
                    frames.append(spec.Basic.Ack(head, multiple=True))
                frames += [spec.Basic.Ack(tag) for tag in sorted(acks)]
                if not await self._write(ChannelFrame.marshall(self.number, frames)):
                    return
        finally:
            self._flush = None

    def _begin(self) -> None:
        on_start, self._on_start = self._on_start, _nothing
        on_start()

    async def _on_deliver_frame(self, frame: spec.Basic.Deliver) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):
            raise TypeError(f"a delivery begins with {header!r}")
        message = await self._read_content(frame, header)
        if self._on_delivery is None:
            return
        self._begin()
        self._outstanding.append(frame.delivery_tag or 0)
        began = time.monotonic()
        try:
            self._on_delivery(RabbitDelivery(self, frame, header.properties, message.body))
        except Exception:  # noqa: BLE001 - a caller's mistake must not end the deliveries of the others
            _log.exception("a consumer raised; the delivery stays unacknowledged")
        if time.monotonic() - began > LONG_S:
            await asyncio.sleep(0)  # what has waited behind it goes first: heartbeats among it

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def leave(self) -> None:
        """Close the channel; what is not acknowledged goes back to its queue. Never raises."""
        if self._flush is not None:  # acks that were given must reach the broker before the channel goes
            await asyncio.gather(self._flush, return_exceptions=True)
        self.silence()
        try:
            with broker_call("closing a channel"):
                await self.close()
        except BusUnavailable as error:
            _log.debug("%s", error)

    def _end(self, closing: asyncio.Future[Any]) -> None:
        if self._ended.done():
            return
        self._ended.set_result(None)
        self.silence()
        error = None if closing.cancelled() else closing.exception()
        reason = describe(error) if isinstance(error, AMQPError) else "the channel ended"
        for confirm in self.confirmations.values():
            if not confirm.done():
                confirm.set_exception(NotConfirmed(f"{reason} before the confirm"))
        self.confirmations.clear()
        self._on_end()
