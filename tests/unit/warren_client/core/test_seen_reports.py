"""Up to where this user has seen rooms is said soon, seldom, and again on the next connection."""

from __future__ import annotations

from typing import Any

from tests.support.client_scene import Scene

from warren_client.core.rooms import RoomState
from warren_client.messages import Position


def opened(**welcome: Any) -> Scene:
    scene = Scene(ping_every=100_000)
    scene.open(**welcome)
    scene.joined("@ann")
    return scene


def see(scene: Scene, room: RoomState, seq: int) -> None:
    scene.do(lambda: scene.session.saw(room, Position("e1", seq)))


def said(scene: Scene) -> list[tuple[str, int]]:
    return [(frame["room"], frame["payload"]["seq"]) for frame in scene.socket.of("SEEN")]


def test_at_most_once_a_second_the_last_word_and_only_what_is_more() -> None:
    """At once at first; each room has its own pace."""
    scene = opened()
    room, other = scene.room("r", seq=9), scene.room("other", seq=9)
    for seq in (3, 5, 4, 6):
        see(scene, room, seq)
    see(scene, other, 1)
    assert said(scene) == [("r", 3), ("other", 1)]
    scene.wait(1_000)
    assert said(scene)[2:] == [("r", 6)]
    see(scene, room, 6)
    scene.wait(5_000)
    assert len(said(scene)) == 3


def test_the_last_word_is_said_before_a_room_is_left_and_before_the_client_closes() -> None:
    """In its order."""
    scene = opened()
    room, other = scene.room("r", seq=9), scene.room("other", seq=9)
    for seq in (3, 5):
        see(scene, room, seq)
        see(scene, other, seq)
    scene.do(lambda: scene.session.rooms.leave(room))
    assert [frame["type"] for frame in scene.socket.sent][-2:] == ["SEEN", "LEAVE"]
    scene.do(scene.session.close)
    assert said(scene)[-2:] == [("r", 5), ("other", 5)]


def test_the_next_connection_is_told_again_once_we_are_in_the_room() -> None:
    """Another epoch voids it."""
    scene = opened()
    room = scene.room("r", seq=9)
    see(scene, room, 3)
    scene.again()
    assert said(scene) == []
    scene.joined("r", seq=9, recovered=True)
    scene.wait(1_000)
    assert said(scene) == [("r", 3)]
    scene.again()
    scene.joined("r", epoch="e2", seq=1)
    scene.wait(1_000)
    assert said(scene) == []


def test_what_is_refused_for_now_is_said_later_and_what_is_refused_is_not() -> None:
    """Not on this connection."""
    scene = opened()
    room = scene.room("r", seq=9)
    see(scene, room, 3)
    scene.refuse(scene.socket.of("SEEN")[0], "rate_limited", retry=True, retry_after_ms=3_000)
    scene.wait(2_999)
    assert len(said(scene)) == 1
    scene.wait(1)
    scene.refuse(scene.socket.of("SEEN")[1], "forbidden")
    see(scene, room, 5)
    scene.wait(10_000)
    assert len(said(scene)) == 2


def test_messages_do_not_wait_for_it() -> None:
    """It goes when nothing else waits, and says the newest then."""
    scene = opened(limits={"rate": 2, "rate_per_ms": 1_000})
    scene.wait(2_000)
    room = scene.room("r", seq=9)
    scene.wait(2_000)
    scene.send("a")
    see(scene, room, 3)
    scene.send("b")
    see(scene, room, 4)
    scene.ack(scene.socket.last)
    scene.wait(1_000)
    scene.ack(scene.socket.last)
    scene.wait(1_000)
    assert [frame["type"] for frame in scene.socket.sent][-3:] == ["CHAT", "CHAT", "SEEN"]
    assert said(scene) == [("r", 4)]


def test_out_of_a_room_nothing_more_is_said_there() -> None:
    """Whoever took us out."""
    scene = opened()
    room = scene.room("r", seq=9)
    see(scene, room, 3)
    see(scene, room, 5)
    scene.say({"type": "LEFT", "room": "r", "payload": {"reason": "removed"}})
    scene.wait(5_000)
    assert said(scene) == [("r", 3)]
