"""All that Warren uses of aiormq beyond what aiormq promises, under names of our own.

aiormq's classes are made to be opened by ``aiormq.connect`` and left alone. Here they are subclassed, three
of their attributes are set, and one of their private methods is replaced. Each use says what it relies on.
A new version of aiormq may change any of it without a word: ``test_aiormq_internals.py`` fails then.
Nothing here knows of Warren's messages, and no other module of the bus may rely on more than aiormq's
documented methods.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.connection import Connection, FrameReceiver, TransportFactory
from aiormq.exceptions import AMQPConnectionError
from pamqp import commands as spec
from yarl import URL

from warren.bus.rabbit.close_guard import CloseGuard
from warren.bus.rabbit.connect_errors import refusal
from warren.bus.rabbit.frames import FRAME_OVERHEAD, MAX_BODY_BYTES

CHANNELS: Final = 65_535  # AMQP's most
# Frames of aiormq's own that a channel takes in before the connection's reader waits for it.
CHANNEL_FRAMES: Final = 256

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OpenSocket = Callable[[URL, ssl.SSLContext | None], Awaitable[Streams]]


class _Sockets(TransportFactory):
    """Opens a connection's socket by a function of ours.

    Relies on: ``connect`` calls ``create(url, ssl_context_provider=…)``, and the provider's
    ``get_context()`` makes the TLS context that the options in the address ask for.
    """

    def __init__(self, open_socket: OpenSocket) -> None:
        self._open_socket = open_socket

    async def create(self, url: URL, **kwargs: Any) -> Streams:
        tls = await kwargs["ssl_context_provider"].get_context() if url.scheme == "amqps" else None
        try:
            return await self._open_socket(url, tls)
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error


class _Answers(FrameReceiver):
    """What the broker answers while a connection is made.

    Relies on: ``get_frame`` returns three values, the last of them the method.
    """

    async def get_frame(self) -> Any:
        received = await super().get_frame()
        if isinstance(received[2], spec.Connection.Close):
            raise refusal(received[2])
        return received


class HookedConnection(Connection):
    """aiormq's connection, with a socket and times of ours."""

    # Relies on: it is the size of the queue of frames to be written.
    FRAME_BUFFER_SIZE = 256
    # Relies on: a connection is given up after so many times (heartbeat + 1) seconds of silence. RabbitMQ
    # says something twice in a heartbeat: silent for one, and a second more, it is gone.
    HEARTBEAT_GRACE_MULTIPLIER = 1

    def __init__(self, url: URL | str, open_socket: OpenSocket) -> None:
        """Open nothing yet; ``connect`` does."""
        super().__init__(url, transport_factory=_Sockets(open_socket))

    @property
    def frame_bytes(self) -> int:
        """The largest frame that was agreed (``connection.tune``); where any is allowed, one with the largest
        body.
        """
        return int(self.connection_tune.frame_max) or MAX_BODY_BYTES + FRAME_OVERHEAD

    @property
    def held_back(self) -> bool:
        """Whether the broker holds publishers back (``connection.blocked``).

        Relies on: ``ready()`` waits exactly while that is so (and before the connection is made). One step
        of it tells whether it would.
        """
        step = self.ready()
        try:
            step.send(None)
        except StopIteration:
            return False
        step.close()
        return True

    def next_number(self, former: int) -> int:
        """Return the first number behind ``former`` that no channel has. Raises AMQPConnectionError where
        none is free.

        Relies on: ``channels`` has each number for which the broker may have a channel.
        """
        most = self.connection_tune.channel_max or CHANNELS
        for step in range(most):
            if (number := (former + step) % most + 1) not in self.channels:
                return number
        raise AMQPConnectionError(f"all {most} channels of the connection are open")

    def enter(self, channel: HookedChannel) -> None:
        """Let a channel have its frames.

        Relies on: frames go to the channel in ``channels``, as ``connection.channel()`` puts it there.
        """
        self.channels[channel.number] = channel

    @staticmethod
    async def _rpc(
        request: Any, writer: Any, frame_receiver: FrameReceiver, wait_response: bool = True
    ) -> Any:
        """Ask something while the connection is made.

        Relies on: ``connect`` asks by this method alone. Where the broker says no, aiormq would tell what
        it had waited for, and not the broker's reason.
        """
        answers = _Answers(frame_receiver.reader)
        return await Connection._rpc(request, writer, answers, wait_response)  # noqa: SLF001 - as said above


class HookedChannel(Channel):
    """aiormq's channel, which writes nothing behind the frame that ends it."""

    def __init__(
        self, connection: HookedConnection, number: int, *, confirms: bool, before_end: Callable[[], None]
    ) -> None:
        """``before_end`` is called before the frame that ends the channel goes, whoever ends it and why.

        Relies on: all that a channel writes goes through its ``write_queue``, by ``put`` and ``put_nowait``.
        """
        super().__init__(connection, number, publisher_confirms=confirms, frame_buffer=CHANNEL_FRAMES)
        self.write_queue = cast("asyncio.Queue[ChannelFrame]", CloseGuard(connection.write_queue, before_end))

    def on_cancel(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the broker ends a consumer (``basic.cancel``).

        Relies on: the callbacks in ``on_consumer_cancel_callbacks`` are called with the frame.
        """
        self.on_consumer_cancel_callbacks.add(lambda _: listener())

    def answer_end(self) -> None:
        """Answer the broker's end of the channel (``channel.close-ok``), where aiormq does not look any
        more.
        """
        with suppress(asyncio.QueueFull):
            self.write_queue.put_nowait(ChannelFrame.marshall(self.number, [spec.Channel.CloseOk()]))
