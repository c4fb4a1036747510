"""AckBuffer: a channel's acks and rejects, gathered for a moment and sent in one frame where they can be.

An ack waits for others, for to a quorum queue each is an entry of its log; a reject waits for none. Nothing
is acknowledged that was not settled, and no delivery is kept, only tags, of which there are at most the
prefetch.
"""

from __future__ import annotations

import asyncio
from collections import deque

from warren.bus import Properties
from warren.bus.rabbit import frames as frames
from warren.bus.rabbit.connection import Socket

# Acks wait for so long for others, or for so many.
ACK_S = 0.01
ACKS = 64


class AckBuffer:
    """The deliveries of one channel."""

    def __init__(self, socket: Socket, channel: int) -> None:
        """Nothing is told before ``begin``."""
        self._socket = socket
        self._channel = channel
        self._open = False
        self._enough = 1  # so many acks wait for no others
        self._ack_s = ACK_S
        self._outstanding: deque[int] = deque()  # tags in the order of delivery
        self._settled: set[int] = set()
        self._acks: set[int] = set()
        self._rejects: list[tuple[int, bool]] = []
        self._telling: asyncio.Handle | None = None
        self._waits = False  # for other acks

    def begin(self, prefetch: int, ack_s: float = ACK_S) -> None:
        """Consuming begins, with at most ``prefetch`` deliveries that are not settled. Who gets few at a time
        must not wait for the next ones. Acks wait ``ack_s`` for others.
        """
        self._open = True
        self._enough = min(ACKS, prefetch // 4)
        self._ack_s = ack_s

    def end(self) -> None:
        """Tell nothing more."""
        self._open = False
        self._acks.clear()
        self._rejects.clear()
        self._done()

    def delivered(self, tag: int) -> None:
        """Note a delivery."""
        self._outstanding.append(tag)

    def settle(self, tag: int, requeue: bool | None) -> None:
        """Note an ack (``requeue`` None) or a reject, and tell the broker soon."""
        if not self._open:
            return
        self._settled.add(tag)
        if requeue is None:
            self._acks.add(tag)
        else:
            self._rejects.append((tag, requeue))
        waits = not self._rejects and len(self._acks) < self._enough
        if self._telling is not None:
            if waits or not self._waits:
                return
            self._telling.cancel()
        self._waits = waits
        loop = asyncio.get_running_loop()
        self._telling = loop.call_later(self._ack_s, self.tell) if waits else loop.call_soon(self.tell)

    def tell(self) -> None:
        """Tell what was settled now. It is little, so it does not wait for the socket."""
        if self._telling is None:
            return
        self._done()
        if self._socket.transport.is_closing():
            return
        rejects, self._rejects = self._rejects, []
        acks, self._acks = self._acks, set()
        head = 0
        while self._outstanding and self._outstanding[0] in self._settled:
            tag = self._outstanding.popleft()
            self._settled.discard(tag)
            if tag in acks:
                acks.discard(tag)
                head = tag
        told = [frames.reject(self._channel, tag, requeue=requeue) for tag, requeue in rejects]
        if head:  # all before it are settled, and the rejects among them go first
            told.append(frames.ack(self._channel, head, multiple=True))
        told += [frames.ack(self._channel, tag, multiple=False) for tag in sorted(acks)]
        self._socket.write(b"".join(told))

    def _done(self) -> None:
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()


class Content:
    """A message as it comes in, a delivery or a returned one."""

    __slots__ = ("exchange", "header", "key", "left", "parts", "redelivered", "returned", "tag")

    def __init__(
        self, tag: int, redelivered: bool, exchange: bytes, key: bytes, *, returned: bool = False
    ) -> None:
        """Begin with what its method frame says; header and body are filled in as they come."""
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.key = key
        self.returned = returned
        self.header = b""  # the content header's payload
        self.left = 0  # bytes of the body that have not come
        self.parts: list[bytes] = []  # those that have


class RabbitDelivery:
    """A message that a queue gave us. Its texts and properties are decoded when they are asked for."""

    __slots__ = ("_acks", "_content", "_properties", "_settled", "body")

    def __init__(self, acks: AckBuffer, content: Content) -> None:
        """``content`` is whole."""
        self._acks = acks
        self._content = content
        self._properties: Properties | None = None
        self._settled = False
        self.body = content.parts[0] if len(content.parts) == 1 else b"".join(content.parts)

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        return self._content.redelivered

    @property
    def exchange(self) -> str:
        """Where it was published."""
        return frames.plain_text(self._content.exchange)

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        return frames.plain_text(self._content.key)

    @property
    def properties(self) -> Properties:
        """Its properties."""
        if self._properties is None:
            self._properties = frames.properties_of(self._content.header)
        return self._properties

    @property
    def stream_offset(self) -> int | None:
        """Its place in the stream that it is from; None where it is from a queue."""
        return frames.stream_offset(self._content.header)

    def ack(self) -> None:
        """Acknowledge it (``basic.ack``)."""
        if not self._settled:
            self._settled = True
            self._acks.settle(self._content.tag, None)

    def reject(self, *, requeue: bool) -> None:
        """Give it back, or away to the dead-letter exchange."""
        if not self._settled:
            self._settled = True
            self._acks.settle(self._content.tag, requeue)
