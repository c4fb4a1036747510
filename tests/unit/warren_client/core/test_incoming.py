"""What arrives goes to the part that it is for."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.client_scene import Scene, taken
from tests.support.vectors import vectors

from warren_client.messages import Dropped, Gap, Message, Position

DELIVERED = [each for each in vectors("server") if each["struct"] == "Deliver"]


def mailbox(scene: Scene) -> list[Any]:
    found = []
    while (item := scene.session.mailbox.take()) is not None:
        found.append(item)
    return found


@pytest.mark.parametrize("vector", DELIVERED, ids=lambda vector: str(vector["name"]))
def test_a_message_goes_to_its_room_once(vector: dict[str, Any]) -> None:
    """Or to what is for the user, if its room was not opened. Said twice, it is read once if it is numbered."""
    scene = Scene()
    scene.open()
    scene.joined("@ann", epoch=vector["fields"].get("epoch", "x"), seq=0)
    name = vector["fields"]["room"]
    is_own = name == "@ann"
    seq = vector["fields"].get("seq") or 0
    room = None if is_own else scene.room(name, epoch=vector["fields"].get("epoch", "x"), seq=max(0, seq - 1))
    if is_own:
        scene.say({"type": "DROPPED", "room": "@ann", "payload": {"count": 1, "seq": max(0, seq - 1)}})
        mailbox(scene)
    scene.say(vector["frame"])
    scene.say(vector["frame"])
    found = mailbox(scene) if room is None else taken(room)
    assert [each.type for each in found if isinstance(each, Message)] == [found[0].type] * (1 if seq else 2)


def test_what_is_for_everyone_and_for_this_connection_is_for_the_user() -> None:
    """Broadcasts, messages without a room, and what is lost of broadcasts."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    scene.say({"type": "NOTIFICATION", "room": "*", "epoch": "b1", "seq": 4, "payload": 1})
    scene.say({"type": "NOTIFICATION", "payload": 2})
    scene.say({"type": "JOINED", "room": "*", "payload": {"epoch": "b2", "seq": 7, "recovered": False}})
    scene.say({"type": "DROPPED", "room": "*", "payload": {"count": 3, "seq": 9}})
    found = mailbox(scene)
    assert [each.payload for each in found if isinstance(each, Message)] == [1, 2]
    assert found[2:] == [Gap("*", None, Position("b2", 7)), Dropped("*", 3, 9, "server")]


def test_the_users_own_room_is_joined_with_its_position_on_each_connection() -> None:
    """Its messages are for the user; of another user's token it is another room."""
    scene = Scene()
    scene.open()
    scene.joined("@ann", seq=2)
    scene.chat(3, "@ann")
    scene.again()
    assert scene.joins("@ann")[0]["payload"] == {"since": {"epoch": "e1", "seq": 3}}
    scene.joined("@ann", seq=3, recovered=True)
    scene.again(user="bob")
    assert scene.joins("@ann") == []
    assert "payload" not in scene.joins("@bob")[0]
    scene.joined("@bob")
    scene.chat(1, "@bob")
    assert [each.payload for each in mailbox(scene)] == ["m3", "m1"]


def test_a_user_who_reads_nothing_of_its_own_loses_only_the_oldest() -> None:
    """And is told how many."""
    scene = Scene(queue_limit=2)
    scene.open()
    scene.joined("@ann")
    for seq in range(1, 6):
        scene.chat(seq, "@ann")
    assert mailbox(scene)[0] == Dropped(None, 3, 3, "client")


def test_an_error_that_nobody_waits_for_is_a_notice() -> None:
    """With the error."""
    scene = Scene()
    scene.open()
    scene.refuse(None, "internal", message="a fault")
    (notice,) = [each for each in scene.notices if each.kind == "error"]
    assert notice.detail == "internal"
    assert notice.error is not None
    assert notice.error.message == "a fault"


def test_an_invalid_frame_is_reported_and_the_next_one_is_taken() -> None:
    """Whatever is wrong with it."""
    scene = Scene()
    scene.open()
    room = scene.room("r")
    scene.say("{")
    scene.say({"type": "JOINED", "room": "r", "payload": {"epoch": "e"}})
    scene.say({"type": "PRESENCE", "room": "r", "payload": []})
    scene.chat(1)
    assert scene.errors() == ["invalid_format"] * 3
    assert len(taken(room)) == 1


def test_reconnect_is_a_notice() -> None:
    """An application may want to know why it is away."""
    scene = Scene()
    scene.open()
    scene.say({"type": "RECONNECT", "payload": {"after_ms": 1_500}})
    assert [(each.kind, each.detail) for each in scene.notices][-1] == ("reconnect", "1.5")


def test_a_refused_own_room_is_reported() -> None:
    """Nobody waits for its JOIN."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    scene.again()
    scene.refuse(scene.joins("@ann")[0], "forbidden")
    assert scene.errors() == ["forbidden"]


def test_rooms_that_the_server_has_joined_are_read_with_what_is_for_the_user() -> None:
    """They are joined again with their positions; who comes back joins everything itself."""
    scene = Scene()
    scene.open(rooms=["default", "@ann"])
    scene.joined("default", seq=4)
    scene.chat(5, "default")
    assert "join=manual" not in scene.socket.dial.url
    scene.again()
    assert "join=manual" in scene.socket.dial.url
    assert scene.joins("default")[0]["payload"] == {"since": {"epoch": "e1", "seq": 5}}
    scene.joined("default", seq=7)
    scene.chat(8, "default")
    found = mailbox(scene)
    assert [each.payload for each in found if isinstance(each, Message)] == ["m5", "m8"]
    assert found[1] == Gap("default", Position("e1", 5), Position("e1", 7))


def test_a_room_that_the_server_has_joined_can_be_opened() -> None:
    """It goes on where it is; what comes then is read from the room."""
    scene = Scene()
    scene.open(rooms=["default", "@ann"])
    scene.joined("default", seq=4)
    scene.chat(5, "default")
    room = scene.room("default", joined=False)
    assert scene.joins("default")[0]["payload"] == {"since": {"epoch": "e1", "seq": 5}}
    scene.joined("default", seq=5, recovered=True)
    scene.chat(6, "default")
    assert [each.payload for each in mailbox(scene)] == ["m5"]
    assert [each.payload for each in taken(room) if isinstance(each, Message)] == ["m6"]


def test_a_room_that_the_server_has_joined_can_be_left_for_good() -> None:
    """Before the first connection as well."""
    scene = Scene()
    scene.do(lambda: scene.session.leave("other"))
    scene.open(rooms=["default", "other", "@ann"])
    entry = scene.do(lambda: scene.session.leave("default"))
    assert entry is not None
    assert [frame["room"] for frame in scene.socket.of("LEAVE")] == ["default"]
    scene.say({"type": "LEFT", "room": "default", "ref": entry.id})
    assert not scene.session.mailbox.is_ended
    scene.again()
    assert [frame["room"] for frame in scene.socket.of("JOIN")] == ["@ann"]


def test_who_is_taken_out_of_a_room_that_the_server_has_joined_is_told() -> None:
    """By a notice; what is for the user goes on."""
    scene = Scene()
    scene.open(rooms=["default", "@ann"])
    scene.say({"type": "LEFT", "room": "default", "payload": {"reason": "removed"}})
    assert [notice.detail for notice in scene.notices if notice.kind == "left"] == ["default"]
    assert not scene.session.mailbox.is_ended
