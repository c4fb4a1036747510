"""The rooms of a client: joined with their positions on each connection, and read without a hole."""

from __future__ import annotations

import pytest
from tests.support.client_scene import Scene, read, taken

from warren_client.errors import InvalidError, LeftError, RefusedError
from warren_client.messages import Dropped, Message, Position


def opened(**options: object) -> Scene:
    scene = Scene(**options)  # type: ignore[arg-type]
    scene.open()
    scene.joined("@ann")
    return scene


def test_the_first_join_has_no_position_and_the_next_ones_that_of_the_last_message() -> None:
    """After a reconnect nothing is lost."""
    scene = opened()
    room = scene.room("r", seq=4)
    assert "payload" not in scene.joins()[0]
    scene.chat(5)
    scene.again()
    assert scene.joins()[0]["payload"] == {"since": {"epoch": "e1", "seq": 5}}
    scene.joined("r", seq=5, recovered=True, missed=2)
    scene.chat(6)
    scene.chat(7)
    assert read(scene, room) == ["m5", "m6", "m7"]
    assert room.read_up_to == Position("e1", 7)


def test_a_position_of_an_earlier_life_is_where_it_goes_on() -> None:
    """Or it is a gap, before everything else."""
    scene = opened()
    room = scene.room("r", since=Position("e1", 3), joined=False)
    assert scene.joins()[0]["payload"] == {"since": {"epoch": "e1", "seq": 3}}
    scene.joined("r", seq=8)
    scene.chat(9)
    assert read(scene, room) == [(3, 8), "m9"]


def test_what_was_read_is_the_position_to_keep_not_what_waits() -> None:
    """Up to the last item that was taken; with nothing waiting, own messages count as well."""
    scene = opened()
    room = scene.room("r", seq=4)
    assert room.read_up_to == Position("e1", 4)
    scene.chat(5)
    scene.chat(6)
    assert room.read_up_to == Position("e1", 4)
    room.inbox.take()
    assert room.read_up_to == Position("e1", 5)
    room.inbox.take()
    scene.send("mine")
    scene.ack(scene.socket.last, 7)
    assert room.read_up_to == Position("e1", 7)


def test_missing_messages_are_asked_for_and_later_ones_wait() -> None:
    """Once."""
    scene = opened()
    room = scene.room("r", seq=4)
    scene.chat(5)
    scene.chat(8)
    scene.chat(9)
    assert len(scene.joins()) == 2
    assert scene.joins()[-1]["payload"] == {"since": {"epoch": "e1", "seq": 5}}
    assert read(scene, room) == ["m5"]
    scene.joined("r", seq=5, recovered=True, missed=4)
    for seq in range(6, 10):
        scene.chat(seq)
    assert read(scene, room) == ["m6", "m7", "m8", "m9"]
    assert len(scene.joins()) == 2


def test_a_missing_own_message_whose_ack_is_under_way_is_no_gap() -> None:
    """It is asked for only if the ACK does not come."""
    scene = opened(gap_wait=1)
    room = scene.room("r", seq=4)
    scene.send("mine")
    frame = scene.socket.last
    scene.chat(6)
    assert (len(scene.joins()), read(scene, room)) == (1, [])
    scene.wait(500)
    scene.ack(frame, 5)
    assert read(scene, room) == ["m6"]
    scene.send("mine")
    scene.chat(8)
    scene.wait(1_000)
    assert len(scene.joins()) == 2


def test_an_unasked_joined_says_what_is_lost() -> None:
    """At our own position it says nothing."""
    scene = opened()
    room = scene.room("r", seq=4)
    scene.say({"type": "JOINED", "room": "r", "payload": {"epoch": "e1", "seq": 4, "recovered": False}})
    scene.say({"type": "JOINED", "room": "r", "payload": {"epoch": "e2", "seq": 2, "recovered": False}})
    assert read(scene, room) == [(4, 2)]
    assert room.position.position == Position("e2", 2)


def test_what_the_server_has_withheld_is_told_and_no_gap() -> None:
    """With its number."""
    scene = opened()
    room = scene.room("r", seq=4)
    scene.say({"type": "DROPPED", "room": "r", "payload": {"count": 2, "seq": 6}})
    scene.chat(7)
    assert read(scene, room) == [Dropped("r", 2, 6, "server"), "m7"]
    assert len(scene.joins()) == 1


def test_a_full_inbox_catches_up_once_half_of_it_is_read() -> None:
    """What came meanwhile is asked for, so nothing is lost, and nothing is kept."""
    scene = opened()
    room = scene.room("r", limit=4)
    for seq in range(1, 11):
        scene.chat(seq)
    assert len(room.inbox.items) == 4
    assert [item.payload for item in taken(room) if isinstance(item, Message)] == ["m1", "m2", "m3", "m4"]
    assert room.inbox.is_read
    scene.do(room.inbox.on_space)
    assert scene.joins()[-1]["payload"] == {"since": {"epoch": "e1", "seq": 4}}
    scene.joined("r", seq=4, recovered=True, missed=6)
    for seq in range(5, 9):
        scene.chat(seq)
    assert read(scene, room) == ["m5", "m6", "m7", "m8"]


def test_a_full_inbox_that_drops_the_oldest_says_so() -> None:
    """And never asks for them."""
    scene = opened()
    room = scene.room("r", limit=2, overflow="drop_oldest")
    for seq in range(1, 6):
        scene.chat(seq)
    assert read(scene, room) == [Dropped("r", 3, 3, "client"), "m4", "m5"]
    assert len(scene.joins()) == 1


