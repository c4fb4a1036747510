"""Who is in a room, as a client is told: what PRESENCE frames add up to, by the rules of docs/protocol.md."""

from __future__ import annotations

import json
from typing import Any

from tests.support.client import Client, Message

MODULUS = 2**64


class Roster:
    """One client's roster of one room. It asks for nothing by itself: ``agrees`` says whether it would have
    to.
    """

    def __init__(self, client: Client, room: str) -> None:
        """What the client has received of the room, and will, counts."""
        self._client = client
        self._room = room

    @property
    def frames(self) -> list[Message]:
        """All PRESENCE frames of the room that say who is there."""
        return [
            frame
            for frame in self._client.of_type("PRESENCE", room=self._room)
            if "count" in frame["payload"]
        ]

    @property
    def members(self) -> dict[str, dict[str, Any]]:
        """Who is there: user, or connection where each is told of, with what is shown."""
        return self._added_up()[0]

    @property
    def agrees(self) -> bool:
        """Whether all proofs add up to what the room had when it was told of last."""
        members, payload = self._added_up()
        if payload is None:
            return False
        total = sum(int(member["proof"], 16) for member in members.values())
        return f"{total % MODULUS:016x}" == payload["digest"]

    @property
    def count(self) -> tuple[int, int]:
        """How many users and connections there are."""
        payload = self._added_up()[1]
        return (-1, -1) if payload is None else (payload["count"]["users"], payload["count"]["connections"])

    @property
    def bytes(self) -> int:
        """How many bytes of JSON the frames of the room have taken."""
        return sum(len(json.dumps(frame)) for frame in self.frames)

    def _added_up(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any] | None]:
        members: dict[str, dict[str, Any]] = {}
        payload = None
        for frame in self.frames:
            payload = frame["payload"]
            if payload.get("counts_only"):
                members.clear()
            if payload.get("page"):
                last = payload["joined"][-1] if payload["more"] else None
                for key in [key for key in members if key > payload["after"]]:
                    if last is None or key <= _key(last):
                        del members[key]
            for key in payload.get("left", ()):
                members.pop(key, None)
            for member in (*payload.get("joined", ()), *payload.get("updated", ())):
                members[_key(member)] = member
        return members, payload


def _key(member: dict[str, Any]) -> str:
    key: str = member.get("connection", member["user"])
    return key
