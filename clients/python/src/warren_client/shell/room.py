"""A room as an application has it: its messages, its own ones, who is there and what was there before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from warren_client.core.encode import Draft
from warren_client.core.outcome import Outcome
from warren_client.core.rooms import RoomState
from warren_client.core.roster import Roster
from warren_client.errors import InvalidError
from warren_client.messages import (
    Accepted,
    Count,
    Item,
    Member,
    Message,
    Position,
    PresenceChange,
    Receipt,
    ReceiptLevel,
)
from warren_client.shell.driver import Driver
from warren_client.shell.history import History, history_page
from warren_client.shell.reader import Reader

_PAGE = 50


class Ack:
    """The message stands in the log: here, unless it is of a kind that is not numbered."""

    def __init__(self, accepted: Accepted, driver: Driver, receipts: Mapping[str, Outcome[Receipt]]) -> None:
        """``receipts`` are those that were asked for."""
        self.id = accepted.id
        self.room = accepted.room
        self.seq = accepted.seq
        self.epoch = accepted.epoch
        self.position = accepted.position
        self._driver = driver
        self._receipts = receipts

    def __repr__(self) -> str:
        return f"Ack(id={self.id!r}, room={self.room!r}, seq={self.seq!r}, epoch={self.epoch!r})"

    async def written(self) -> Receipt:
        """Wait until each gateway has put the message on its members' sockets, or that is given up."""
        return await self._receipt("written")

    async def seen(self) -> Receipt:
        """Wait until as many users have seen the message as were there, or that is given up."""
        return await self._receipt("seen")

    async def _receipt(self, level: ReceiptLevel) -> Receipt:
        if level not in self._receipts:
            raise InvalidError("invalid_message", f"no receipt was asked for: send with receipt={level!r}")
        return await self._driver.settled(self._receipts[level])


class Presence:
    """Who is in a room now, kept right by the room's own proof. It stays as it was while there is no
    connection.
    """

    def __init__(self, roster: Roster, state: RoomState, driver: Driver) -> None:
        """``roster`` is what the core knows."""
        self._roster = roster
        self._state = state
        self._driver = driver
        self._changes: Reader[PresenceChange] | None = None

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._roster.members.values()))

    def __len__(self) -> int:
        return len(self._roster.members)

    def __contains__(self, user: str) -> bool:
        return any(member.user == user for member in self._roster.members.values())

    @property
    def members(self) -> Mapping[str, Member]:
        """By user, or by connection where the room tells of each connection."""
        return self._roster.members

    @property
    def count(self) -> Count:
        """How many there are."""
        return self._roster.count

    @property
    def counts_only(self) -> bool:
        """Whether the room has more members than it tells by name."""
        return self._roster.counts_only

    @property
    def is_complete(self) -> bool:
        """Whether these are all members, as the room's proof says."""
        return self._roster.is_complete

    @property
    def watching(self) -> bool | None:
        """False: the room does not tell this client. None: it has not answered yet."""
        return self._roster.watching

    @property
    def seen(self) -> Mapping[str, int]:
        """User ▶ seq up to which it has seen the room, where the room tells that."""
        return self._roster.seen

    def seen_by(self, message: Message | Ack | int) -> list[str]:
        """Return which users have seen a message, without this client's own."""
        if isinstance(message, int):
            return self._roster.seen_by(None, message)
        return self._roster.seen_by(message.epoch, message.seq) if message.seq else []

    async def update(self, info: Any) -> None:
        """Have the room show ``info`` (any JSON of at most 1 KiB; None: nothing) with this client from now
        on.
        """
        driver = self._driver
        await driver.settled(driver.do(lambda: driver.session.update(self._state, info)))

    def changes(self) -> AsyncIterator[PresenceChange]:
        """Return what changes from now on. A reader that is too slow gets one ``reset`` instead: look
        anew.
        """
        if self._changes is None:
            self._changes = Reader(self._roster.listen(), self._driver)
        return self._changes


