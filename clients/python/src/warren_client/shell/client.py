"""A client as an application has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from warren_client.core.encode import Draft, Question
from warren_client.core.link import Credentials
from warren_client.core.requests import Asked
from warren_client.core.session import Session
from warren_client.errors import ConnectError, InvalidError
from warren_client.messages import (
    ContactChange,
    Item,
    Limits,
    Notice,
    Overflow,
    Position,
    ReceiptLevel,
    State,
)
from warren_client.options import Options, check_overflow
from warren_client.shell.driver import Driver
from warren_client.shell.history import History, Page, history_page
from warren_client.shell.reader import Reader
from warren_client.shell.room import Ack, Room, publish
from warren_client.shell.stream import Stream

_UNSAID: Any = object()
Token = str | Callable[[], str | Awaitable[str]]


class Contacts:
    """Which of some users are connected anywhere."""

    def __init__(self, driver: Driver) -> None:
        """There is one for each client."""
        self._driver = driver
        self._changes: Reader[ContactChange] | None = None

    @property
    def online(self) -> Mapping[str, bool | None]:
        """User ▶ True, False, or None: not known (yet), or not told to this client."""
        return self._driver.session.contacts.online

    def is_online(self, user: str) -> bool | None:
        """Whether a user that is watched is connected; None: not known."""
        return self.online.get(user)

    def changes(self) -> AsyncIterator[ContactChange]:
        """Return what changes from now on. A reader that is too slow gets one without a user: look anew."""
        if self._changes is None:
            self._changes = Reader(self._driver.session.contacts.listen(), self._driver)
        return self._changes


class Client:
    """A connection to Warren that comes back. ``async with`` opens and closes it; ``async for`` gives what is
    for the user and not in a room that was opened: messages to the user, to this connection and to everyone,
    and in rooms that the server has joined for the user at connect.
    """

    def __init__(
        self,
        url: str,
        token: Token | None = None,
        user: str | None = None,
        *,
        options: Options | None = None,
        open_timeout: float | None = 30.0,
        websocket_options: Mapping[str, Any] | None = None,
    ) -> None:
        """See ``connect``."""
        options = options or Options()
        source = token if callable(token) else None
        fixed = token if isinstance(token, str) else None
        if token is not None and source is None and not fixed:
            raise InvalidError("invalid_option", "token: must be a text, or a function that returns one")
        who = Credentials(fixed, source is not None, user)
        session = Session(url, options, who, random.SystemRandom().random)
        self._options = options
        self._open_timeout = open_timeout
        self._driver = Driver(session, options, source, websocket_options or {})
        self._contacts = Contacts(self._driver)
        self._mailbox: Reader[Item] = Reader(session.mailbox, self._driver)

    def __repr__(self) -> str:
        return f"Client(state={self.state!r}, user={self.user!r})"

    @property
    def state(self) -> State:
        """``idle``, ``connecting``, ``open``, ``waiting`` (for the next attempt) or ``closed``."""
        return self._driver.session.link.state

    @property
    def user(self) -> str | None:
        """Who the server takes this client for."""
        return self._driver.session.user

    @property
    def connection_id(self) -> str | None:
        """The server's name for the present connection, or for the last one."""
        welcome = self._driver.session.welcome
        return welcome.connection if welcome else None

    @property
    def limits(self) -> Limits | None:
        """What the server allows."""
        welcome = self._driver.session.welcome
        return welcome.limits if welcome else None

    @property
    def is_degraded(self) -> bool:
        """Whether the server has no broker at the moment: messages wait."""
        return self._driver.session.is_degraded

    @property
    def waiting(self) -> int:
        """How many frames wait to be sent or answered."""
        return len(self._driver.session.outbox)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._mailbox

    async def open(self) -> None:
        """Connect, and return when the server has said WELCOME. Raises ConnectError after ``open_timeout``
        seconds, or at once if the server refuses the WebSocket; ClosedError if it refuses the client.
        """
        driver, link = self._driver, self._driver.session.link
        driver.do(link.connect)
        try:
            async with asyncio.timeout(self._open_timeout):
                await driver.settled(link.ready)
        except TimeoutError:
            last = link.last_error
            await self.close()
            why = f": {last.message}" if last else ""
            raise ConnectError(f"no connection within {self._open_timeout:g} s{why}") from last
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection for good. What waits for an answer ends with ClosedError."""
        closing = asyncio.ensure_future(self._driver.end())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # it takes a moment at most
            raise

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
        """Return a room, to be joined by ``async with``. ``since`` is a position that was kept: what came
        after it is read first, or a Gap says that it is lost. ``presence``: know who is there; ``info`` is
        what the room shows with this client. ``overflow`` and ``queue_limit`` are those of the options, for
        this room.
        """
        session = self._driver.session
        overflow = overflow or self._options.overflow
        check_overflow(overflow)
        limit = queue_limit if queue_limit is not None else self._options.queue_limit
        if limit < 1:
            raise InvalidError("invalid_option", "queue_limit: must be at least 1")
        state = session.room(name, Position.of(since) if since is not None else None, overflow, limit)
        if presence:
            session.watch(state, None if info is _UNSAID else info, info is not _UNSAID)
        return Room(state, self._driver)

    async def send(
        self,
        room: str | None,
        type: str,
        payload: Any = None,
        *,
        id: str | None = None,
        key: str | None = None,
        include_sender: bool = False,
        receipt: ReceiptLevel | None = None,
        traceparent: str | None = None,
    ) -> Ack:
        """Send a message to a room without joining it, where the room allows that; as ``Room.send``."""
        draft = Draft(
            type=type,
            payload=payload,
            room=room,
            id=id,
            key=key,
            include_sender=include_sender,
            receipt=receipt,
            traceparent=traceparent,
        )
        return await publish(self._driver, draft)

    async def leave(self, room: str) -> None:
        """Leave a room that the server has joined for this client at connect, for good: nothing of it arrives
        any more. A room that was opened is left by itself.
        """
        driver = self._driver
        entry = driver.do(lambda: driver.session.leave(room))
        if entry is not None and not driver.session.is_closed:
            await driver.settled(entry.outcome)

    def history(self, room: str, before: int | None = None, page: int = 50) -> History:
        """Return what was said in a room, as ``Room.history``; the room need not be open where it allows
        that.
        """
        return History(room, self._driver, before, page)

    async def history_page(self, room: str, before: int | None = None, limit: int = 50) -> Page:
        """Return a page of what was said in a room, as ``Room.history_page``."""
        return await history_page(room, self._driver, before, limit)

    async def request(
        self,
        service: str,
        payload: Any = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 # the server is told
        durable: bool = False,
        id: str | None = None,
        traceparent: str | None = None,
    ) -> Any:
        """Ask a service, and return its answer (of one in parts, the last part). Raises RefusedError with the
        service's code, or RequestTimeoutError. If this is cancelled, the service is told.

        ``durable``: the answer comes however late and on whatever connection; without that, one that is lost
        in the middle of an answer raises ConnectError. ``timeout`` is in seconds, at most 60.
        """
        question = self._question(service, payload, timeout, durable, id, traceparent)
        asked = self._driver.do(lambda: self._driver.session.request(question))
        return await self._answer(asked)

    def stream(
        self,
        service: str,
        payload: Any = None,
        *,
        timeout: float | None = None,
        durable: bool = False,
        id: str | None = None,
        traceparent: str | None = None,
    ) -> Stream:
        """Ask a service, and give the parts of its answer, in order and once; an answer in one piece is one
        part. Raises as ``request`` does. ``timeout`` is for each part. If the stream is closed early, or
        nobody has it any more, the service is told.
        """
        question = self._question(service, payload, timeout, durable, id, traceparent)
        asked, parts = self._driver.do(lambda: self._driver.session.stream(question))
        return Stream(asked, Reader(parts, self._driver), self._driver)

    def contacts(self, users: Iterable[str]) -> Contacts:
        """Watch whether these users, and no others, are connected; at most 100."""
        wanted = list(users)
        self._driver.do(lambda: self._driver.session.watch_contacts(wanted))
        return self._contacts

    def notices(self) -> AsyncIterator[Notice]:
        """Return what happens to the client as a whole from now on: states, DEGRADED, errors that no caller
        waits for. Each call has a queue of its own; if it is full, the oldest are dropped.
        """
        return Reader(self._driver.session.listen(), self._driver)

    def _question(
        self,
        service: str,
        payload: Any,
        seconds: float | None,
        durable: bool,
        id: str | None,
        traceparent: str | None,
    ) -> Question:
        return Question(
            service=service,
            payload=payload,
            id=id if id is not None else self._driver.session.new_id(),
            timeout_ms=None if seconds is None else round(seconds * 1_000),
            durable=durable,
            traceparent=traceparent,
        )

    async def _answer(self, asked: Asked) -> Any:
        try:
            return await self._driver.settled(asked.outcome)
        except asyncio.CancelledError:
            self._driver.do(lambda: self._driver.session.cancel(asked))
            raise


def connect(
    url: str,
    *,
    token: Token | None = None,
    user: str | None = None,
    options: Options | None = None,
    open_timeout: float | None = 30.0,
    websocket_options: Mapping[str, Any] | None = None,
) -> Client:
    """Return a client, to be opened by ``async with``.

    ``token`` is a text, or a function (also an asynchronous one) that is asked whenever one is needed: it may
    raise StopConnecting. ``user`` is the name in anonymous mode. ``open_timeout``: how many seconds ``async
    with`` waits for the first WELCOME; later the client tries for ever, or as ``options`` say.
    ``websocket_options`` go to ``websockets.connect`` (``ssl``, ``proxy``, ``compression``, …).
    """
    return Client(
        url, token, user, options=options, open_timeout=open_timeout, websocket_options=websocket_options
    )
