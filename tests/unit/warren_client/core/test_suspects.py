"""Which frame was refused if the server's ERROR does not say so."""

import pytest
from tests.support.client_scene import Scene

from warren_client.core.encode import Draft


def bad_server(scene: Scene, is_bad: set[object], *, pongs: bool = True, start: int = 0) -> None:
    """Answer everything that was sent, in order; for bad payloads with an ERROR that names no frame."""
    heard = start
    while heard < len(scene.socket.sent):
        frame = scene.socket.sent[heard]
        heard += 1
        if frame["type"] == "PING":
            if pongs:
                scene.say({"type": "PONG", "ref": frame["id"]})
        elif frame["type"] == "CHAT" and frame["payload"] in is_bad:
            scene.refuse(None, "invalid_format")
        elif frame["type"] == "CHAT":
            scene.ack(frame, 1)


def test_an_error_without_a_ref_belongs_to_the_only_message_in_flight() -> None:
    """It is refused, and not sent again."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    entry = scene.send("bad")
    scene.refuse(None, "invalid_format")
    assert entry.outcome.error is not None
    assert entry.outcome.error.code == "invalid_format"
    assert entry.outcome.error.ref == entry.id
    assert len(scene.again().of("CHAT")) == 0


@pytest.mark.parametrize("bad", [{0}, {2}, {0, 1}, {1, 3}, {0, 1, 2, 3}])
def test_of_several_messages_in_flight_it_finds_out_which_were_refused(bad: set[object]) -> None:
    """The others are acknowledged, each once."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    entries = [scene.send(number) for number in range(4)]
    start = len(scene.socket.sent) - 4
    first = scene.socket.sent[start:]
    for frame in first:
        if frame["payload"] in bad:
            scene.refuse(None, "invalid_format")
    bad_server(scene, bad, start=start + 4)
    for frame in first:
        if frame["payload"] not in bad:
            scene.ack(frame, 1)
    for _ in range(5):
        bad_server(scene, bad, start=start + 4)
    refused = {number for number, entry in enumerate(entries) if entry.outcome.error is not None}
    assert refused == bad
    assert all(entry.outcome.is_done for entry in entries)


def test_without_a_pong_the_refused_frame_is_found_in_a_bounded_number_of_attempts() -> None:
    """Each suspect is sent alone; a PONG that does not come is waited for until its time is over."""
    scene = Scene(ack_timeout=100_000, ping_every=100_000)
    scene.open()
    scene.joined("@ann")
    entries = [scene.send(number) for number in range(3)]
    scene.refuse(None, "invalid_message")
    for _ in range(20):
        before = len(scene.socket.of("CHAT"))
        scene.wait(10_000)
        frames = scene.socket.of("CHAT")
        if len(frames) > before and frames[-1]["payload"] == 1:
            scene.refuse(None, "invalid_message")
    assert entries[1].outcome.error is not None
    assert [frame["payload"] for frame in scene.socket.of("CHAT")] == [0, 1, 2, 0, 1, 2]


def test_a_suspect_is_given_up_after_three_connections_that_closed_before_its_answer() -> None:
    """It is refused with the error that made it a suspect."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    entries = [scene.send(1), scene.send(2)]
    scene.refuse(None, "invalid_format")
    for _ in range(8):
        scene.again()
    assert [entry.outcome.is_done for entry in entries] == [True, True]
    assert {entry.outcome.error.code for entry in entries if entry.outcome.error} == {"invalid_format"}


def test_an_error_that_must_belong_to_an_ephemeral_message_refuses_nothing() -> None:
    """With nothing else in flight there is no suspect."""
    scene = Scene()
    scene.open()
    scene.joined("@ann")
    assert scene.do(lambda: scene.session.send_ephemeral(Draft(type="TYPING", room="r")))
    scene.refuse(None, "invalid_message")
    entry = scene.send("good")
    scene.ack(scene.socket.last, 1)
    assert entry.outcome.value is not None
    assert scene.errors() == ["invalid_message"]
