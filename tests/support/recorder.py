"""The promise as an assertion: each message once, in order, or the reader was told that something is missing.

A Recorder listens to one client (``connect(..., listener=recorder)``) and follows each room's position by
what the wire protocol says: JOINED sets it, a message or the ACK of an own one moves it on by one. It keeps
counters and the first problems, never the messages, so it can follow a hundred thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]
_SHOWN = 20


def number_in_payload(message: Message) -> int | None:
    """Return ``payload.n``: the sender's own count, 1, 2, 3 … in each room."""
    payload = message.get("payload")
    return payload.get("n") if isinstance(payload, dict) else None


@dataclass
class _Room:
    """How far one reader is in one room."""

    epoch: str = ""
    start: int = 0
    last: int = 0  # the highest seq delivered
    missing: set[int] = field(
        default_factory=set
    )  # below the highest seq known, neither delivered nor acknowledged to us
    acked: set[int] = field(default_factory=set)
    known: int = 0  # the highest seq that we know of
    delivered: int = 0
    unnumbered: int = 0
    breaks: int = 0  # how often the server said recovered: false after the first JOINED
    joined: bool = False
    numbers: dict[str, int] = field(default_factory=dict)  # sender ▶ its last number
    firsts: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Recorder:
    """What one reader got. Call it with every message, in the order in which they came."""

    def __init__(self, number: Callable[[Message], int | None] = number_in_payload) -> None:
        """``number`` reads the sender's own count out of a message; None: the message has none."""
        self._number = number
        self._rooms: dict[str, _Room] = {}
        self.problems: list[str] = []  # the first ones, in words
        self.problem_count = 0

    def __call__(self, message: Message) -> None:
        """Take a message from the server."""
        room = message.get("room")
        if room is None:
            return
        match message.get("type"):
            case "JOINED":
                self._take_joined(room, message["payload"])
            case "ACK":
                self._take_ack(room, message["payload"])
            case "LEFT":
                self._rooms.pop(room, None)
            case "ERROR":
                pass
            case _:
                self._take_message(room, message)

    @property
    def rooms(self) -> list[str]:
        """The rooms that anything was heard of."""
        return sorted(self._rooms)

    def delivered(self, room: str, sender: str | None = None) -> int:
        """Return how many numbered messages came in a room (of one sender)."""
        state = self._room(room)
        return state.delivered if sender is None else state.counts[sender]

    def unnumbered(self, room: str) -> int:
        """Return how many messages without a seq came in a room."""
        return self._room(room).unnumbered

    def breaks(self, room: str) -> int:
        """Return how often the server said that the room's continuity is lost, after the first JOINED."""
        return self._room(room).breaks

    def position(self, room: str) -> tuple[str, int]:
        """Return (epoch, seq) up to which nothing is missing."""
        state = self._room(room)
        return state.epoch, min(state.missing, default=state.known + 1) - 1

    def missing(self, room: str) -> list[int]:
        """Return the seqs that were skipped until now."""
        return sorted(self._room(room).missing)

    def check(
        self, room: str | None = None, *, sent: Mapping[str, int] | None = None, breaks: bool = False
    ) -> None:
        """Raise AssertionError unless each message came once and in order, in one room or in all of them.

        ``sent`` (sender ▶ how many, numbered from 1) must have come in full; ``breaks`` allows recovered:
        false.
        """
        found = list(self.problems)
        for name in [room] if room is not None else self.rooms:
            state = self._room(name)
            if state.missing:
                skipped = sorted(state.missing)
                found.append(f"{name}: {len(skipped)} seq(s) never came: {skipped[:_SHOWN]}")
            if state.breaks and not breaks:
                found.append(f"{name}: continuity was lost {state.breaks} time(s)")
            for sender, count in (sent or {}).items():
                got = state.counts[sender], state.firsts.get(sender), state.numbers.get(sender)
                if got != (count, 1 if count else None, count or None):
                    found.append(
                        f"{name}: of {sender!r} came {got[0]}, numbers {got[1]} to {got[2]}, not 1 to {count}"
                    )
        if found:
            raise AssertionError(
                f"{max(self.problem_count, len(found))} problem(s):\n  " + "\n  ".join(found)
            )

    def _room(self, room: str) -> _Room:
        return self._rooms.setdefault(room, _Room())

    def _problem(self, text: str) -> None:
        self.problem_count += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(text)

    def _take_joined(self, room: str, payload: Mapping[str, Any]) -> None:
        state = self._room(room)
        epoch, seq = payload["epoch"], payload["seq"]
        if payload["recovered"]:
            # continuity is claimed from ``seq`` on: the ``missed`` messages after it must still come, as far
            # as we have not seen them
            if state.joined and epoch != state.epoch:
                self._problem(f"{room}: recovered in epoch {epoch}, but we are in {state.epoch}")
            elif state.joined:
                self._learn(state, seq + payload.get("missed", 0))
            else:
                state.start = state.last = state.known = seq
                self._learn(state, seq + payload.get("missed", 0))
        else:
            state.breaks += state.joined
            state.start = state.last = state.known = seq
            state.missing.clear()
            state.acked.clear()
            state.numbers.clear()
        state.epoch = epoch
        state.joined = True

    def _take_ack(self, room: str, payload: Mapping[str, Any]) -> None:
        state = self._room(room)
        seq = payload.get("seq")
        if not seq or payload.get("epoch") != state.epoch or seq <= state.start:
            return
        self._learn(state, seq)
        state.missing.discard(seq)
        state.acked.add(seq)

    def _take_message(self, room: str, message: Message) -> None:
        state = self._room(room)
        seq, sender = message.get("seq"), message.get("sender") or ""
        if seq is None:
            state.unnumbered += 1
            return
        if message.get("epoch") != state.epoch:
            self._problem(
                f"{room}: message of epoch {message.get('epoch')!r} while we are in {state.epoch!r}"
            )
            return
        if seq <= state.last:
            self._problem(
                f"{room}: seq {seq} after {state.last}" + (" (a repeat)" if seq == state.last else "")
            )
            return
        self._learn(state, seq)
        state.missing.discard(seq)
        state.last = seq
        state.delivered += 1
        state.counts[sender] += 1
        self._take_number(room, state, sender, self._number(message))

    def _take_number(self, room: str, state: _Room, sender: str, number: int | None) -> None:
        if number is None:
            return
        before = state.numbers.get(sender)
        if before is not None and number != before + 1:
            self._problem(f"{room}: of {sender!r} came number {number} after {before}")
        state.firsts.setdefault(sender, number)
        state.numbers[sender] = number

    @staticmethod
    def _learn(state: _Room, seq: int) -> None:
        """Seqs up to this one exist; those we have not had are missing until they come or are acknowledged to
        us.
        """
        state.missing.update(range(state.known + 1, seq + 1))
        state.known = max(state.known, seq)
