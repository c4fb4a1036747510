"""Presence list: who is in a room, as the scripted server has it, with proofs, digest and versions. Pure."""

from __future__ import annotations

import random
from typing import Any, Final

from warren_conformance.codec import Frame
from warren_conformance.room import STAMP

MODULUS: Final = 1 << 64
PAGE: Final = 100


class PresenceList:
    """The members of one room; each change returns the PRESENCE that tells of it."""

    def __init__(self, room: str, chance: random.Random) -> None:
        self.room = room
        self.version = 10
        self._proofs: dict[str, int] = {}
        self._chance = chance

    @property
    def users(self) -> list[str]:
        """Who is there."""
        return sorted(self._proofs)

    @property
    def digest(self) -> str:
        """What the proofs add up to."""
        return f"{sum(self._proofs.values()) % MODULUS:016x}"

    def change(self, *, joined: tuple[str, ...] = (), left: tuple[str, ...] = ()) -> Frame:
        """Set and remove members."""
        self.version += 1
        for user in left:
            del self._proofs[user]
        for user in joined:
            self._proofs[user] = self._chance.getrandbits(64)
        return self._frame(joined=[self._member(user) for user in joined], left=list(left))

    def page(self, ref: str | None = None, *, limit: int = PAGE, after: str = "") -> Frame:
        """Return a page of the list."""
        behind = [user for user in self.users if user > after]
        found, more = behind[:limit], len(behind) > limit
        members = [self._member(user) for user in found]
        frame = self._frame(page=True, after=after, more=more, joined=members)
        return frame if ref is None else frame | {"ref": ref}

    def answer(self, frame: Frame) -> Frame:
        """Return what a PRESENCE that asks for a page is answered with."""
        asked = frame.get("payload") or {}
        return self.page(frame.get("id"), limit=asked.get("limit") or PAGE, after=asked.get("after") or "")

    def _member(self, user: str) -> dict[str, Any]:
        return {"user": user, "proof": f"{self._proofs[user]:016x}"}

    def _frame(self, **payload: Any) -> Frame:
        count = {"users": len(self._proofs), "connections": len(self._proofs)}
        fields = {"version": self.version, "count": count, "digest": self.digest, **payload}
        return {
            "type": "PRESENCE",
            "room": self.room,
            "payload": fields,
            "timestamp": STAMP,
            "version": "1.0",
        }
