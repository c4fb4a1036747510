"""Room: what the scripted server has of one room: its epoch, its numbered messages, who sent which id.

Pure: it builds frames and sends none.
"""

from __future__ import annotations

from typing import Any, Final

from warren_conformance.codec import Frame

STAMP: Final = 1_764_000_000_000
UNNUMBERED: Final = frozenset({"TYPING"})


class Room:
    """One room, from the position at which the scenario begins."""

    def __init__(self, name: str, epoch: str = "k3f9-1", seq: int = 0) -> None:
        self.name = name
        self.epoch = epoch
        self.seq = seq
        self.log: dict[int, Frame] = {}
        self.accepted: dict[str, Frame] = {}  # id ▶ ACK

    @property
    def position(self) -> dict[str, Any]:
        """Where the room is now."""
        return {"epoch": self.epoch, "seq": self.seq}

    def publish(self, payload: Any = ..., *, sender: str = "bob", type: str = "CHAT", **fields: Any) -> Frame:  # noqa: A002
        """Number another message, and return its frame."""
        self.seq += 1
        if payload is ...:
            payload = {"n": self.seq}
        frame = {
            "type": type,
            "room": self.name,
            "payload": payload,
            "seq": self.seq,
            "epoch": self.epoch,
            "sender": sender,
            "id": f"{sender}-{self.epoch}-{self.seq}",
            "timestamp": STAMP + self.seq,
            "version": "1.0",
            **fields,
        }
        self.log[self.seq] = frame
        return frame

    def skip(self, count: int = 1) -> None:
        """Number messages that nobody has any more: they have expired."""
        self.seq += count

    def renew(self, epoch: str, seq: int = 0) -> None:
        """The room's log begins a new life."""
        self.epoch = epoch
        self.seq = seq
        self.log = {}

    def accept(self, frame: Frame, user: str) -> Frame:
        """Take a client's message, once for each id, and return its ACK."""
        ref = frame.get("id")
        if ref is not None and ref in self.accepted:
            return self.accepted[ref]
        payload: dict[str, Any] = {}
        if frame["type"] not in UNNUMBERED:
            fields = {"encoding": frame["encoding"]} if frame.get("encoding") else {}
            made = self.publish(frame.get("payload"), sender=user, type=frame["type"], id=ref, **fields)
            payload = {"seq": made["seq"], "epoch": self.epoch}
        ack = {"type": "ACK", "ref": ref, "room": self.name, "payload": payload, "timestamp": STAMP}
        if ref is not None:
            self.accepted[ref] = ack
        return ack

    def joined(
        self, ref: str | None = None, since: dict[str, Any] | None = None, **extra: Any
    ) -> list[Frame]:
        """Return JOINED, and the messages that it promises. Whoever is at a position of this epoch gets what
        came after it.
        """
        known = since is not None and since.get("epoch") == self.epoch and since.get("seq", 0) <= self.seq
        start = since["seq"] if known and since else self.seq
        payload = {"epoch": self.epoch, "seq": start, "recovered": known, "missed": self.seq - start, **extra}
        frame = {"type": "JOINED", "room": self.name, "payload": payload, "timestamp": STAMP}
        if ref is not None:
            frame["ref"] = ref
        return [frame, *(self.log[seq] for seq in sorted(self.log) if seq > start)]
