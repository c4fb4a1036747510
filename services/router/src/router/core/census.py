"""Census: asking gateways for their members, while joins and leaves go on.

A gateway's answer is a picture of the moment in which it was made, and travels on another way than its joins and leaves. So from
the moment a gateway is asked, what the shard applies for it is noted too, and the answer is taken with those notes on top. Each ask
has a number that every part of the answer carries, so that a late answer to an earlier ask is never taken for part of this one.
Pure; it changes no RoomTable. ``core/shard.py`` owns one. Bounded: one answer for each gateway, and the notes of the time until it is asked again.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren.address import EVERYONE
from warren.envelope import Announce, Members
from warren.position import Position

Note = dict[tuple[str, str], str | None]  # (room, connection) ▶ user; None: has left


class Answer:
    """An answer that is under way."""

    __slots__ = ("asked_us", "notes", "ref", "rooms")

    def __init__(self, ref: int, asked_us: int) -> None:
        """Nothing has come yet."""
        self.ref = ref
        self.asked_us = asked_us
        self.rooms: list[Members] = []
        self.notes: Note = {}

    def picture(self) -> dict[str, tuple[dict[str, str], Position | None]]:
        """Return room ▶ (connection ▶ user, the gateway's position): the answer with the notes on top."""
        picture: dict[str, tuple[dict[str, str], Position | None]] = {}
        for part in self.rooms:
            members, _ = picture.setdefault(part.room, ({}, part.position))
            members.update(part.members)
        for (room, conn), user in self.notes.items():
            if user is None:
                if room in picture:
                    picture[room][0].pop(conn, None)
            else:
                picture.setdefault(room, ({}, None))[0][conn] = user
        return picture

    def positions(self) -> dict[str, Position | None]:
        """Return how far the gateway has got in each room that it named: those where it has members, and everyone's address."""
        positions: dict[str, Position | None] = {}
        for part in self.rooms:
            if part.members or part.room == EVERYONE:
                positions.setdefault(part.room, part.position)
        return positions


class Census:
    """Who was asked, and what has come of it."""

    def __init__(self) -> None:
        """Nobody was asked."""
        self._under_way: dict[str, Answer] = {}
        self._asks = 0
        self._open_ref = 0  # the ask that went to every gateway, known or not, until the shard is live
        self.answered: set[str] = set()

    def ask(self, gateways: Iterable[str], now_us: int) -> int:
        """Note that these gateways are asked now; return the ask's number. An earlier ask of theirs is over, with its notes."""
        self._asks += 1
        for gateway in gateways:
            self._under_way[gateway] = Answer(self._asks, now_us)
        return self._asks

    def ask_every(self, known: Iterable[str], now_us: int) -> int:
        """As ``ask``, and take an answer from any other gateway too, until ``close``. Nothing may be applied before that."""
        self._open_ref = self.ask(known, now_us)
        return self._open_ref

    def close(self) -> None:
        """From now on joins and leaves are applied: only who is known to have been asked may still answer."""
        self._open_ref = 0

    def asked(self, gateway: str) -> bool:
        """Say whether an answer of this gateway is under way."""
        return gateway in self._under_way

    def note(self, gateway: str, room: str, conn: str, user: str | None) -> None:
        """Note a join (or a leave: user None) that was applied, where the gateway's answer is under way."""
        answer = self._under_way.get(gateway)
        if answer is not None:
            answer.notes[room, conn] = user

    def take(self, part: Announce, now_us: int) -> Answer | None:
        """Take a part of an answer; return the whole once its last part is here."""
        answer = self._under_way.get(part.gateway)
        if answer is None and part.ref and part.ref == self._open_ref and part.gateway not in self.answered:
            answer = self._under_way[part.gateway] = Answer(part.ref, now_us)
        if answer is None or answer.ref != part.ref:
            return None
        answer.rooms.extend(part.rooms)
        if not part.last:
            return None
        del self._under_way[part.gateway]
        self.answered.add(part.gateway)
        return answer

    def overdue(self, before_us: int) -> list[str]:
        """Return the gateways that were asked earlier than that and have not answered."""
        return [gateway for gateway, answer in self._under_way.items() if answer.asked_us < before_us]

    def drop(self, gateway: str) -> None:
        """Forget a gateway."""
        self._under_way.pop(gateway, None)
        self.answered.discard(gateway)