class Room:
    """``async with`` joins it and leaves it; ``async for`` gives its messages, gaps and drops, in order and
    once.
    """

    def __init__(self, state: RoomState, driver: Driver) -> None:
        """It is joined by ``join``, or by ``async with``."""
        self._state = state
        self._driver = driver
        self._items: Reader[Item] = Reader(state.inbox, driver)
        self._presence = Presence(state.roster, state, driver) if state.roster is not None else None

    def __repr__(self) -> str:
        return f"Room({self.name!r})"

    @property
    def name(self) -> str:
        """The room's name."""
        return self._state.name

    @property
    def position(self) -> Position | None:
        """Up to here everything was taken from this room: keep it, and give it as ``since`` another day."""
        return self._state.read_up_to

    @property
    def presence(self) -> Presence:
        """Who is there. The room must have been opened with ``presence=True``."""
        if self._presence is None:
            raise InvalidError("no_presence", f"open the room with client.room({self.name!r}, presence=True)")
        return self._presence

    async def __aenter__(self) -> Self:
        await self.join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items

    async def receive(self) -> Item:
        """Return the next item. Raises StopAsyncIteration after the room was left, or the error that ended
        it.
        """
        return await anext(self._items)

    async def join(self) -> None:
        """Join the room, and stay in it over all connections. If this is cancelled, it is left again."""
        driver, state = self._driver, self._state
        driver.do(lambda: driver.session.join(state))
        try:
            await driver.settled(state.joined)
        except asyncio.CancelledError:
            driver.do(lambda: driver.session.rooms.leave(state))
            raise

    async def leave(self) -> None:
        """Leave the room, and wait until the server has confirmed it or there is no connection any more."""
        driver, state = self._driver, self._state
        entry = driver.do(lambda: driver.session.rooms.leave(state))
        if entry is not None and not driver.session.is_closed:
            await driver.settled(entry.outcome)

    async def send(
        self,
        type: str,
        payload: Any = None,
        *,
        id: str | None = None,
        key: str | None = None,
        include_sender: bool = False,
        receipt: ReceiptLevel | None = None,
        traceparent: str | None = None,
    ) -> Ack:
        """Send a message once, and return when it stands in the log. ``bytes`` arrive as bytes.

        It waits while there is no connection, and goes again under the same id until it has an answer. If
        this is cancelled before the message went out, it never goes; afterwards it may have been accepted,
        and is not sent again.
        """
        return await publish(
            self._driver,
            Draft(
                type=type,
                payload=payload,
                room=self.name,
                id=id,
                key=key,
                include_sender=include_sender,
                receipt=receipt,
                traceparent=traceparent,
            ),
        )

    def send_ephemeral(self, type: str, payload: Any = None) -> bool:
        """Send a message now or never, without an answer. Return whether it was sent."""
        draft = Draft(type=type, payload=payload, room=self.name)
        return self._driver.do(lambda: self._driver.session.send_ephemeral(draft))

    def seen(self, message: Message | Position | None = None) -> None:
        """Say that the user has seen the room up to this message: by default the last one that was taken.
        Call it as often as you like; it is said at most once a second, and only if it is more than before.
        """
        message = message if message is not None else self._state.inbox.last
        position = message.position if isinstance(message, Message) else message
        if position is not None:
            seen = position
            self._driver.do(lambda: self._driver.session.saw(self._state, seen))

    async def history_page(self, before: int | None = None, limit: int = _PAGE) -> tuple[list[Message], bool]:
        """Return at most ``limit`` messages before a seq (or the latest ones), oldest first, and whether
        there are older ones.
        """
        return await history_page(self.name, self._driver, before, limit)

    def history(self, before: int | None = None, page: int = _PAGE) -> History:
        """Return the messages before a seq (or the latest ones), newest first, as far as the room's log
        reaches.
        """
        return History(self.name, self._driver, before, page)


async def publish(driver: Driver, draft: Draft) -> Ack:
    """Send a message and wait for its ACK."""
    entry, wanted = driver.do(lambda: driver.session.send(draft))
    entry.callers += 1
    try:
        accepted = await driver.settled(entry.outcome)
    except asyncio.CancelledError:
        if entry.callers == 1:
            driver.do(lambda: driver.session.withdraw(entry))
        raise
    finally:
        entry.callers -= 1
    return Ack(accepted, driver, wanted.outcomes if wanted is not None else {})
