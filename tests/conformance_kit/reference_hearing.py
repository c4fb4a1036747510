"""What the reference client does with the frames that it hears."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.conformance_kit.reference_base import Pending, ReferenceBase
from tests.conformance_kit.reference_room import RoomState
from tests.conformance_kit.reference_roster import Roster

from warren_conformance.codec import Frame

OWN_TYPES = {
    "ACK", "ERROR", "JOINED", "LEFT", "HISTORY", "PONG", "PRESENCE", "RECEIPT", "DROPPED", "RECONNECT", "DEGRADED",
    "RESTORED", "AUTHENTICATED", "ACCEPTED", "RESPONSE",
}  # fmt: skip
ORDINARY = {"CHAT", "TYPING", "NOTIFICATION", "DATA_UPDATE", "RESPONSE"}


class Hearing(ReferenceBase):
    """The owner of a link."""

    def welcomed(self, payload: dict[str, Any]) -> None:
        assert self.link is not None
        self.user = payload["user"]
        self._degraded = False
        for name in payload["rooms"]:
            if name not in self.left:
                self._room(name)
        given = set(payload["rooms"])
        for state in self.rooms.values():
            if state.name not in given and state.name != "*":
                self._join(state)
        if self.watched:
            self._watch()
        order = list(self.pending.values())
        for pending in reversed(order) if self.has("resends_in_reverse") else order:
            if not pending.accepted or self.has("asks_durably_again"):
                self._transmit(pending)
        self.link.spawn(self._overdue())

    def lost(self) -> None:
        for state in self.rooms.values():
            state.disconnected()
        self._reading.clear()
        for roster in self.rosters.values():
            roster.after = None
        for pending in list(self.pending.values()):
            if pending.parts:
                self._over(pending, ok=False, code="connection", retry=True)
            elif self.has("forgets_what_it_sent") and pending.sent_at is not None:
                del self.pending[pending.frame["id"]]
            elif (
                self.has("resends_under_new_ids")
                and pending.sent_at is not None
                and pending.kind != "history"
            ):
                del self.pending[pending.frame["id"]]
                pending.frame = pending.frame | {"id": self._id()}
                self.pending[pending.frame["id"]] = pending
        for room in self._seen:
            self._seen[room]["waits"] = not self.has("says_seen_once")

    def heard(self, frame: Frame) -> None:
        method = getattr(self, f"_on_{frame['type'].lower()}", None)
        if method is not None and frame["type"] in OWN_TYPES:
            method(frame)
        elif frame["type"] in ORDINARY or not frame["type"].isupper():
            self._message(frame)
        elif self.has("closes_on_unknown_types"):
            assert self.link is not None
            self.link.spawn(self.link.leave(1002))

    # ── what it hears ──

    def _message(self, frame: Frame) -> None:
        if "seq" not in frame:
            if not self.has("drops_unnumbered"):
                self._deliver(frame)
            return
        state = self.rooms.get(frame["room"])
        if state is None and self.has("joins_strangers_rooms"):
            state = self._room(frame["room"])
            self._join(state)
        if state is None:
            self._deliver(frame)
            return
        is_own = frame.get("sender") == self.user and frame.get("id") in self._mine
        for each in state.take(frame, is_own):
            self._deliver(each)
        if self.has("asks_for_each_message") and state.held and state.asked:
            self._join(state)
        self._miss(state)

    def _miss(self, state: RoomState) -> None:
        if not state.lacks:
            return
        in_flight = any(
            each.kind == "sent" and each.sent_at is not None and each.frame["room"] == state.name
            for each in self.pending.values()
        )
        if in_flight:
            assert self.link is not None
            self.link.spawn(self._ask_later(state))
        else:
            self._join(state)

    async def _ask_later(self, state: RoomState) -> None:
        assert self.link is not None
        await asyncio.sleep(self.link.seconds("gap_ms"))
        if state.lacks:
            self._join(state)

    def _deliver(self, frame: Frame) -> None:
        if self._paused is not None:
            self._paused.append(frame)
            return
        names = ("type", "room", "seq", "epoch", "sender", "id", "encoding")
        told = {name: frame[name] for name in names if frame.get(name) is not None}
        payload = frame.get("payload")
        if frame.get("encoding") == "json" and isinstance(payload, str) and not self.has("json_text_is_text"):
            payload = json.loads(payload)
            del told["encoding"]
        if self.has("binary_is_text"):
            told.pop("encoding", None)
        self.world.tell("message", payload=payload, **told)
        if frame["type"] == "RESPONSE" and (pending := self.pending.get(frame.get("ref", ""))):
            self._over(pending, ok=True, payload=payload)

    def _on_joined(self, frame: Frame) -> None:
        if frame["room"] in self.left or (frame["room"] == "*" and not self.has("joins_everyone")):
            return
        state = self._room(frame["room"])
        if frame["room"] == "*":
            self._join(state)
        if frame.get("ref") != state.asked or (
            self.has("ignores_unasked_joined") and state.epoch and not state.asked
        ):
            state.answered_again(frame["payload"])
            return
        lost, deliver = state.joined(frame["payload"])
        if lost and not self.has("hides_gaps"):
            self.tell("gap", room=state.name)
        if frame.get("ref") is not None:
            self.tell("joined", room=state.name, ok=True)
        for each in deliver:
            self._deliver(each)
        self._miss(state)
        if self._seen.get(state.name, {}).get("waits"):
            assert self.link is not None
            self.link.spawn(self._see(state.name))

    def _on_ack(self, frame: Frame) -> None:
        pending = self.pending.get(frame.get("ref", ""))
        if pending is None or pending.kind != "sent":
            return
        payload = frame.get("payload") or {}
        self._mine.add(frame["ref"])
        state = self.rooms.get(frame["room"])
        if state is not None and payload.get("seq"):
            state.acked(payload["epoch"], payload["seq"])
        self._over(pending, ok=True, seq=payload.get("seq"))
        if state is not None:
            for each in state.following():
                self._deliver(each)

    def _on_error(self, frame: Frame) -> None:
        assert self.link is not None
        payload = frame["payload"]
        if "close" in payload:
            self.link.ending.after_s = payload.get("retry_after_ms", 0) / 1_000
            return
        ref = frame.get("ref")
        waiting = [each for each in self.pending.values() if each.sent_at is not None]
        if ref is None and len(waiting) == 1 and not self.has("hammers_what_is_refused"):
            ref = waiting[0].frame["id"]
        after = payload.get("retry_after_ms", 0) / 1_000
        for state in list(self.rooms.values()):
            if state.asked is not None and state.asked == ref:
                self._join_refused(state, payload, after)
        pending = self.pending.get(ref or "")
        if pending is None:
            if ref is None and waiting and self.has("hammers_what_is_refused"):
                self._transmit(waiting[0])
            return
        if pending.kind == "answer" and self.has("hides_refusals_of_requests"):
            return
        if payload["retry"] and pending.kind == "sent":
            self.link.spawn(self._again(pending, 0.0 if self.has("retries_at_once") else after))
        else:
            self._over(pending, ok=False, code=payload["code"], retry=payload["retry"])
            if self.has("resends_what_was_refused"):
                pending.refused = True
                self.pending[pending.frame["id"]] = pending

    def _join_refused(self, state: RoomState, payload: dict[str, Any], after: float) -> None:
        assert self.link is not None
        state.asked = None
        if payload["retry"] and not self.has("forgets_refused_joins"):
            more = self.world.chance.random() * self.link.seconds("backoff_ms")
            self.link.spawn(self._join_later(state, 0.0 if self.has("joins_again_at_once") else after + more))
            return
        self.tell("joined", room=state.name, ok=False, code=payload["code"])
        if not self.has("keeps_refused_rooms"):
            del self.rooms[state.name]

    async def _join_later(self, state: RoomState, after: float) -> None:
        await asyncio.sleep(after)
        self._join(state)

    async def _again(self, pending: Pending, after: float) -> None:
        pending.sent_at = None
        await asyncio.sleep(after)
        self._transmit(pending)

    def _on_left(self, frame: Frame) -> None:
        if "ref" in frame or frame["room"] not in self.rooms:
            return
        reason = (frame.get("payload") or {}).get("reason")
        if reason == "unavailable" and not self.has("leaves_when_unavailable"):
            self._join(self.rooms[frame["room"]])
            return
        self.tell("left", room=frame["room"], reason=reason)
        if self.has("rejoins_when_removed"):
            self._join(self.rooms[frame["room"]])
        else:
            del self.rooms[frame["room"]]

    def _on_dropped(self, frame: Frame) -> None:
        if frame["room"] in self.rooms:
            self.rooms[frame["room"]].dropped(frame["payload"]["seq"])
            self.tell("dropped", room=frame["room"], count=frame["payload"].get("count"))

    def _on_degraded(self, _frame: Frame) -> None:
        self._degraded = True
        if self.has("leaves_when_degraded"):
            assert self.link is not None
            self.link.ending.code = 1011
            self.link.spawn(self.link.leave(1001))

    def _on_restored(self, _frame: Frame) -> None:
        self._degraded = False
        for pending in list(self.pending.values()):
            if pending.kind == "sent":
                self._transmit(pending)

    def _on_authenticated(self, frame: Frame) -> None:
        assert self.link is not None
        self.link.refresh(frame["payload"].get("expires_at"))

    def _on_history(self, frame: Frame) -> None:
        if pending := self.pending.get(frame.get("ref", "")):
            found = [
                {"seq": each["seq"], "payload": each["payload"]} for each in frame["payload"]["messages"]
            ]
            if self.has("reverses_history"):
                found.reverse()
            self._over(pending, ok=True, messages=found, more=frame["payload"].get("more"))

    def _on_receipt(self, frame: Frame) -> None:
        payload = frame["payload"]
        if payload["complete"] or not self.has("hides_incomplete_receipts"):
            self.tell("receipt", level=payload["level"], complete=payload["complete"])

    def _on_accepted(self, frame: Frame) -> None:
        if pending := self.pending.get(frame.get("ref", "")):
            pending.accepted = True

    def _on_response(self, frame: Frame) -> None:
        if "seq" in frame:
            self._message(frame)
            return
        requests = [each for each in self.pending.values() if each.kind == "answer"]
        if self.has("answers_in_order") and requests:
            frame = frame | {"ref": requests[0].frame["id"]}
        pending = self.pending.get(frame.get("ref") or "")
        if pending is None or pending.kind != "answer":
            return
        pending.parts += 1
        if frame.get("more") and not self.has("takes_a_part_for_all"):
            self.tell("part", tag=pending.tag, n=frame.get("n"), payload=frame.get("payload"))
        else:
            self._over(pending, ok=True, payload=frame.get("payload"))

    def _on_presence(self, frame: Frame) -> None:
        payload, room = frame.get("payload") or {}, frame.get("room", "")
        if room[:1] == "@" and room[1:] in self.watched:
            self.tell("contact", user=room[1:], online=payload["count"]["connections"] > 0)
        roster = self.rosters.get(room)
        if roster is None or payload.get("digest") is None:
            return
        before = dict(roster.members)
        asked = roster.take(payload)
        if asked is not None:
            self._send({"type": "PRESENCE", "room": room, "payload": asked, "id": self._id()})
            return
        if roster.members != before:
            self.tell("presence", room=room, users=sorted(roster.members))
        is_wanted = not roster.is_right or self.has("reads_without_need")
        if is_wanted and room not in self._reading and roster.after is None:
            assert self.link is not None
            self._reading.add(room)
            self.link.spawn(self._read_list(room, roster))

    async def _read_list(self, room: str, roster: Roster) -> None:
        await asyncio.sleep(0.0 if self.has("reads_at_once") else self.world.chance.random() * 0.5)
        self._reading.discard(room)
        if not roster.is_right or self.has("reads_without_need"):
            self._send({"type": "PRESENCE", "room": room, "payload": roster.begin(), "id": self._id()})
