"""The reference client's position in one room: repeats, gaps, epochs, own messages, replays."""

from __future__ import annotations

from typing import Any

Frame = dict[str, Any]
HELD_MAX = 256


class RoomState:
    """One room that the client is in, or wants to be in."""

    def __init__(self, name: str, faults: frozenset[str]) -> None:
        self.name = name
        self.epoch: str | None = None
        self.seq = 0
        self.asked: str | None = None  # the id of the unanswered JOIN …
        self.asked_at = 0.0  # … and when it was sent
        self.grant: str | None = None
        self.presence = False
        self.held: list[Frame] = []
        self._acked: set[int] = set()
        self._replay_to = 0
        self._excused = 0
        self._faults = faults

    @property
    def since(self) -> dict[str, Any] | None:
        if self.epoch is None:
            return None
        return {"epoch": self.epoch, "seq": self._skip(self.seq)}

    @property
    def lacks(self) -> bool:
        """Whether messages wait for missing ones before them, which nobody has asked for yet."""
        return bool(self.held) and self.asked is None

    def disconnected(self) -> None:
        self.asked = None
        self.held = []
        self._replay_to = 0

    def acked(self, epoch: str | None, seq: int) -> None:
        if epoch != self.epoch or seq <= self.seq or "own_seq_is_a_gap" in self._faults:
            return
        if "ack_moves_the_position" in self._faults:
            self.seq = seq
        self._acked.add(seq)

    def dropped(self, seq: int) -> None:
        if "dropped_excuses_everything" in self._faults:
            seq = 1 << 60
        if "dropped_is_a_gap" not in self._faults:
            self._excused = max(self._excused, seq)

    def take(self, frame: Frame, is_own: bool) -> list[Frame]:
        """Take a numbered message; return what is to be delivered now."""
        if self.epoch is None:
            self.epoch, self.seq = frame["epoch"], frame["seq"]
            return [frame]
        if self._is_old(frame) and "delivers_repeats" not in self._faults:
            return []
        if self.asked is not None and "delivers_while_it_asks" not in self._faults:
            self.held = [*self.held, frame][-HELD_MAX:]
            return []
        is_copy = (
            is_own and frame["seq"] > self._replay_to and "takes_second_replays_for_copies" in self._faults
        )
        if self._replay_to and frame["epoch"] == self.epoch and "expired_is_a_gap" not in self._faults:
            in_replay = frame["seq"] <= self._replay_to
            self._excused = max(self._excused, frame["seq"] - 1 if in_replay else self._replay_to)
            if not in_replay:
                self._replay_to = 0
        if not self._follows(frame):
            self.held = [*self.held, frame][-HELD_MAX:]
            return [frame] if "delivers_while_it_asks" in self._faults else []
        self._see(frame)
        return ([] if is_own and not is_copy else [frame]) + self.following()

    def following(self) -> list[Frame]:
        """Return the held messages that are now in sequence."""
        found = []
        while self.held and self.asked is None:
            frame = self.held[0]
            if not self._is_old(frame):
                if not self._follows(frame):
                    break
                self._see(frame)
                found.append(frame)
            self.held = self.held[1:]
        return found

    def joined(self, payload: dict[str, Any]) -> tuple[bool, list[Frame]]:
        """Apply JOINED; return whether messages were lost, and what is to be delivered now."""
        self.asked = None
        self.grant = payload.get("grant", self.grant)
        epoch, seq = payload["epoch"], payload["seq"]
        held, self.held = self.held, []
        if payload["recovered"]:
            self._become(epoch, seq)
            self._replay_to = seq + payload["missed"]
            self.held = [each for each in held if each["epoch"] == epoch and each["seq"] > self._replay_to]
            return False, [] if payload["missed"] else self.following()
        since = self.since
        lost = since is not None and since != {"epoch": epoch, "seq": seq}
        self._become(epoch, seq)
        return lost, held if "delivers_behind_gaps" in self._faults else []

    def answered_again(self, payload: dict[str, Any]) -> None:
        """A JOIN that was sent twice has its second answer, which may end the replay of the first."""
        if not payload["recovered"] and "believes_the_first_replay" not in self._faults:
            self._replay_to = 0

    def _become(self, epoch: str, seq: int) -> None:
        if epoch != self.epoch:
            self._acked.clear()
            self._excused = 0
        if self.epoch in (None, epoch) or "compares_seqs_alone" not in self._faults:
            self.epoch, self.seq = epoch, seq

    def _is_old(self, frame: Frame) -> bool:
        if "compares_seqs_alone" in self._faults:
            return bool(frame["seq"] <= self.seq)
        return bool(frame["epoch"] == self.epoch and frame["seq"] <= self.seq)

    def _follows(self, frame: Frame) -> bool:
        if "sees_no_gaps" in self._faults:
            return True
        if frame["epoch"] != self.epoch and "compares_seqs_alone" not in self._faults:
            return False
        return bool(frame["seq"] <= self._skip(max(self._skip(self.seq), self._excused)) + 1)

    def _see(self, frame: Frame) -> None:
        self.epoch, self.seq = frame["epoch"], frame["seq"]
        self._acked = {seq for seq in self._acked if seq > self.seq}

    def _skip(self, seq: int) -> int:
        while seq + 1 in self._acked:
            seq += 1
        return seq
