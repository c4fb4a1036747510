"""The client without asyncio: each call waits for its result. The asynchronous client runs in a thread of its
own.

Whatever the asynchronous classes say holds here as well. It may be used from several threads; a room and a
stream are for one of them at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from warren_client.errors import ClosedError, InvalidError
from warren_client.messages import (
    ContactChange,
    Item,
    Limits,
    Message,
    Notice,
    Overflow,
    Position,
    PresenceChange,
    Receipt,
    ReceiptLevel,
    State,
)
from warren_client.options import Options
from warren_client.shell.client import Client as AsyncClient
from warren_client.shell.client import Contacts as AsyncContacts
from warren_client.shell.client import Token
from warren_client.shell.room import Ack as AsyncAck
from warren_client.shell.room import Presence as AsyncPresence
from warren_client.shell.room import Room as AsyncRoom
from warren_client.shell.stream import Stream

T = TypeVar("T")
_UNSAID: Any = object()
_END: Any = object()


class _Loop:
    """A thread with an event loop. ``run`` waits for a coroutine in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="warren client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            work.close()
            raise InvalidError("wrong_thread", "a token callback can't use the client that waits for it")
        if self.is_closed:
            work.close()
            raise ClosedError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # the caller has been interrupted
            raise

    @property
    def is_closed(self) -> bool:
        return self._loop.is_closed()

    def close(self) -> None:
        if not self.is_closed:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())


class Items(Generic[T]):
    """Reads an asynchronous iterator. Once the client is closed, there is nothing more to read."""

    def __init__(self, loop: _Loop, source: AsyncIterator[T]) -> None:
        """``source`` is read in ``loop``."""
        self._loop = loop
        self._source = source

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item = _END if self._loop.is_closed else self._loop.run(self._next(None))
        if item is _END:
            raise StopIteration
        return item

    def receive(self, timeout: float | None = None) -> T | None:
        """Return the next item; None after ``timeout`` seconds without one. Raises EOFError if there is no
        more.
        """
        try:
            item = _END if self._loop.is_closed else self._loop.run(self._next(timeout))
        except TimeoutError:
            return None
        if item is _END:
            raise EOFError("there is nothing more to read")
        return item

    def close(self) -> None:
        """Read no more of it."""
        closing = getattr(self._source, "aclose", None)
        if closing is not None and not self._loop.is_closed:
            self._loop.run(closing())

    async def _next(self, timeout: float | None) -> T:  # noqa: ASYNC109 # nothing is taken if it is late
        async with asyncio.timeout(timeout):
            return await anext(self._source, _END)


class Ack:
    """The message stands in the log."""

    def __init__(self, loop: _Loop, ack: AsyncAck) -> None:
        """See ``Room.send``."""
        self._loop = loop
        self._ack = ack
        self.id, self.room, self.seq, self.epoch = ack.id, ack.room, ack.seq, ack.epoch
        self.position = ack.position

    def __repr__(self) -> str:
        return repr(self._ack)

    def written(self) -> Receipt:
        """Wait until the message is on its members' sockets, or that is given up."""
        return self._loop.run(self._ack.written())

    def seen(self) -> Receipt:
        """Wait until all who were there have seen the message, or that is given up."""
        return self._loop.run(self._ack.seen())


class Presence:
    """Who is in a room now; ``now`` has all that can be asked at once."""

    def __init__(self, loop: _Loop, presence: AsyncPresence) -> None:
        """See ``Room.presence``."""
        self._loop = loop
        self.now = presence

    def update(self, info: Any) -> None:
        """Have the room show ``info`` with this client from now on."""
        self._loop.run(self.now.update(info))

    def changes(self) -> Items[PresenceChange]:
        """Return what changes from now on."""
        return Items(self._loop, self.now.changes())


class Room(Items[Item]):
    """``with`` joins it and leaves it; ``for`` gives its messages, gaps and drops, in order and once."""

    def __init__(self, loop: _Loop, room: AsyncRoom) -> None:
        """See ``Client.room``."""
        super().__init__(loop, aiter(room))
        self._room = room

    @property
    def name(self) -> str:
        """The room's name."""
        return self._room.name

    @property
    def position(self) -> Position | None:
        """Up to here everything was taken from this room."""
        return self._room.position

    @property
    def presence(self) -> Presence:
        """Who is there. The room must have been opened with ``presence=True``."""
        return Presence(self._loop, self._room.presence)

    def __enter__(self) -> Self:
        self.join()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def join(self) -> None:
        """Join the room, and stay in it over all connections."""
        self._loop.run(self._room.join())

    def leave(self) -> None:
        """Leave the room."""
        self._loop.run(self._room.leave())

    def send(
        self, type: str, payload: Any = None, *, receipt: ReceiptLevel | None = None, **fields: Any
    ) -> Ack:
        """Send a message once, and return when it stands in the log. ``fields`` are those of the asynchronous
        room.
        """
        return Ack(self._loop, self._loop.run(self._room.send(type, payload, receipt=receipt, **fields)))

    def send_ephemeral(self, type: str, payload: Any = None) -> bool:
        """Send a message now or never. Return whether it was sent."""

        async def send() -> bool:
            return self._room.send_ephemeral(type, payload)

        return self._loop.run(send())

    def seen(self, message: Message | Position | None = None) -> None:
        """Say that the user has seen the room up to this message: by default the last one that was taken."""

        async def say() -> None:
            self._room.seen(message)

        self._loop.run(say())

    def history_page(self, before: int | None = None, limit: int = 50) -> tuple[list[Message], bool]:
        """Return older messages, oldest first, and whether there are further ones."""
        return self._loop.run(self._room.history_page(before, limit))

    def history(self, before: int | None = None, page: int = 50) -> Iterator[Message]:
        """Yield older messages, newest first."""
        return Items(self._loop, self._room.history(before, page))


