"""write_messages: messages of backends as one record of their shard's log, each with its place in its trace.

Repeated until it is confirmed, as long as it is wanted. Each message has an id, so that a record that stands
in the log twice counts once. It checks nothing and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from router.shell.router_context import RouterContext
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Notified, Publish, encode
from warren.telemetry import Hop, HopKind

_PROPERTIES = Properties(content_type=CONTENT_TYPE)


async def write_messages(
    context: RouterContext,
    shard: int,
    messages: Sequence[tuple[Publish, Hop | None]],
    wanted: Callable[[], bool],
) -> bool:
    """Return True once all of them stand in the log; False: there were none, or ``wanted`` says no more.

    The hops, by which the messages came, have ended then.
    """
    hops: list[Hop] = []
    traced = [_traced(context, shard, message, entry, len(messages), hops) for message, entry in messages]
    try:
        return bool(traced) and await context.publisher.publish(
            context.topology.ingress,
            context.topology.shard_key(shard),
            encode([Notified(context.id, context.clock.wall_us()), *traced]),
            _PROPERTIES,
            wanted,
        )
    finally:
        for hop in reversed(hops):
            hop.end()


def _traced(
    context: RouterContext, shard: int, message: Publish, entry: Hop | None, count: int, hops: list[Hop]
) -> Publish:
    """Return the message under a span of its own; the spans that are open are added to ``hops``."""
    if entry is None:
        return message
    hops.append(entry)
    hop = context.tracing.hop(
        HopKind.PUBLISH, entry.traceparent, message_id=message.id, shard=shard, batch=count
    )
    if hop is not None:
        hops.append(hop)
    return msgspec.structs.replace(message, trace=(hop or entry).traceparent)
