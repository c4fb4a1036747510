"""Reading a stream: one consumer on a channel of its own, from a place on, until its reader has enough.

It keeps no record and begins nothing anew: where the channel ends, so does the reading, with BusUnavailable.
The offset stands in a header that the broker adds; it is read in place where nothing else is in the headers,
for decoding them costs more than the rest of a delivery.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from warren.bus import Record, Start, Timestamp, nothing
from warren.bus.rabbit.acks import RabbitDelivery
from warren.bus.rabbit.channel import RabbitChannel
from warren.bus.rabbit.connection import RabbitConnection
from warren.errors import BusUnavailable

# An ack here only makes place for more records, so it waits for many: the broker is woken seldom, and never
# has to wait for it (a quarter of the prefetch goes at once).
ACK_S = 0.2


async def tail(
    connection: RabbitConnection,
    stream: str,
    start: Start,
    on_record: Callable[[Record], bool],
    prefetch: int,
    on_start: Callable[[], None] = nothing,
) -> None:
    """Read ``stream`` until ``on_record`` returns False; what it raises is raised here. Raises
    BusUnavailable.

    It does not wait until its channel is closed: a broker node that stands still would hold its reader up.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lost() -> None:
        if not done.done():
            done.set_exception(BusUnavailable(f"the channel was lost while reading {stream}"))

    def taken_away() -> None:
        if not done.done():
            done.set_exception(BusUnavailable(f"{stream} was taken away by the broker while it was read"))

    def take(delivery: RabbitDelivery) -> None:
        if done.done():
            return
        offset = delivery.stream_offset
        try:
            if offset is None:
                raise BusUnavailable(f"{stream} is no stream: its records have no offset")
            more = on_record(Record(offset, delivery.body))
        except Exception as error:  # noqa: BLE001 - it is the caller's, so the caller gets it
            done.set_exception(error)
            return
        delivery.ack()
        if not more:
            done.set_result(None)

    channel: RabbitChannel | None = None
    try:
        channel = await RabbitChannel.opened(connection, on_end=lost)
        arguments = {"x-stream-offset": _place(start)}
        await channel.consume(
            stream,
            take,
            prefetch=prefetch,
            on_start=on_start,
            on_cancel=taken_away,
            arguments=arguments,
            ack_s=ACK_S,
        )
        await done
    finally:
        if not done.cancel() and not done.cancelled():
            done.exception()  # it may have come while something else was raised
        if channel is not None:
            channel.leave_soon()


async def last(connection: RabbitConnection, stream: str) -> int:
    """Return the offset of an entry near the end of ``stream``; it waits for one where there is none. Raises
    BusUnavailable.
    """
    found: list[int] = []

    def take(record: Record) -> bool:
        found.append(record.offset)
        return False

    await tail(connection, stream, "last", take, 1)
    return found[0]


def _place(start: Start) -> Any:
    """Return a place as AMQP has it: its timestamps are whole seconds."""
    if isinstance(start, Timestamp):
        return datetime.datetime.fromtimestamp(max(0, start.ms) // 1_000, datetime.UTC)
    return start
