"""What waits to be sent or answered goes in order, once, and within its bound."""

from __future__ import annotations

import pytest
from tests.support.client_scene import Scene

from warren_client.core.encode import Draft, Question
from warren_client.errors import ClosedError, InvalidError, OutboxFullError
from warren_client.messages import Accepted


def opened(**options: object) -> Scene:
    scene = Scene(**options)  # type: ignore[arg-type]
    scene.open()
    scene.joined("@ann")
    return scene


def test_a_message_goes_out_and_its_ack_settles_it() -> None:
    """It has an id, the time and the version, and the ACK says where it stands."""
    scene = opened()
    entry = scene.send({"text": "hi"})
    frame = scene.socket.last
    assert (frame["type"], frame["room"], frame["payload"]) == ("CHAT", "r", {"text": "hi"})
    assert (frame["version"], frame["timestamp"]) == ("1.0", 1_764_000_000_000)
    scene.ack(frame, 7)
    assert entry.outcome.value == Accepted(frame["id"], "r", 7, "e1")


def test_an_error_settles_it_with_code_retry_and_delay() -> None:
    """Its caller is told, and nobody else."""
    scene = opened()
    entry = scene.send()
    scene.refuse(scene.socket.last, "rate_limited", retry=True, retry_after_ms=200)
    error = entry.outcome.error
    assert error is not None
    assert (error.code, error.retry, error.retry_after, error.ref) == ("rate_limited", True, 0.2, entry.id)
    assert scene.errors() == []


def test_messages_without_a_connection_wait_and_go_in_order() -> None:
    """After the JOINs."""
    scene = Scene()
    scene.room("r", joined=False)
    for number in range(3):
        scene.send(number)
    assert scene.sockets == []
    socket = scene.open()
    assert [frame["type"] for frame in socket.sent] == ["JOIN", "CHAT", "CHAT", "CHAT"]
    assert [frame["payload"] for frame in socket.of("CHAT")] == [0, 1, 2]


def test_what_has_no_ack_goes_again_on_the_next_connection_before_what_is_new() -> None:
    """Under the same ids, in order, and what was acknowledged does not."""
    scene = opened()
    entries = [scene.send(number) for number in range(3)]
    scene.ack(scene.socket.of("CHAT")[1], 5)
    scene.drop()
    scene.send(3)
    socket = scene.again()
    assert [frame["payload"] for frame in socket.of("CHAT")] == [0, 2, 3]
    assert [frame["id"] for frame in socket.of("CHAT")][:2] == [entries[0].id, entries[2].id]


def test_a_message_without_an_answer_goes_again_under_its_id() -> None:
    """After ack_timeout, and again after that."""
    scene = opened(ack_timeout=5, ping_every=1_000)
    scene.send("a")
    scene.wait(5_000)
    scene.wait(5_000)
    assert [frame["payload"] for frame in scene.socket.of("CHAT")] == ["a"] * 3
    assert len({frame["id"] for frame in scene.socket.of("CHAT")}) == 1


def test_nothing_goes_again_while_the_broker_is_away_and_everything_once_it_is_back() -> None:
    """DEGRADED and RESTORED."""
    scene = opened(ack_timeout=5, ping_every=1_000)
    scene.say({"type": "DEGRADED"})
    assert scene.session.is_degraded
    scene.send("a")
    scene.wait(60_000)
    assert len(scene.socket.of("CHAT")) == 1
    scene.say({"type": "RESTORED"})
    assert len(scene.socket.of("CHAT")) == 2
    assert not scene.session.is_degraded
    assert [notice.kind for notice in scene.notices if notice.kind in ("degraded", "restored")] == [
        "degraded",
        "restored",
    ]


def test_a_full_outbox_refuses_at_once_and_takes_again_after_an_answer() -> None:
    """Messages and requests count together; what is cancelled counts no more."""
    scene = opened(outbox_limit=3)
    entries = [scene.send(number) for number in range(2)]
    scene.do(lambda: scene.session.request(Question(service="s", id="q1")))
    with pytest.raises(OutboxFullError) as caught:
        scene.send(4)
    assert (caught.value.code, caught.value.retry) == ("outbox_full", True)
    scene.ack(scene.socket.of("CHAT")[0], 1)
    scene.send(5)
    with pytest.raises(OutboxFullError):
        scene.send(6)
    scene.drop()
    scene.do(lambda: scene.session.withdraw(entries[1]))
    scene.send(7)


