"""RabbitChannel: one AMQP channel: publishes with confirms, one consumer, and its acks.

It is aiormq's channel with the hot paths done otherwise: a publish is written to the socket as one byte
string, deliveries and confirms come straight from the socket and are plain calls, and acks are gathered for a
turn of the event loop and told in one frame where they can be. What is rare (opening, declaring, consuming,
closing) is aiormq's. It never makes itself again: whoever opened it is told once when it ends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from aiormq.exceptions import AMQPError

from warren.bus import NO_PROPERTIES, Outgoing, Properties, nothing
from warren.bus.rabbit import frames as frames
from warren.bus.rabbit.acks import ACK_S, AckBuffer, Content, RabbitDelivery
from warren.bus.rabbit.aiormq_internals import HookedChannel
from warren.bus.rabbit.broker_call import broker_call, describe
from warren.bus.rabbit.connection import RabbitConnection
from warren.bus.rabbit.frames import MalformedFrame
from warren.errors import BusUnavailable, Nacked, NotConfirmed, Unroutable

# a delivery that took longer is followed by a turn of the loop; else those that are here follow each other at
# once
LONG_S = 0.005
# A confirm that stays away for longer is not waited for, unless the broker holds publishers back (then it
# comes when that ends).
CONFIRM_S = 2.5

_log = logging.getLogger("warren.bus")


_LEAVING: set[asyncio.Task[Any]] = set()  # tasks that nobody else holds


def _nacked(exchange: str, key: str) -> Nacked:
    return Nacked(f"{exchange or 'the default exchange'} ▶ {key} was refused by the broker")


async def _unused(_: object) -> None:
    """Stand in aiormq's table of consumers, which is not used."""