class Contacts:
    """Which of some users are connected anywhere."""

    def __init__(self, loop: _Loop, contacts: AsyncContacts) -> None:
        """See ``Client.contacts``."""
        self._loop = loop
        self._contacts = contacts

    def is_online(self, user: str) -> bool | None:
        """Whether a user that is watched is connected; None: not known."""
        return self._contacts.is_online(user)

    def changes(self) -> Items[ContactChange]:
        """Return what changes from now on."""
        return Items(self._loop, self._contacts.changes())


class Client:
    """``with`` opens and closes it; ``messages`` gives what is for the user and in no room that was
    opened.
    """

    def __init__(self, loop: _Loop, client: AsyncClient) -> None:
        """See ``connect``."""
        self._loop = loop
        self._client = client
        self.messages: Items[Item] = Items(loop, aiter(client))

    def __enter__(self) -> Self:
        try:
            self._loop.run(self._client.open())
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        """``idle``, ``connecting``, ``open``, ``waiting`` or ``closed``."""
        return self._client.state

    @property
    def user(self) -> str | None:
        """Who the server takes this client for."""
        return self._client.user

    @property
    def limits(self) -> Limits | None:
        """What the server allows."""
        return self._client.limits

    @property
    def is_degraded(self) -> bool:
        """Whether the server has no broker at the moment."""
        return self._client.is_degraded

    def close(self) -> None:
        """Close the connection for good, and end the thread."""
        try:
            self._loop.run(self._client.close())
        finally:
            self._loop.close()

    def room(
        self,
        name: str,
        *,
        since: Position | Mapping[str, Any] | None = None,
        presence: bool = False,
        info: Any = _UNSAID,
        overflow: Overflow | None = None,
        queue_limit: int | None = None,
    ) -> Room:
        """Return a room, to be joined by ``with``."""
        more = {} if info is _UNSAID else {"info": info}

        async def make() -> AsyncRoom:
            return self._client.room(
                name, since=since, presence=presence, overflow=overflow, queue_limit=queue_limit, **more
            )

        return Room(self._loop, self._loop.run(make()))

    def send(self, room: str | None, type: str, payload: Any = None, **fields: Any) -> Ack:
        """Send a message to a room without joining it, where the room allows that."""
        return Ack(self._loop, self._loop.run(self._client.send(room, type, payload, **fields)))

    def request(
        self, service: str, payload: Any = None, *, timeout: float | None = None, **fields: Any
    ) -> Any:
        """Ask a service, and return its answer."""
        return self._loop.run(self._client.request(service, payload, timeout=timeout, **fields))

    def stream(
        self, service: str, payload: Any = None, *, timeout: float | None = None, **fields: Any
    ) -> Items[Any]:
        """Ask a service, and give the parts of its answer. ``close`` it to end it early."""

        async def ask() -> Stream:
            return self._client.stream(service, payload, timeout=timeout, **fields)

        return Items(self._loop, self._loop.run(ask()))

    def contacts(self, users: Iterable[str]) -> Contacts:
        """Watch whether these users, and no others, are connected."""

        async def watch() -> AsyncContacts:
            return self._client.contacts(users)

        return Contacts(self._loop, self._loop.run(watch()))

    def notices(self) -> Items[Notice]:
        """Return what happens to the client as a whole from now on."""

        async def listen() -> AsyncIterator[Notice]:
            return self._client.notices()

        return Items(self._loop, self._loop.run(listen()))


def connect(
    url: str,
    *,
    token: Token | None = None,
    user: str | None = None,
    options: Options | None = None,
    open_timeout: float | None = 30.0,
    websocket_options: Mapping[str, Any] | None = None,
) -> Client:
    """Return a client, to be opened by ``with``. The arguments are those of ``warren_client.connect``."""
    loop = _Loop()

    async def make() -> AsyncClient:
        return AsyncClient(
            url, token, user, options=options, open_timeout=open_timeout, websocket_options=websocket_options
        )

    try:
        return Client(loop, loop.run(make()))
    except BaseException:
        loop.close()
        raise
