"""ClientPublisher: where a client's message comes into Warren. The sampling decision is taken here, once, and
the message goes to the uplink.

A message that is not sampled costs one call and opens nothing. It decides nothing about the message itself.
Connections call it.
"""

from __future__ import annotations

import msgspec

from gateway.core.actions import Publish
from gateway.shell.uplink import Uplink
from warren.address import shard_of
from warren.errors import WarrenError, code_of
from warren.telemetry import HopKind, Tracing


class ClientPublisher:
    """The way in for all connections of a gateway."""

    def __init__(self, uplink: Uplink, tracing: Tracing, shards: int) -> None:
        """``shards`` is the installation's number of shards."""
        self._uplink = uplink
        self._tracing = tracing
        self._shards = shards

    def publish(self, action: Publish) -> WarrenError | None:
        """Take a message. Returns why not, where it is refused; the caller tells the sender."""
        up = action.envelope
        receive = self._tracing.entry(action.traceparent, message_id=up.id)
        if receive is None:
            return self._uplink.publish(up)
        shard = shard_of(up.room, self._shards)
        hop = self._tracing.hop(HopKind.PUBLISH, receive.traceparent, message_id=up.id, shard=shard)
        error = self._uplink.publish(msgspec.structs.replace(up, trace=(hop or receive).traceparent), hop)
        if error is not None:
            receive.fail(code_of(error))
        receive.end()
        return error