def test_ephemeral_messages_come_as_they_are() -> None:
    """They have no number, and are not part of the position."""
    scene = opened()
    room = scene.room("r", seq=4)
    scene.say({"type": "TYPING", "room": "r", "sender": "bob", "payload": True})
    (item,) = taken(room)
    assert isinstance(item, Message)
    assert (item.type, item.seq, item.position) == ("TYPING", None, None)
    assert room.read_up_to == Position("e1", 4)


def test_a_refused_join_ends_the_room_with_its_reason() -> None:
    """It is not joined again."""
    scene = opened()
    room = scene.room("r", joined=False)
    scene.refuse(scene.joins()[0], "forbidden")
    assert isinstance(room.joined.error, RefusedError)
    assert room.inbox.error is room.joined.error
    scene.again()
    assert scene.joins() == []


def test_leave_is_answered_by_left_and_the_room_is_not_joined_again() -> None:
    """Its reader ends without an error."""
    scene = opened()
    room = scene.room("r")
    entry = scene.do(lambda: scene.session.rooms.leave(room))
    assert entry is not None
    assert scene.socket.last["type"] == "LEAVE"
    scene.say({"type": "LEFT", "room": "r", "ref": scene.socket.last["id"]})
    assert entry.outcome.is_done
    assert (room.inbox.is_ended, room.inbox.error) == (True, None)
    scene.again()
    assert scene.joins() == []


def test_leave_is_done_when_the_connection_is_closed() -> None:
    """On the next one nobody is in the room."""
    scene = opened()
    room = scene.room("r")
    entry = scene.do(lambda: scene.session.rooms.leave(room))
    assert entry is not None
    scene.drop()
    assert entry.outcome.is_done
    assert scene.do(lambda: scene.session.rooms.leave(room)) is None


def test_a_room_can_be_opened_again_after_it_was_left() -> None:
    """The answer to the first JOIN, if it comes late, is not taken for that to the second."""
    scene = opened()
    first = scene.room("r", joined=False)
    late = scene.joins()[0]["id"]
    scene.do(lambda: scene.session.rooms.leave(first))
    second = scene.room("r", joined=False)
    payload = {"epoch": "e1", "seq": 3, "recovered": False}
    scene.say({"type": "JOINED", "room": "r", "ref": late, "payload": payload})
    assert not second.joined.is_done
    scene.joined("r", seq=5)
    assert second.position.position == Position("e1", 5)


def test_a_room_is_open_once() -> None:
    """Who wants it twice shares it."""
    scene = opened()
    scene.room("r")
    with pytest.raises(InvalidError, match="share"):
        scene.session.room("r", None, "catch_up", 10)


def test_who_is_taken_out_of_a_room_is_told_why() -> None:
    """The reader's error and a notice say it, and the room is not joined again."""
    scene = opened()
    room = scene.room("r")
    scene.chat(1)
    scene.say({"type": "LEFT", "room": "r", "payload": {"reason": "removed"}})
    assert read(scene, room) == ["m1"]
    error = room.inbox.error
    assert isinstance(error, LeftError)
    assert (error.reason, error.retry) == ("removed", True)
    assert [notice.detail for notice in scene.notices if notice.kind == "left"] == ["r"]
    scene.again()
    assert scene.joins() == []


def test_a_room_that_nobody_can_decide_on_is_still_wanted() -> None:
    """It is joined again from where we stand."""
    scene = opened()
    room = scene.room("r", seq=4)
    scene.say({"type": "LEFT", "room": "r", "payload": {"reason": "unavailable"}})
    assert scene.joins()[-1]["payload"] == {"since": {"epoch": "e1", "seq": 4}}
    scene.refuse(scene.joins()[-1], "unavailable", retry=True)
    scene.wait(1_000)
    scene.joined("r", seq=4, recovered=True)
    assert not room.inbox.is_ended


def test_a_grant_is_shown_at_each_later_join_until_a_newer_one_comes() -> None:
    """Beside the position; who has left a room shows none of before."""
    scene = opened()
    room = scene.room("r", seq=4, grant="first")
    scene.again()
    assert scene.joins()[0]["payload"]["grant"] == "first"
    scene.joined("r", seq=4, recovered=True, grant="second")
    scene.again()
    assert scene.joins()[0]["payload"] == {"since": {"epoch": "e1", "seq": 4}, "grant": "second"}
    scene.do(lambda: scene.session.rooms.leave(room))
    scene.room("r", joined=False)
    assert "payload" not in scene.joins()[-1]


def test_requested_copies_of_own_messages_are_read_and_others_are_not() -> None:
    """Also in a replay."""
    scene = opened()
    room = scene.room("r")
    plain, copy = scene.send("plain"), scene.send("copy", include_sender=True)
    scene.ack(scene.socket.of("CHAT")[0], 1)
    scene.ack(scene.socket.of("CHAT")[1], 2)
    scene.chat(2, id=copy.id, sender="ann")
    scene.again()
    scene.joined("r", seq=2, recovered=True, missed=1)
    third = scene.send("third", include_sender=True)
    scene.chat(3, id=third.id, sender="ann")
    assert read(scene, room) == ["m2", "m3"]
    assert plain.outcome.is_done


def test_the_joins_of_a_reconnect_come_before_waiting_messages() -> None:
    """Each room with its own position."""
    scene = opened()
    scene.room("a", seq=1)
    scene.room("b", seq=2)
    scene.drop()
    scene.send("x", "a")
    socket = scene.again()
    assert [frame["type"] for frame in socket.sent] == ["JOIN", "JOIN", "JOIN", "CHAT"]
    assert {frame["room"]: frame["payload"]["since"]["seq"] for frame in socket.of("JOIN")} == {
        "@ann": 0,
        "a": 1,
        "b": 2,
    }
