"""What an application may want of a client, and when it is told that it can't have it."""

import pytest
from tests.support.client_scene import Scene

from warren_client.core.encode import Draft, Question
from warren_client.errors import ClosedError, InvalidError
from warren_client.messages import Position


def test_ids_of_two_clients_differ() -> None:
    """An id counts once for a room and user."""
    numbers = iter(range(1, 100))
    made = [Scene(random=lambda: next(numbers) / 100).session.new_id() for _ in range(2)]
    assert made[0] != made[1]


def test_a_closed_client_says_so() -> None:
    """Whatever it is asked for."""
    scene = Scene()
    scene.open()
    room = scene.session.room("r", None, "catch_up", 5)
    scene.do(scene.session.close)
    session = scene.session
    for what in (
        lambda: session.send(Draft(type="CHAT", room="r")),
        lambda: session.join(room),
        lambda: session.history("r", None, 5),
        lambda: session.request(Question(service="s", id="1")),
        lambda: session.watch_contacts(["bob"]),
        lambda: session.update(room, None),
    ):
        with pytest.raises(ClosedError):
            scene.do(what)
    assert session.listen().is_ended
    assert session.mailbox.is_ended


def test_history_is_a_page_and_is_asked_for_again_after_a_reconnect() -> None:
    """With binary payloads as bytes."""
    scene = Scene()
    scene.open()
    scene.room("r")
    entry = scene.do(lambda: scene.session.history("r", 9, 2))
    assert scene.socket.last["payload"] == {"limit": 2, "before": 9}
    socket = scene.again()
    ref = socket.of("HISTORY")[0]["id"]
    messages = [{"type": "blob", "seq": 7, "epoch": "e1", "encoding": "base64", "payload": "AAH/"}]
    scene.say({"type": "HISTORY", "room": "r", "ref": ref, "payload": {"messages": messages, "more": True}})
    assert entry.outcome.value is not None
    found, more = entry.outcome.value
    assert ([each.payload for each in found], more) == ([b"\x00\x01\xff"], True)
    refused = scene.do(lambda: scene.session.history("r", None, 2))
    scene.refuse(scene.socket.last, "not_joined")
    assert refused.outcome.error is not None


def test_a_fault_of_the_client_ends_it_and_tells_everybody() -> None:
    """Nobody waits for ever."""
    scene = Scene()
    scene.open()
    room, entry = scene.room("r"), scene.send()
    fault = ClosedError("a fault", code="internal")
    scene.do(lambda: scene.session.fail(fault))
    assert (scene.state, room.inbox.error, entry.outcome.error) == ("closed", fault, fault)


def test_what_is_seen_of_another_epoch_is_not_said() -> None:
    """Nor is what was never there."""
    scene = Scene()
    scene.open()
    room = scene.room("r", seq=5)
    for position in (Position("e0", 3), Position("e1", 0)):
        scene.do(lambda position=position: scene.session.saw(room, position))
    assert scene.socket.of("SEEN") == []


def test_a_request_under_the_id_of_another_frame_is_refused() -> None:
    """Its answer could not be told from the other one's."""
    scene = Scene()
    scene.open()
    question = Question(service="s", id="q")
    scene.do(lambda: scene.session.request(question))
    with pytest.raises(InvalidError):
        scene.do(lambda: scene.session.request(question))
    with pytest.raises(InvalidError):
        scene.send(id="q")
