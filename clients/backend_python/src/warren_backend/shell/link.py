"""Link: one connection to the broker, made again whenever it is lost, and a channel on it for each part.

A part is given a channel and works until that ends; then it gets another one, with growing pauses. It knows
no message. What was under way on a lost channel is for the part to do again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from yarl import URL

from warren_backend.core.backoff import Backoff
from warren_backend.core.errors import BackendError, BrokerUnavailable
from warren_backend.shell.broker_errors import LASTING, LOST, explained

DIAL_S: Final = 10.0
OPEN_S: Final = 10.0
CLOSE_S: Final = 3.0
HEARTBEAT_S: Final = 15
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 15.0
# A channel that has held for so long has worked: the next one comes at once.
HELD_S: Final = 30.0

_log = logging.getLogger("warren_backend")


class Part(Protocol):
    """Whoever needs a channel."""

    name: str

    async def serve(self, channel: AbstractChannel, ready: Callable[[], None]) -> None:
        """Work on a channel until it ends; call ``ready`` once all is declared. Return where the next channel
        is wanted at once, and raise where it is not.
        """
        ...

    def trouble(self, error: BackendError | None) -> None:
        """Hear why there is no channel; None: there is one."""
        ...


class Link:
    """Keeps the connection. ``start`` returns once all parts are ready, and ``stop`` ends everything."""

    def __init__(self, urls: Sequence[str], parts: Sequence[Part]) -> None:
        """The addresses are tried one after the other."""
        self._urls = [_with_heartbeat(url) for url in urls]
        self._parts = parts
        self._ready: set[str] = set()
        self._news = asyncio.Event()
        self._failure: BackendError | None = None
        self._task: asyncio.Task[None] | None = None
        self._turn = 0

    async def start(self, timeout_s: float) -> None:
        """Connect. Raises the reason where it can't be done in time, or never will."""
        self._task = asyncio.create_task(self._run(), name="warren-backend-link")
        try:
            async with asyncio.timeout(timeout_s):
                while not all(part.name in self._ready for part in self._parts):
                    if isinstance(self._failure, LASTING):
                        raise self._failure
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            await self.stop()
            reason = self._failure or BrokerUnavailable("the broker does not answer")
            raise reason from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Leave the broker."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random)
        while True:
            url = self._urls[self._turn % len(self._urls)]
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(DIAL_S):
                    connection = await aio_pika.connect(url)
            except LOST as error:
                self._failed(explained(error, url), self._parts)
                self._turn += 1
            else:
                try:
                    await self._use(connection)
                finally:
                    await _closed(connection)
                self._failed(BrokerUnavailable("the connection to the broker is lost"), self._parts)
                if asyncio.get_running_loop().time() - began > HELD_S:
                    backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _use(self, connection: AbstractConnection) -> None:
        """Serve all parts until the connection is lost, or is of no use."""
        if (transport := connection.transport) is None:
            return
        lost = transport.connection.closing
        tasks = [
            asyncio.create_task(self._keep(part, connection), name=f"warren-backend-{part.name}")
            for part in self._parts
        ]
        try:
            await asyncio.wait([lost, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            lost.cancel()  # only this observer of it
            for task in tasks:
                if not task.cancelled() and (error := task.exception()) is not None:
                    _log.error("a part of the backend has failed", exc_info=error)

    async def _keep(self, part: Part, connection: AbstractConnection) -> None:
        """Give a part one channel after the other; return where none can be opened."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random.random)
        while not connection.is_closed:
            began = loop.time()
            try:
                async with asyncio.timeout(OPEN_S):
                    channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                    await channel.initialize()
                    underlay = await channel.get_underlay_channel()
            except LOST as error:
                self._failed(explained(error), [part])
                return
            try:
                await part.serve(underlay, lambda: self._served(part))
            except (*LOST, BackendError) as error:
                self._failed(explained(error), [part])
            except Exception as error:  # noqa: BLE001 - a fault must not take the other parts with it
                _log.exception("%s has failed", part.name)
                self._failed(explained(error), [part])
            else:
                continue
            finally:
                with contextlib.suppress(*LOST):
                    async with asyncio.timeout(CLOSE_S):
                        await underlay.close()
            if loop.time() - began > HELD_S:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    def _served(self, part: Part) -> None:
        part.trouble(None)
        self._ready.add(part.name)
        self._news.set()

    def _failed(self, error: BackendError, parts: Sequence[Part]) -> None:
        for part in parts:
            part.trouble(error)
        self._failure = error
        self._news.set()
        _log.warning("%s: %s", "all parts" if parts is self._parts else parts[0].name, error)


async def _closed(connection: AbstractConnection) -> None:
    """Close a connection that may be dead already; it must not hold anybody up."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await connection.close()
    except LOST:
        pass
    except asyncio.CancelledError:
        # what the connection itself has cancelled ends nothing here; who stops the link does
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


def _with_heartbeat(url: str) -> URL:
    """Return the address with a heartbeat, so that a dead network is noticed within a minute."""
    try:
        parsed = URL(url)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the broker's address is no URL: {error}") from None
    if parsed.scheme not in ("amqp", "amqps") or not parsed.host:
        raise ValueError(
            "the broker's address must be like amqp://user:password@host/%2F (or amqps://), with %2F for the "
            "virtual host /"
        )
    return parsed if "heartbeat" in parsed.query else parsed.update_query(heartbeat=HEARTBEAT_S)
