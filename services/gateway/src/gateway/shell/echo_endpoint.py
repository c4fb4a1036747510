"""Echo: send back what comes, text and binary; for conformance suites, load balancers' checks and first
steps.

Size, heartbeat and close follow the same rules as elsewhere; there is no token, no room and no limit on how
fast, and it reads the next message only when the last one is on its way. It never touches the bus.
"""

from __future__ import annotations

from gateway.core.websocket import frames
from gateway.shell.websocket_transport import WebSocketTransport, WebSocketViolation
from warren.errors import CloseCode


class Echo:
    """One connection of the echo route."""

    def __init__(
        self, transport: WebSocketTransport, *, window: frames.Window, heartbeat_s: float, now: float
    ) -> None:
        """``transport`` is open; ``window`` is that of our frames."""
        self.transport = transport
        self._window = window
        self._heartbeat_s = heartbeat_s
        self._ping_at = now + heartbeat_s

    async def run(self) -> None:
        """Serve until the connection has ended."""
        transport = self.transport
        try:
            while (data := await transport.read()) is not None:
                text = isinstance(data, str)
                payload = data.encode() if isinstance(data, str) else data
                transport.put(frames.frame(payload, frames.TEXT if text else frames.BINARY, self._window))
                transport.flush()
                await transport.drained()
        except WebSocketViolation as violation:
            too_large = CloseCode.MESSAGE_TOO_LARGE
            code, reason = (
                (too_large, too_large.reason) if violation.too_large else (violation.code, str(violation))
            )
            transport.close(int(code), reason)
            await transport.fail(violation)

    def tick(self, now: float) -> None:
        """Ping, and end what has not been heard of since the last ping."""
        transport = self.transport
        transport.tick(now)
        if now < self._ping_at or transport.ended:
            return
        if not (transport.heard or transport.resting):
            self.end(CloseCode.HEARTBEAT_MISSED)
            return
        transport.heard = False
        self._ping_at = now + self._heartbeat_s
        transport.ping()

    def end(self, code: CloseCode) -> None:
        """Close from our side."""
        self.transport.close(int(code), code.reason)
