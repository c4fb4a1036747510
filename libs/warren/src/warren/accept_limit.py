"""A limit on open sockets: a listening port accepts so many at a time, and tells whoever comes beyond them.

An event loop's own server accepts whatever comes until the process has no file left, and then nobody can be
answered on any port. Here each socket is counted from its accept to its close, whatever becomes of its
protocol; one too many is answered and closed before the next is taken, so it never costs more than one file.
Nothing is read from it but what has come already.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from warren.logs import event, get_logger
from warren.supervision import supervised

# How many are accepted before the loop has its turn.
TURN = 64
# How long no socket is accepted where the system has nothing left for one.
REST_S = 0.2
LOG_EVERY_S = 10.0
DRAIN_BYTES = 65_536

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = get_logger("warren.accept_limit")


class _Counted(socket.socket):
    """A socket that says when its file is closed, whoever closes it."""

    __slots__ = ("_closed_once",)

    def __init__(self, accepted: socket.socket, closed: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._closed_once: Callable[[], None] | None = closed

    def close(self) -> None:
        super().close()
        closed, self._closed_once = self._closed_once, None
        if closed is not None:
            closed()

    def detach(self) -> int:
        closed, self._closed_once = self._closed_once, None
        if closed is not None:
            closed()
        return super().detach()


class Acceptor:
    """Accepts on bound sockets until it is closed."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        *,
        most: int = 0,
        refusal: bytes = b"",
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """``most``: how many may be open (0: any number); ``refusal`` is written to one too many, and
        ``refused`` counts it.
        """
        self.open = 0
        self._sockets = tuple(sockets)
        self._protocol = protocol
        self._most = most
        self._refusal = refusal
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._read: set[socket.socket] = set()
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._logged_at: float | None = None
        self._unlogged = 0

    def start(self, backlog: int) -> None:
        """Listen. Raises OSError."""
        for each in self._sockets:
            each.setblocking(False)
            each.listen(backlog)
            self._loop.add_reader(each, self._accept, each)
            self._read.add(each)

    def close(self) -> None:
        """Accept no more; sockets that were accepted stay open."""
        for each in self._sockets:
            timer = self._resting.pop(each, None)
            if timer is not None:
                timer.cancel()
            elif each in self._read:
                self._loop.remove_reader(each)
            each.close()
        self._read.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(TURN):
            try:
                accepted, _peer = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(listening, error)
                    return
                continue  # this one has gone again
            accepted.setblocking(False)
            if self._most and self.open >= self._most:
                self._turn_away(accepted)
                continue
            self.open += 1
            counted = _Counted(accepted, self._closed)
            task = supervised(self._loop.create_task(self._begin(counted), name="accepted"))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _closed(self) -> None:
        self.open -= 1

    async def _begin(self, accepted: _Counted) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except OSError:
            accepted.close()  # it has gone again, or the server has stopped
        except BaseException:
            accepted.close()
            raise

    def _turn_away(self, accepted: socket.socket) -> None:
        """Answer and close at once: a socket whose request has been read ends in order, so that its peer can
        read the answer.
        """
        with accepted, contextlib.suppress(OSError):
            accepted.send(self._refusal)
            accepted.shutdown(socket.SHUT_WR)
            accepted.recv(DRAIN_BYTES)
        self._refused()
        self._say("no_more_connections", sockets=self._most)

    def _rest(self, listening: socket.socket, error: OSError) -> None:
        """Leave a port alone for a moment: it would be ready again at once, and as far from an answer."""
        self._loop.remove_reader(listening)

        def again() -> None:
            del self._resting[listening]
            self._loop.add_reader(listening, self._accept, listening)

        self._resting[listening] = self._loop.call_later(REST_S, again)
        self._say("no_file_for_a_connection", reason=error.strerror, sockets=self.open)

    def _say(self, name: str, *, sockets: int, reason: str | None = None) -> None:
        now = self._loop.time()
        if self._logged_at is not None and now - self._logged_at < LOG_EVERY_S:
            self._unlogged += 1
            return
        self._logged_at, unlogged, self._unlogged = now, self._unlogged, 0
        hint = (
            "more connections than open files allow: raise the hard limit of open files (ulimit -Hn, "
            "LimitNOFILE), or run more pods"
        )
        event(
            _log,
            name,
            level=logging.WARNING,
            sockets=sockets,
            reason=reason,
            hint=hint,
            unlogged=unlogged or None,
        )
