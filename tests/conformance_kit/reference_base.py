"""The reference client's state, and what it says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.conformance_kit.reference_link import Link, World, size_of
from tests.conformance_kit.reference_room import RoomState
from tests.conformance_kit.reference_roster import Roster

from warren_conformance.codec import Frame, encode


@dataclass
class Pending:
    """What is to be answered: a message, a HISTORY or a REQUEST."""

    frame: Frame
    tag: str
    kind: str
    sent_at: float | None = None
    refusals: int = 0
    parts: int = 0
    accepted: bool = False
    refused: bool = False


class ReferenceBase:
    """What a client knows, and how it sends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.link: Link | None = None
        self.user = ""
        self.rooms: dict[str, RoomState] = {}
        self.rosters: dict[str, Roster] = {}
        self.pending: dict[str, Pending] = {}
        self.left: set[str] = set()
        self.watched: list[str] = []
        self._seen: dict[str, dict[str, Any]] = {}
        self._seen_at: dict[str, float] = {}
        self._reading: set[str] = set()
        self._mine: set[str] = set()
        self._count = 0
        self._prefix = "" if self.has("counts_its_ids") else f"{world.chance.getrandbits(48):x}-"
        self._degraded = False
        self._paused: list[Frame] | None = None
        self._live: asyncio.Task[None] | None = None

    def has(self, fault: str) -> bool:
        return fault in self.world.faults

    def tell(self, event: str, **fields: Any) -> None:
        self.world.tell(event, **{name: value for name, value in fields.items() if value is not None})

    # ── what it says ──

    @property
    def _is_open(self) -> bool:
        return self.link is not None and self.link.is_open

    def _id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count}"

    def _room(self, name: str) -> RoomState:
        return self.rooms.setdefault(name, RoomState(name, self.world.faults))

    def _send(self, frame: Frame) -> None:
        if self._is_open:
            assert self.link is not None
            self.link.send(frame)

    def _join(self, state: RoomState) -> None:
        state.asked = self._id()
        self._say_join(state)

    def _say_join(self, state: RoomState) -> None:
        assert self.link is not None
        state.asked_at = self.link.now()
        payload: dict[str, Any] = {}
        if state.since is not None and not self.has("forgets_positions"):
            payload["since"] = state.since
        if state.grant is not None and not self.has("forgets_room_grants"):
            payload["grant"] = state.grant
        if state.presence:
            payload["presence"] = {"watch": True, "digest": self.rosters[state.name].digest}
        self._send({"type": "JOIN", "room": state.name, "id": state.asked, "payload": payload})

    def _ask(self, pending: Pending) -> None:
        self.pending[pending.frame["id"]] = pending
        if self._is_open:
            self._transmit(pending)
        elif self.has("speaks_before_welcome") and self.link is not None:
            self.link.spawn(self._speak_early(pending.frame))

    async def _speak_early(self, frame: Frame) -> None:
        await asyncio.sleep(0.05)
        assert self.link is not None
        if not self._is_open and self.link.wire is not None:
            await self.link.wire.send(encode(frame, self.link.wire.subprotocol))

    def _transmit(self, pending: Pending) -> None:
        assert self.link is not None
        most = self.link.limits.get("message_bytes")
        if most and size_of(pending.frame, self.link.protocol) > most and not self.has("ignores_the_size"):
            self._over(pending, ok=False, code="message_too_large", retry=False)
            return
        pending.sent_at = self.link.now()
        self._send(pending.frame)

    def _over(self, pending: Pending, **fields: Any) -> None:
        self.pending.pop(pending.frame["id"], None)
        if not pending.refused:
            self.tell(pending.kind, tag=pending.tag, **fields)

    async def _overdue(self) -> None:
        """Send again what has no answer for long."""
        assert self.link is not None
        limit = self.link.seconds("ack_ms")
        while True:
            await asyncio.sleep(limit / 2)
            for pending in list(self.pending.values()):
                is_waiting = pending.kind == "sent" and pending.sent_at is not None and not self._degraded
                if is_waiting and self.link.now() - (pending.sent_at or 0.0) >= limit:
                    self._transmit(pending)
            for state in self.rooms.values():
                if state.asked is not None and self.link.now() - state.asked_at >= limit:
                    self._say_join(state)

    def _watch(self) -> None:
        self._send({"type": "PRESENCE", "payload": {"watch": self.watched}, "id": self._id()})
        if self.has("watches_once"):
            self.watched = []

    async def _see(self, room: str) -> None:
        assert self.link is not None
        await asyncio.sleep(max(0.0, self._seen_at.get(room, -1.0) + 1.0 - self.link.now()))
        if self._seen[room]["waits"]:
            self._say_seen(room)

    def _say_seen(self, room: str) -> None:
        assert self.link is not None
        self._seen_at[room] = self.link.now()
        said = self._seen[room]
        said["waits"] = False
        self._send({"type": "SEEN", "room": room, "payload": {"epoch": said["epoch"], "seq": said["seq"]}})