class RabbitChannel(HookedChannel):
    """One channel on a connection."""

    def __init__(
        self, connection: RabbitConnection, number: int, confirms: bool, on_end: Callable[[], None]
    ) -> None:
        """Not to be called: ``opened`` is. ``on_end`` is called once when the channel ends, whoever ends
        it.
        """
        super().__init__(connection, number, confirms=confirms, before_end=self._last_words)
        self._ending = False  # the frame that ends it is on its way
        self._connection = connection
        self._socket = connection.socket
        self._on_end = on_end
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._body_bytes = connection.frame_bytes
        self._published = 0  # the number of the last publish
        # what waits for its confirm, in the order of its number
        self._confirms: dict[int, asyncio.Future[bool]] = {}
        self.confirm_s = CONFIRM_S  # how long a confirm is waited for
        self.miscounts = False  # a publish was counted here, and not by a queue
        self._publishing = asyncio.Lock()
        self._queued = 0  # publishes that wait for the socket
        self._header: tuple[Properties, bool, bytes] = (
            NO_PROPERTIES,
            True,
            frames.encode_properties(NO_PROPERTIES, True),
        )
        self._content: Content | None = None
        self._on_delivery: Callable[[RabbitDelivery], None] | None = None
        self._on_start: Callable[[], None] = nothing
        self._acks = AckBuffer(self._socket, number)
        self._socket.sinks[number] = self
        self.closing.add_done_callback(self._end)

    @classmethod
    async def opened(
        cls, connection: RabbitConnection, *, confirms: bool = False, on_end: Callable[[], None] = nothing
    ) -> Self:
        """Open a channel. Raises BusUnavailable."""
        with broker_call("opening a channel"):
            if connection.is_closed:
                raise BusUnavailable("the connection is closed")
            number = connection.free_number()
            channel = cls(connection, number, confirms, on_end)
            connection.enter(channel)
            opening = asyncio.get_running_loop().create_task(channel.open())
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                # aiormq would close a channel that it may not have opened yet, which costs the whole
                # connection: it is opened, then left.
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
        self.leave_soon()

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    # ── publishing ──────────────────────────────────────────────────────────────────────────────────────────

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None,
        mandatory: bool,
        persistent: bool,
    ) -> None:
        """Publish and wait for the confirm. Raises BusUnavailable, NotConfirmed, Unroutable."""
        if self._queued or not self._socket.writable:
            await self._wait_for_socket()
        confirm = self._send(exchange, key, body, properties or NO_PROPERTIES, mandatory, persistent)
        loop = asyncio.get_running_loop()
        soon = loop.time() + CONFIRM_S
        overdue = loop.call_later(self.confirm_s, self._overdue, (confirm,))
        try:
            taken = await confirm
        finally:
            overdue.cancel()
        self._answered(loop.time() < soon)
        if not taken:
            raise _nacked(exchange, key)

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish in this order and wait for all confirms; return what became of each. Raises nothing."""
        loop = asyncio.get_running_loop()
        confirms: list[asyncio.Future[bool]] = []
        outcomes: list[Exception | None] = []
        overdue: asyncio.TimerHandle | None = None
        try:
            for key, body, properties in messages:
                if self._queued or not self._socket.writable:
                    await self._wait_for_socket()
                try:
                    confirm = self._send(exchange, key, body, properties, False, True)
                except Exception as error:  # noqa: BLE001 - what one can't be sent for does not concern the others
                    confirm = loop.create_future()
                    confirm.set_exception(error)
                confirms.append(confirm)
            soon = loop.time() + CONFIRM_S
            overdue = loop.call_later(self.confirm_s, self._overdue, confirms)
            for message, confirm in zip(messages, confirms, strict=True):
                try:
                    outcomes.append(None if await confirm else _nacked(exchange, message.key))
                except Exception as error:  # noqa: BLE001 - as publish raises it
                    outcomes.append(error)
            self._answered(None in outcomes and loop.time() < soon)
        except asyncio.CancelledError:
            for confirm in confirms[len(outcomes) :]:
                if not confirm.cancel() and not confirm.cancelled():
                    confirm.exception()  # nobody else asks, and asyncio would tell of it
            raise
        finally:
            if overdue is not None:
                overdue.cancel()
        return outcomes

    def _answered(self, soon: bool) -> None:
        if soon and self.confirm_s > CONFIRM_S:
            self.confirm_s = CONFIRM_S  # the broker is slow no more

    async def _wait_for_socket(self) -> None:
        """Return when the socket takes more, or the channel has ended; in the order of the calls."""
        self._queued += 1
        try:
            async with self._publishing:
                while not self._socket.writable and not self.over:
                    await asyncio.wait(
                        {self._socket.drained(), self._ended}, return_when=asyncio.FIRST_COMPLETED
                    )
        finally:
            self._queued -= 1

    def _send(
        self, exchange: str, key: str, body: bytes, properties: Properties, mandatory: bool, persistent: bool
    ) -> asyncio.Future[bool]:
        """Write a publish; the future says whether the broker has taken it."""
        if self.over or self._ending or self._socket.transport.is_closing():
            raise BusUnavailable("the channel has ended")
        header = self._header
        if header[0] is not properties or header[1] is not persistent:
            header = self._header = (properties, persistent, frames.encode_properties(properties, persistent))
        number = self._published + 1
        encoded = frames.mark(header[2], number) if mandatory else header[2]
        if len(encoded) + frames.HEADER_OVERHEAD > self._body_bytes:
            # the broker would end the connection for it
            raise ValueError("the properties do not fit one AMQP frame")
        method = frames.publish_method(self.number, exchange, key, mandatory)
        self._acks.tell()  # who appends after an ack may rely on it that the ack is through
        self._socket.write(b"".join((method, *frames.content(self.number, encoded, body, self._body_bytes))))
        self._published = number
        confirm = self._confirms[number] = asyncio.get_running_loop().create_future()
        return confirm

    async def settled(self, longest_s: float) -> None:
        """Return when everything that was published has been answered, or after ``longest_s``."""
        if waiting := list(self._confirms.values()):
            await asyncio.wait(waiting, timeout=longest_s)

    def _overdue(self, confirms: Sequence[asyncio.Future[bool]]) -> None:
        """Give up on confirms that have not come for long."""
        late = [confirm for confirm in confirms if not confirm.done()]
        if late and self._connection.held_back:
            asyncio.get_running_loop().call_later(self.confirm_s, self._overdue, late)
            return
        for confirm in late:
            confirm.set_exception(NotConfirmed(f"no confirm came within {self.confirm_s:g} s"))

    def _confirmed(self, number: int, *, multiple: bool, taken: bool) -> None:
        """Handle a confirm: of one publish, or of all up to it."""
        confirms = self._confirms
        self._connection.confirmed_at = self.loop.time()
        numbers: Iterable[int] = (number,)
        if multiple:
            numbers = list(itertools.takewhile(lambda each: each <= number, confirms))
        for each in numbers:
            confirm = confirms.pop(each, None)
            if confirm is not None and not confirm.done():
                confirm.set_result(taken)

    def _returned(self, content: Content) -> None:
        """Handle a returned message. The broker confirms it too; that confirm finds the publish answered."""
        try:
            number = frames.marked(frames.decode_header(content.header).app_id)
        except Exception:  # noqa: BLE001 - whatever is in it: then it is none of ours
            return
        confirm = None if number is None else self._confirms.get(number)
        self.miscounts = True
        if confirm is not None and not confirm.done():
            where = frames.plain_text(content.exchange) or "the default exchange"
            confirm.set_exception(Unroutable(f"{where} ▶ {frames.plain_text(content.key)} reached no queue"))

    # ── from the socket ─────────────────────────────────────────────────────────────────────────────────────

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        """Handle a frame of this channel where it is one of a delivery, of a returned message, or a
        confirm. Raises MalformedFrame.
        """
        content = self._content
        if kind == frames.METHOD:
            method = frames.method_of(data, at, end)
            if content is not None and method in (frames.DELIVER, frames.RETURN):
                raise MalformedFrame("a message in the middle of another")
            match method:
                case frames.DELIVER:
                    self._content = Content(*frames.deliver_of(data, at, end))
                case frames.ACK | frames.NACK:
                    number, multiple = frames.settled_of(data, at, end)
                    self._confirmed(number, multiple=multiple, taken=method == frames.ACK)
                case frames.RETURN:
                    self._content = Content(0, False, *frames.return_of(data, at, end), returned=True)
                case frames.CHANNEL_CLOSE | frames.CHANNEL_CLOSE_OK:
                    self._socket.sinks.pop(self.number, None)  # nothing comes behind it
                    if method == frames.CHANNEL_CLOSE and self.over:
                        self.answer_end()  # it has crossed ours, and aiormq does not look any more
                    return False
                case _:
                    return False
            return True
        if content is None:
            raise MalformedFrame(f"a frame of type {kind} without a message")
        if kind == frames.HEADER and not content.header:
            content.left = frames.size_of_body(data, at, end)
            content.header = data[at:end]
        elif kind == frames.BODY and at < end <= at + content.left:
            content.parts.append(data[at:end])
            content.left -= end - at
        else:
            raise MalformedFrame(f"a frame of type {kind} that does not belong to the message before it")
        if content.left <= 0:
            self._content = None
            if content.returned:
                self._returned(content)
            else:
                self._delivered(content)
        return True

    def _delivered(self, content: Content) -> None:
        on_delivery = self._on_delivery
        if on_delivery is None:
            return
        self._begin()
        self._acks.delivered(content.tag)
        began = time.monotonic()
        try:
            on_delivery(RabbitDelivery(self._acks, content))
        except Exception:  # noqa: BLE001 - a caller's mistake must not end the deliveries of the others
            _log.exception("a consumer raised; the delivery stays unacknowledged")
        if time.monotonic() - began > LONG_S:
            self._socket.yield_turn()  # what has waited behind it goes first: heartbeats among it

    # ── consuming ───────────────────────────────────────────────────────────────────────────────────────────

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[RabbitDelivery], None],
        *,
        prefetch: int,
        on_start: Callable[[], None] = nothing,
        on_cancel: Callable[[], None] = nothing,
        arguments: dict[str, Any] | None = None,
        ack_s: float = ACK_S,
    ) -> None:
        """Consume a queue; ``on_start`` is called before the first delivery, ``on_cancel`` where the broker
        ends it (queue deleted). Acks wait ``ack_s`` for others.
        """
        self._on_delivery = on_delivery
        self._on_start = on_start
        self._acks.begin(prefetch, ack_s)
        self.on_cancel(on_cancel)
        with broker_call(f"consuming {queue}"):
            await self.basic_qos(prefetch_count=prefetch)
            await self.basic_consume(queue, _unused, arguments=arguments)
        if self.over:
            raise BusUnavailable(f"consuming {queue}: the channel ended")
        self._begin()

    def silence(self) -> None:
        """Hand over no more deliveries, and tell no more acks."""
        self._on_delivery = None
        self._acks.end()

    def _begin(self) -> None:
        on_start, self._on_start = self._on_start, nothing
        on_start()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    async def leave(self) -> None:
        """Close the channel; what is not acknowledged goes back to its queue. Never raises. Who is cancelled
        meanwhile waits no longer; the channel is closed all the same, and once.
        """
        await asyncio.shield(self.leave_soon())

    def leave_soon(self) -> asyncio.Task[None]:
        """Begin to close the channel, and wait for nothing."""
        self._last_words()
        leaving = asyncio.get_running_loop().create_task(self._leave(), name="channel-leave")
        _LEAVING.add(leaving)
        leaving.add_done_callback(_LEAVING.discard)
        return leaving

    async def _leave(self) -> None:
        try:
            with broker_call("closing a channel"):
                await self.close()
        except BusUnavailable as error:
            _log.debug("%s", error)

    def _last_words(self) -> None:
        """Tell the acks that were given, which must reach the broker before the channel goes, and nothing
        after them.
        """
        self._acks.tell()
        self.silence()
        self._ending = True

    def _end(self, closing: asyncio.Future[Any]) -> None:
        if self._ended.done():
            return
        # What comes until the broker has answered is still taken, and dropped: aiormq keeps it for nobody,
        # until its reader stands still.
        self._ended.set_result(None)
        self.silence()
        error = None if closing.cancelled() else closing.exception()
        reason = describe(error) if isinstance(error, AMQPError) else "the channel ended"
        for confirm in self._confirms.values():
            if not confirm.done():
                confirm.set_exception(NotConfirmed(f"{reason} before the confirm"))
        self._confirms.clear()
        self._on_end()
