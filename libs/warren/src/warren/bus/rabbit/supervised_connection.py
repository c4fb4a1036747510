"""SupervisedConnection: one supervised AMQP connection. It tries the addresses in turn, backs off, and begins
again for ever.

It knows what a connection is for only by a word in the log; what to do on it (declare, open channels) is its
listener's. It never gives up by itself and never logs a traceback for what the broker does: one line for each
failure, one for the return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random

from yarl import URL

from warren.bus import nothing
from warren.bus.rabbit.broker_call import broker_call, describe
from warren.bus.rabbit.connect_errors import remedy, shown
from warren.bus.rabbit.connection import RabbitConnection
from warren.errors import BusUnavailable, TopologyMismatch
from warren.retry import Backoff
from warren.supervision import cancel_and_wait, supervised

_log = logging.getLogger("warren.bus")

BLOCKED_CHECK_S = 0.5
CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class ConnectionTimes:
    """Seconds: AMQP heartbeat, how long a connect may take, and the back-off from its first to its longest
    pause.
    """

    heartbeat_s: int = 10
    connect_s: float = 5.0
    first_pause_s: float = 0.1
    # a broker that is back is found within it; to be refused costs it next to nothing
    longest_pause_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """What all connections of one bus have in common. ``name`` is shown in the broker's list of
    connections.
    """

    name: str
    times: ConnectionTimes = field(default_factory=ConnectionTimes)
    random: Random = field(default_factory=Random)


def _ignore(_: TopologyMismatch) -> None:
    """Stand for a callback that nobody gave."""


@dataclass(frozen=True, slots=True)
class ConnectionListener:
    """What is to be done when something happens to a connection. ``on_up`` makes a fresh one ready (it may
    raise BusUnavailable or TopologyMismatch); ``on_down`` ends what that began; ``on_mismatch`` is told of
    each TopologyMismatch; ``on_blocked`` is called when ``blocked`` has changed.
    """

    on_up: Callable[[RabbitConnection], Awaitable[None]]
    on_down: Callable[[], None] = nothing
    on_mismatch: Callable[[TopologyMismatch], None] = _ignore
    on_blocked: Callable[[], None] = nothing


class SupervisedConnection:
    """One connection, for as long as it is not closed."""

    def __init__(
        self,
        purpose: str,
        urls: Sequence[str],
        profile: ClientProfile,
        listener: ConnectionListener,
    ) -> None:
        """``purpose`` is a word for the log and the broker's list of connections; ``urls`` are tried in
        turn.
        """
        self.connection: RabbitConnection | None = None
        self._purpose = purpose
        self._times = profile.times
        self._random = profile.random
        self._listener = listener
        self._urls = [
            URL(url).update_query(
                {"heartbeat": self._times.heartbeat_s, **URL(url).query, "name": f"{profile.name}/{purpose}"}
            )
            for url in urls
        ]
        self._turn = 0
        self._moves = False  # this connection is being left
        self._moved_at = -inf
        self._task: asyncio.Task[None] | None = None
        self._attempted = asyncio.Event()
        self._connected = asyncio.Event()
        self._closed = False
        self._blocked = False

    @property
    def blocked(self) -> bool:
        """Whether the broker holds back what is published here (a memory or disk alarm)."""
        return self.connection is not None and self.connection.held_back

    @property
    def address(self) -> str:
        """Where it is connected to, or tries to; without credentials."""
        return shown(self._urls[self._turn])

    def backoff(self) -> Backoff:
        """Return the pauses between attempts at anything on this connection."""
        return Backoff(self._times.first_pause_s, self._times.longest_pause_s, self._random.random)

    def move(self, seldom_s: float = 0.0) -> None:
        """Leave the present connection for one to the next address: what answers there does not do what it
        should. Not again within ``seldom_s``.
        """
        now = asyncio.get_running_loop().time()
        if self.connection is not None and not self._moves and now >= self._moved_at + seldom_s:
            _log.warning(
                "the broker at %s does not serve as it should (%s); taking the next",
                self.address,
                self._purpose,
            )
            self._moves, self._moved_at = True, now
            self._connected.clear()
            self.connection.abort()

    def start(self) -> None:
        """Begin to connect; does nothing the second time."""
        if self._task is None:
            self._task = supervised(
                asyncio.get_running_loop().create_task(self._run(), name=f"connection-{self._purpose}")
            )

    async def attempted(self) -> None:
        """Return once the first round over the addresses has succeeded or failed, or there will be none."""
        await self._attempted.wait()

    async def connected(self) -> None:
        """Return once there is a connection."""
        await self._connected.wait()

    async def close(self) -> None:
        """End the connection and begin no other."""
        self._closed = True
        await cancel_and_wait(self._task)
        self._attempted.set()  # there will be no other attempt to wait for

    async def _run(self) -> None:
        backoff = self.backoff()
        while not self._closed:
            for _ in self._urls:
                served = await self._serve(self._urls[self._turn])
                # Also where it was served: a node that stands still takes connections, and answers nothing.
                self._turn = (self._turn + 1) % len(self._urls)
                self._moves = False
                if served:
                    backoff.reset()
                    break
            self._attempted.set()
            await asyncio.sleep(backoff.next())

    async def _serve(self, url: URL) -> bool:
        """Connect to one address and stay until the connection ends; False where it could not be
        made ready.
        """
        connection = RabbitConnection(url)
        ready = False
        try:
            with broker_call("connecting"):
                async with asyncio.timeout(self._times.connect_s):
                    await connection.connect()
                    await connection.connected.wait()
            await self._listener.on_up(connection)
            ready = True
            _log.info("connected to the broker at %s (%s)", shown(url), self._purpose)
            await self._stay(connection)
            why = "closed" if connection.closing.cancelled() else describe(connection.closing.exception())
            _log.warning(
                "the broker at %s is gone (%s): %s; connecting again", shown(url), self._purpose, why
            )
        except TopologyMismatch as mismatch:
            _log.error("the broker at %s: %s (%s)", shown(url), mismatch, self._purpose)
            self._listener.on_mismatch(mismatch)
        except BusUnavailable as error:
            hint = remedy(error, url)
            # What only time mends may be a slip in the address all the same.
            what = (
                f"{str(error).rstrip('.')}. "
                f"{f'To mend: {hint}' if hint else 'WARREN_AMQP_URL names this address'}"
            )
            _log.warning("the broker at %s: %s (%s); trying again", shown(url), what, self._purpose)
        except Exception:  # noqa: BLE001 - a connection has no state to break: it is made anew, and the pod lives on
            _log.exception(
                "the broker at %s: a fault of ours (%s); connecting again", shown(url), self._purpose
            )
        finally:
            self.connection = None
            self._connected.clear()
            self._blocked = False
            self._listener.on_down()
            self._listener.on_blocked()
            await _end(connection)
        return ready

    def adopt(self, connection: RabbitConnection) -> None:
        """Say (from ``on_up``) that the connection can be used from now on."""
        self.connection = connection
        self._connected.set()
        self._attempted.set()

    async def _stay(self, connection: RabbitConnection) -> None:
        closing = connection.closing
        while not closing.done():
            await asyncio.wait({closing}, timeout=BLOCKED_CHECK_S)
            if closing.done():
                return
            blocked = connection.held_back
            if blocked != self._blocked:
                self._blocked = blocked
                state = "holds publishing back: a memory or disk alarm" if blocked else "takes publishes"
                _log.warning("the broker %s (%s)", state, self._purpose)
                self._listener.on_blocked()


async def _end(connection: RabbitConnection) -> None:
    """Close in order, or hard where the peer does not answer in time."""
    close = asyncio.get_running_loop().create_task(connection.close())
    try:
        await asyncio.wait({close}, timeout=CLOSE_S)
    finally:
        connection.abort()
        await cancel_and_wait(close)
