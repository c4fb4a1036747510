"""ClientTransport: what a connection needs of the way to its client, whether that is a WebSocket or an event
stream.

A contract without code: whole messages in, whole frames out, and an end in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.core.memory_budget import Holding
from gateway.core.outbox import Outbox, Put
from gateway.core.websocket.frame_parser import WebSocketViolation
from warren.errors import CloseCode


class ClientTransport(Protocol):
    """One client's. ``heard``: a sign of life has come since this was last set to False; ``kept``: bytes of
    messages that were read and wait elsewhere; ``counted`` is for the memory to write.
    """

    outbox: Outbox
    bytes_out: int
    messages_out: int
    heard: bool
    kept: int
    counted: bool
    on_excess: Callable[[CloseCode], None] | None

    @property
    def ended(self) -> bool:
        """Whether nothing more can be written."""
        ...

    @property
    def close_code(self) -> int:
        """The code with which it has ended."""
        ...

    @property
    def bytes_in(self) -> int:
        """How many bytes of messages have come."""
        ...

    @property
    def since(self) -> float:
        """When the message that was read last may have come at the earliest."""
        ...

    @property
    def resting(self) -> bool:
        """Whether the client is left unread for a while, so that no sign of life can be seen."""
        ...

    @property
    def quiet(self) -> bool:
        """Whether ``tick`` has nothing to do, and signs of life can be seen and are kept in ``heard``."""
        ...

    async def read(self) -> str | bytes | None:
        """Return the next message, None once the connection has ended. Raises WebSocketViolation."""
        ...

    async def rest(self, seconds: float) -> None:
        """Leave the client unread for a while, or until the connection ends."""
        ...

    async def fail(self, violation: WebSocketViolation) -> None:
        """End what has sent what it must not, and return when it has gone."""
        ...

    def end_rest(self) -> None:
        """End ``rest`` before its time."""
        ...

    def hold(self) -> None:
        """Read the client no more until it is asked for."""
        ...

    def known(self) -> None:
        """Let the client send as much as everyone."""
        ...

    def check(self) -> None:
        """Raise WebSocketViolation where a client that is not known has sent more than it may."""
        ...

    def worked(self, seconds: float) -> None:
        """Charge what handling the last message took of the processor."""
        ...

    def put(self, chunk: bytes) -> Put:
        """Put whole frames on the outbox that were made for this connection alone; ``flush`` writes them."""
        ...

    def flush(self) -> None:
        """Write what waits while the socket takes it."""
        ...

    def ping(self) -> None:
        """Show the client that the connection lives."""
        ...

    def close(self, code: int, reason: str, *, last_words: bytes = b"") -> None:
        """Write what waits, ``last_words`` (whole frames) and why it ends."""
        ...

    def tick(self, now: float) -> None:
        """Cut the connection where its end has taken too long."""
        ...

    def keep(self, size: int) -> None:
        """Count so many bytes of messages that were read and wait until something is known."""
        ...

    def holding(self) -> Holding | None:
        """Return what is held for this connection; None: nothing."""
        ...

    def over(self) -> None:
        """Note that nothing more will be read."""
        ...

    def cut(self) -> None:
        """End the connection at once."""
        ...

    def finish(self) -> bool:
        """Close the socket after the last ``read``; False where something is still being written: then keep
        calling ``finished``.
        """
        ...

    def finished(self, now: float) -> bool:
        """Say whether a connection that ``finish`` has not ended at once has gone by now."""
        ...
