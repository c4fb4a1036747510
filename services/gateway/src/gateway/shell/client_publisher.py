"""ClientPublisher: where a client's message comes into Warren. The sampling decision is taken here, once, and
the message goes to the uplink.

A message that is not sampled costs one call and opens nothing. It decides nothing about the message itself.
"""

from __future__ import annotations

import msgspec

from gateway.core.actions import Publish
from gateway.shell.uplink import Uplink
from warren.errors import WarrenError, code_of
from warren.telemetry import HopKind, Tracing


class ClientPublisher:
    """The way in for all connections of a gateway."""

    def __init__(self, uplink: Uplink, tracing: Tracing) -> None:
        """Messages go to ``uplink``, whether a span is opened for them or not."""
        self._uplink = uplink
        self._tracing = tracing

    def publish(self, action: Publish) -> WarrenError | None:
        """Send a message to its shard. Returns why not, where it is refused: its sender has to be told."""
        up = action.envelope
        receive = self._tracing.entry(action.traceparent, message_id=up.id)
        if receive is None:
            return self._uplink.publish(up, action.shard)
        hop = self._tracing.hop(HopKind.PUBLISH, receive.traceparent, message_id=up.id, shard=action.shard)
        up = msgspec.structs.replace(up, trace=(hop or receive).traceparent)
        error = self._uplink.publish(up, action.shard, hop)
        if error is not None:
            receive.fail(code_of(error))
        receive.end()
        return error
