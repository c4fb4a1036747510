"""What becomes of a message is told once, or that it is not known."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.client_scene import Scene

from warren_client.core.encode import Draft
from warren_client.core.receipts import Wanted
from warren_client.errors import InvalidError
from warren_client.messages import Receipt


def opened() -> Scene:
    scene = Scene(ping_every=100_000)
    scene.open()
    scene.joined("@ann")
    return scene


def send(scene: Scene, receipt: str = "seen", payload: Any = "hi", **more: Any) -> Wanted:
    draft = Draft(type="CHAT", room="r", payload=payload, receipt=receipt, **more)
    wanted = scene.do(lambda: scene.session.send(draft))[1]
    assert wanted is not None
    return wanted


def tell(scene: Scene, wanted: Wanted, level: str, **payload: Any) -> None:
    payload = {"level": level, "complete": True} | payload
    scene.say({"type": "RECEIPT", "ref": wanted.id, "room": "r", "payload": payload})


def told(wanted: Wanted) -> dict[str, Any]:
    return {level: outcome.value and outcome.value.complete for level, outcome in wanted.outcomes.items()}


def chats(scene: Scene) -> list[Any]:
    return [(frame["payload"], frame.get("receipt")) for frame in scene.socket.of("CHAT")]


def test_a_message_says_that_it_is_written_and_then_that_it_is_seen() -> None:
    """With how many have seen it."""
    scene = opened()
    wanted = send(scene)
    assert scene.socket.last["receipt"] == "seen"
    scene.ack(scene.socket.last, 1)
    tell(scene, wanted, "written")
    assert told(wanted) == {"written": True, "seen": None}
    tell(scene, wanted, "seen", readers=2, seen=2)
    assert wanted.outcomes["seen"].value == Receipt(wanted.id, "r", "seen", True, 2, 2)
    assert set(send(scene, "written").outcomes) == {"written"}


def test_a_receipt_may_come_before_its_ack_and_the_last_one_alone() -> None:
    """What all have seen is written."""
    scene = opened()
    wanted = send(scene)
    tell(scene, wanted, "seen")
    scene.ack(scene.socket.last, 1)
    assert told(wanted) == {"written": True, "seen": True}


def test_without_a_word_it_is_given_up() -> None:
    """The server's own time-out comes first."""
    scene = opened()
    written, seen = send(scene, "written"), send(scene)
    for frame in scene.socket.of("CHAT"):
        scene.ack(frame, 1)
    scene.wait(45_000)
    assert (told(written), told(seen)) == ({"written": False}, {"written": None, "seen": None})
    scene.wait(30_000)
    assert told(seen) == {"written": False, "seen": False}


def test_what_is_open_when_the_connection_is_lost_is_asked_again_under_its_id() -> None:
    """After new messages, which do not wait for it; once."""
    scene = opened()
    wanted = send(scene)
    scene.ack(scene.socket.last, 1)
    scene.drop()
    scene.send("new")
    scene.again()
    assert chats(scene) == [("new", None), ("hi", "seen")]
    assert scene.socket.of("CHAT")[1]["id"] == wanted.id
    scene.ack(scene.socket.of("CHAT")[1], 1)
    tell(scene, wanted, "seen")
    scene.again()
    assert told(wanted) == {"written": True, "seen": True}
    assert ("hi", "seen") not in chats(scene)


@pytest.mark.parametrize("ms", [61_000])
def test_what_the_server_may_have_forgotten_is_not_sent_again(ms: float) -> None:
    """It would be taken for another message."""
    scene = opened()
    wanted = send(scene)
    scene.ack(scene.socket.last, 1)
    scene.wait(ms)
    scene.again()
    assert chats(scene) == []
    assert told(wanted) == {"written": False, "seen": False}


def test_a_message_without_a_number_is_not_sent_again() -> None:
    """It would be another one."""
    scene = opened()
    wanted = send(scene)
    scene.ack(scene.socket.last)
    scene.again()
    assert (chats(scene), told(wanted)) == ([], {"written": False, "seen": False})


def test_no_more_than_32_are_asked_for_at_a_time() -> None:
    """The messages go; they are asked about when there is a place."""
    scene = opened()
    wanted = [send(scene, payload=number) for number in range(34)]
    assert [receipt for _, receipt in chats(scene)] == ["seen"] * 32 + [None] * 2
    for frame in scene.socket.of("CHAT"):
        scene.ack(frame, 1)
    tell(scene, wanted[0], "seen")
    assert chats(scene)[-1] == (32, "seen")


def test_beyond_100_a_message_goes_and_its_receipt_is_given_up() -> None:
    """At once with its ACK."""
    scene = opened()
    for number in range(101):
        last = send(scene, payload=number)
        scene.ack(scene.socket.of("CHAT")[-1], number + 1)
    assert told(last) == {"written": False, "seen": False}


def test_of_long_texts_only_so_many_are_kept_to_be_sent_again() -> None:
    """The others are given up when the connection is lost."""
    scene = opened()
    kept, lost = send(scene, payload="x" * 200_000), send(scene, payload="y" * 100_000)
    for frame in scene.socket.of("CHAT"):
        scene.ack(frame, 1)
    scene.drop()
    assert (told(kept)["seen"], told(lost)["seen"]) == (None, False)


def test_a_refused_message_has_no_receipt() -> None:
    """Nor has one that nobody waits for."""
    scene = opened()
    wanted = send(scene)
    scene.refuse(scene.socket.last, "forbidden")
    assert told(wanted) == {"written": None, "seen": None}
    draft = Draft(type="CHAT", room="r", receipt="seen", id="m1")
    entry, other = scene.do(lambda: scene.session.send(draft))
    scene.do(lambda: scene.session.withdraw(entry))
    scene.drop()
    assert other is not None
    assert scene.again().of("CHAT") == []


def test_close_tells_that_nothing_is_known() -> None:
    """Of everything that was accepted."""
    scene = opened()
    wanted = send(scene)
    scene.ack(scene.socket.last, 1)
    scene.do(scene.session.close)
    assert told(wanted) == {"written": False, "seen": False}


def test_a_receipt_of_an_unknown_level_is_refused() -> None:
    """As the server would."""
    with pytest.raises(InvalidError, match="receipt"):
        send(opened(), "read")


def test_receipts_of_nothing_that_is_waited_for_change_nothing() -> None:
    """Repeated ones neither."""
    scene = opened()
    wanted = send(scene)
    scene.ack(scene.socket.last, 1)
    for ref in (wanted.id, wanted.id, "other"):
        scene.say({"type": "RECEIPT", "ref": ref, "payload": {"level": "written", "complete": True}})
    assert told(wanted) == {"written": True, "seen": None}
    assert scene.errors() == []
