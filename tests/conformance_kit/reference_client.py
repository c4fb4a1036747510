"""A reference client of ``warren.v1``, as plain as docs/protocol.md allows, with a switch for each fault that
the conformance kit is meant to find. It is its own adapter: ``command`` takes what the kit says.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance_kit.reference_base import Pending
from tests.conformance_kit.reference_hearing import Hearing
from tests.conformance_kit.reference_link import Link
from tests.conformance_kit.reference_roster import Roster

CAPABILITIES = [
    "contacts", "durable", "grants", "history", "msgpack", "pause", "presence", "receipts", "requests", "seen", "tokens",
]  # fmt: skip


class ReferenceClient(Hearing):
    """One client. ``faults`` in its world names what it does wrong."""

    def command(self, command: dict[str, Any]) -> None:
        """Do what the kit says."""
        fields = {name: value for name, value in command.items() if name != "do"}
        getattr(self, f"do_{command['do']}")(**fields)

    def do_connect(
        self, url: str, protocol: str, user: str | None, times: dict[str, int], tokens: bool = False
    ) -> None:
        self.link = Link(self.world, self, times, url, None if tokens else user, protocol, tokens)
        self._live = asyncio.get_running_loop().create_task(self.link.live())

    def do_token(self, token: str) -> None:
        assert self.link is not None
        assert self.link.token_given is not None
        self.link.token_given.set_result(token)

    def do_join(self, room: str, presence: bool = False) -> None:
        state = self._room(room)
        self.left.discard(room)
        if presence:
            state.presence = True
            self.rosters[room] = Roster(self.world.faults)
        if self._is_open and state.asked is None:
            self._join(state)

    def do_leave(self, room: str) -> None:
        self._send({"type": "LEAVE", "room": room, "id": self._id()})
        if not self.has("rejoins_what_was_left"):
            self.rooms.pop(room, None)
            self.left.add(room)

    def do_send(self, tag: str, type: str, room: str, payload: Any, **fields: Any) -> None:  # noqa: A002
        if self.has("binary_is_text"):
            fields.pop("encoding", None)
        if self.has("forgets_receipts"):
            fields.pop("receipt", None)
        frame = {"type": type, "room": room, "payload": payload, "id": self._id(), **fields}
        self._ask(Pending(frame, tag, "sent"))

    def do_request(self, tag: str, service: str, payload: Any, **fields: Any) -> None:
        self._ask(
            Pending(
                {"type": "REQUEST", "service": service, "payload": payload, "id": self._id(), **fields},
                tag,
                "answer",
            )
        )

    def do_cancel(self, tag: str) -> None:
        found = next(each for each in self.pending.values() if each.tag == tag)
        self._over(found, ok=False, code="cancelled")
        if not self.has("cancels_silently"):
            self._send({"type": "CANCEL", "ref": found.frame["id"]})

    def do_history(self, tag: str, room: str, before: int | None = None, limit: int | None = None) -> None:
        asked = {"before": before, "limit": limit}
        payload = {name: value for name, value in asked.items() if value is not None}
        self._ask(
            Pending({"type": "HISTORY", "room": room, "payload": payload, "id": self._id()}, tag, "history")
        )

    def do_seen(self, room: str, epoch: str, seq: int) -> None:
        was_waiting = room in self._seen and self._seen[room].get("waits")
        self._seen[room] = {"epoch": epoch, "seq": seq, "waits": True}
        if self.has("says_seen_each_time"):
            self._say_seen(room)
        elif not was_waiting and self._is_open:
            assert self.link is not None
            self.link.spawn(self._see(room))

    def do_watch(self, users: list[str]) -> None:
        self.watched = users
        if self._is_open:
            self._watch()

    def do_pause(self) -> None:
        assert self.link is not None
        if self.has("queues_without_bound"):
            self._paused = []
        else:
            self.link.flowing.clear()

    def do_resume(self) -> None:
        assert self.link is not None
        waiting, self._paused = self._paused or [], None
        for frame in waiting:
            self._deliver(frame)
        self.link.flowing.set()

    def do_close(self) -> None:
        assert self.link is not None
        self.link.closed = True
        self._closing = asyncio.get_running_loop().create_task(self.link.leave(1000))

    async def stop(self) -> None:
        """End it, as the end of a process does."""
        if self.link is not None and self._live is not None:
            self.link.closed = True
            self._live.cancel()
            for task in self.link._tasks:
                task.cancel()
            await asyncio.wait([self._live, *self.link._tasks])

    def crash(self) -> BaseException | None:
        """Return what ended it, if anything did."""
        if self._live is None or not self._live.done() or self._live.cancelled():
            return None
        return self._live.exception()