def test_the_same_id_in_flight_is_one_message() -> None:
    """Both callers get the one answer."""
    scene = opened()
    first, second = scene.send("a", id="m1"), scene.send("a", id="m1")
    assert first is second
    assert len(scene.socket.of("CHAT")) == 1
    with pytest.raises(InvalidError, match="m1"):
        scene.do(lambda: scene.session.request(Question(service="s", id="m1")))


def test_an_ephemeral_message_goes_now_or_never() -> None:
    """Without an id; not without a connection, at a full rate, or while the socket takes nothing."""
    scene = Scene()
    draft = Draft(type="TYPING", payload=True, room="r")

    def send() -> bool:
        return scene.do(lambda: scene.session.send_ephemeral(draft))

    assert not send()
    scene.open(limits={"rate": 3, "rate_per_ms": 1_000})
    assert send()
    assert "id" not in scene.socket.last
    assert send()
    assert not send()
    scene.wait(5_000)
    scene.session.outbox.is_congested = True
    assert not send()
    scene.session.outbox.is_congested = False
    assert send()
    assert len(scene.socket.of("TYPING")) == 3


def test_a_message_above_the_servers_limit_is_refused_here() -> None:
    """The server would close the connection; the limit is in bytes of UTF-8."""
    scene = Scene()
    scene.open(limits={"message_bytes": 400})
    small, large, wide = scene.send("x" * 200), scene.send("x" * 400), scene.send("€" * 120)
    assert not small.outcome.is_done
    for each in (large, wide):
        assert each.outcome.error is not None
        assert each.outcome.error.code == "message_too_large"
    assert [len(frame["payload"]) for frame in scene.socket.of("CHAT")] == [200]


def test_what_nobody_waits_for_before_it_went_out_never_goes() -> None:
    """Neither on this connection nor on the next one."""
    scene = Scene()
    entry = scene.send("a")
    scene.do(lambda: scene.session.withdraw(entry))
    assert scene.open().of("CHAT") == []


def test_what_nobody_waits_for_after_it_went_out_is_not_sent_again() -> None:
    """It may have been accepted: its ACK still counts, and it is still one of our own."""
    scene = opened(ack_timeout=5, ping_every=1_000)
    room = scene.room("r")
    entry = scene.send("a")
    scene.do(lambda: scene.session.withdraw(entry))
    scene.wait(20_000)
    assert len(scene.socket.of("CHAT")) == 1
    socket = scene.again()
    assert socket.of("CHAT") == []
    scene.joined("r", recovered=True, missed=1)
    scene.chat(1, sender="ann", id=entry.id)
    assert list(room.inbox.items) == []


def test_close_ends_everything_that_waits() -> None:
    """Each caller is told that the client is closed."""
    scene = opened()
    sent, page = scene.send("a"), scene.do(lambda: scene.session.history("r", None, 50))
    scene.do(scene.session.close)
    for entry in (sent, page):
        assert isinstance(entry.outcome.error, ClosedError)
    with pytest.raises(ClosedError):
        scene.send("b")
    assert scene.session.deadline is None


def test_an_error_with_a_close_leaves_the_message_for_the_next_connection() -> None:
    """Unless the server says not to come back."""
    scene = opened()
    entry = scene.send("a")
    scene.refuse(scene.socket.last, "internal", close=1011, reconnect="yes")
    socket = scene.again(1011)
    assert [frame["id"] for frame in socket.of("CHAT")] == [entry.id]


def test_cancelled_messages_take_no_memory_while_there_is_no_connection() -> None:
    """However many are sent and withdrawn."""
    scene = Scene()
    for number in range(5_000):
        entry = scene.send(number)
        scene.do(lambda entry=entry: scene.session.withdraw(entry))
    assert len(scene.session.outbox) == 0
    assert len(scene.session.outbox._queue) < 200


@pytest.mark.parametrize("code", ["rate_limited", "overloaded", "unavailable"])
def test_a_join_that_may_succeed_later_is_sent_again_after_its_delay_and_a_random_one(code: str) -> None:
    """The random part grows with each refusal, up to the cap."""
    scene = opened(ping_every=10_000, backoff_cap=3)
    scene.room("r", joined=False)
    for part in (500, 1_000, 1_500, 1_500):
        scene.refuse(scene.joins()[-1], code, retry=True, retry_after_ms=2_000)
        before = len(scene.joins())
        scene.wait(2_000 + part - 1)
        assert len(scene.joins()) == before
        scene.wait(1)
        assert len(scene.joins()) == before + 1
    scene.joined("r")
    assert len({frame["id"] for frame in scene.joins()}) == 1
