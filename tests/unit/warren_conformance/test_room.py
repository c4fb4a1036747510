"""The scripted server's rooms."""

from __future__ import annotations

from warren_conformance.room import Room


def test_messages_are_numbered_and_repeats_count_once() -> None:
    """The ACK of a repeat is that of the first; TYPING has no number."""
    room = Room("r", seq=4)
    assert room.publish()["seq"] == 5
    frame = {"type": "CHAT", "room": "r", "id": "x", "payload": None}
    first = room.accept(frame, "ann")
    assert first["payload"] == {"seq": 6, "epoch": room.epoch}
    assert room.accept(frame, "ann") == first
    assert room.seq == 6
    assert room.accept({"type": "TYPING", "room": "r", "id": "t"}, "ann")["payload"] == {}
    assert room.log[6]["sender"] == "ann"
    assert room.log[6]["payload"] is None


def test_joined_brings_what_came_after_a_known_position() -> None:
    """Without a position, or with one of another epoch, nothing old comes."""
    room = Room("r")
    for _ in range(3):
        room.publish()
    joined, *missed = room.joined("j", {"epoch": room.epoch, "seq": 1})
    assert joined["payload"] == {"epoch": room.epoch, "seq": 1, "recovered": True, "missed": 2}
    assert joined["ref"] == "j"
    assert [each["seq"] for each in missed] == [2, 3]
    for since in (None, {"epoch": "old", "seq": 1}, {"epoch": room.epoch, "seq": 99}):
        joined, *missed = room.joined(None, since)
        assert (joined["payload"]["recovered"], joined["payload"]["seq"], missed) == (False, 3, [])
        assert "ref" not in joined


def test_a_new_epoch_counts_anew_and_forgets() -> None:
    """What expired is numbered, and not there."""
    room = Room("r")
    room.publish()
    room.skip(2)
    assert room.publish()["seq"] == 4
    _, *missed = room.joined("j", {"epoch": room.epoch, "seq": 0})
    assert [each["seq"] for each in missed] == [1, 4]
    room.renew("m2", 1)
    assert room.publish()["seq"] == 2
    assert room.position == {"epoch": "m2", "seq": 2}
    assert list(room.log) == [2]
