"""Echo: sends back what it gets, text and binary; for conformance suites, load balancers' checks and first
steps.

Size, heartbeat and close follow the same rules as elsewhere; there is no token, no room and no limit on how
fast, and it reads the next message only when the last one is on its way. It never touches the bus.
``server.py`` runs one for each upgrade of its route.
"""

from __future__ import annotations

from gateway.core.websocket import frames
from gateway.shell.websocket_transport import WebSocketTransport, WebSocketViolation
from warren.errors import CloseCode


class Echo:
    """One connection of the echo route."""

    def __init__(
        self, wire: WebSocketTransport, *, window: frames.Window, heartbeat_s: float, now: float
    ) -> None:
        """``wire`` is open; ``window`` is that of our frames."""
        self.wire = wire
        self._window = window
        self._heartbeat_s = heartbeat_s
        self._ping_at = now + heartbeat_s

    async def run(self) -> None:
        """Serve until the connection has ended."""
        wire = self.wire
        try:
            while (data := await wire.read()) is not None:
                text = isinstance(data, str)
                payload = data.encode() if isinstance(data, str) else data
                wire.put(frames.frame(payload, frames.TEXT if text else frames.BINARY, self._window))
                wire.flush()
                await wire.drained()
        except WebSocketViolation as breach:
            too_large = CloseCode.MESSAGE_TOO_LARGE
            code, reason = (too_large, too_large.reason) if breach.too_large else (breach.code, str(breach))
            wire.close(int(code), reason)
            await wire.fail(breach)

    def tick(self, now: float) -> None:
        """Ping, and end what has not been heard of since the last ping."""
        wire = self.wire
        wire.tick(now)
        if now < self._ping_at or wire.ended:
            return
        if not (wire.heard or wire.resting):
            self.end(CloseCode.HEARTBEAT_MISSED)
            return
        wire.heard = False
        self._ping_at = now + self._heartbeat_s
        wire.ping()

    def end(self, code: CloseCode) -> None:
        """Close from our side."""
        self.wire.close(int(code), code.reason)
