"""The server's rate is kept, whatever the network does to what was sent."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.client_scene import EPOCH, Scene

from warren_client.core.encode import Draft
from warren_client.core.link import Credentials
from warren_client.core.pace import Pace
from warren_client.messages import Limits


def pace(rate: int = 3, per_ms: int = 100) -> Pace:
    made = Pace()
    made.reset(Limits(rate=rate, rate_per_ms=per_ms))
    return made


def test_without_a_rate_nothing_waits() -> None:
    """Rate 0 is no limit."""
    free = pace(0)
    for number in range(100):
        free.take(str(number), 0)
    assert free.wait(0) == 0


def test_without_a_rate_nothing_is_kept_of_what_was_answered() -> None:
    """Nor of what was sent before it and has no answer."""
    free = pace(0)
    for number in range(100):
        free.take(None, 0)
        free.take(str(number), 0)
    assert free.is_uncertain
    free.answered("99", 0)
    assert not free.is_uncertain
    for number in range(99):
        free.answered(str(number), 0)
    assert free._slots == {}


def test_a_slot_is_free_one_period_after_its_answer_and_one_is_kept_for_what_is_urgent() -> None:
    """With a rate of three, two frames go at once, and a third only if it is urgent."""
    busy = pace()
    busy.take("a", 0)
    busy.take("b", 0)
    assert busy.wait(0) == math.inf
    assert busy.wait(0, urgent=True) == 0
    busy.answered("a", 40)
    assert busy.wait(50) == 90
    assert busy.wait(140) == 0


def test_a_frame_without_an_answer_counts_for_two_periods_unless_a_later_answer_shows_that_it_arrived() -> (
    None
):
    """The server handles frames in order."""
    busy = pace()
    busy.take(None, 0)
    assert busy.is_uncertain
    busy.take("b", 10)
    assert busy.wait(10) == 190
    busy.answered("b", 20)
    assert (busy.is_uncertain, busy.wait(20)) == (False, 100)


def test_the_same_id_again_counts_twice() -> None:
    """What was sent before continues to count."""
    busy = pace()
    busy.take("a", 0)
    busy.take("a", 10)
    assert busy.wait(10) == 100
    busy.give_up(20)
    assert busy.wait(20) == 90


@given(
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([2, 3, 5]),
    per_ms=st.sampled_from([200, 1_000]),
)
def test_no_window_of_the_server_ever_sees_more_than_its_rate(seed: int, rate: int, per_ms: int) -> None:
    """A busy sender that refreshes its token, pings and types never exceeds the rate as the server counts, with
    delays that vary and answers that take time.
    """
    random = Random(seed)
    who = Credentials("t", can_fetch=True)
    scene = Scene(random=random.random, who=who, ping_every=0.7, pong_timeout=0.4, refresh_before=0.5)
    limits = {"rate": rate, "rate_per_ms": per_ms}
    scene.open(limits=limits, expires_at=EPOCH + 2_000)
    arrived: list[float] = []
    answers: list[tuple[float, dict[str, object]]] = []
    heard = 0
    for number in range(12):
        scene.send(number)
    at = 0.0
    for _ in range(300):
        scene.wait(20)
        if scene.fetches:
            scene.token("t2")
            scene.fetches.clear()
        if random.random() < 0.1:
            scene.do(lambda: scene.session.send_ephemeral(Draft(type="TYPING", room="r")))
        for frame in scene.socket.sent[heard:]:
            at = max(at, scene.now + random.random() * 30)
            arrived.append(at)
            answers.append((at + random.random() * 30, frame))
        heard = len(scene.socket.sent)
        for answer in [each for each in answers if each[0] <= scene.now]:
            answers.remove(answer)
            frame = answer[1]
            match frame["type"]:
                case "PING":
                    scene.say({"type": "PONG", "ref": frame["id"]})
                case "AUTH":
                    payload = {"expires_at": EPOCH + int(scene.now) + 2_000}
                    scene.say({"type": "AUTHENTICATED", "ref": frame["id"], "payload": payload})
                case "CHAT":
                    scene.ack(frame)
                case "JOIN":
                    scene.joined(str(frame["room"]))
    assert len(scene.sockets) == 1
    for first in arrived:
        assert sum(first <= each < first + per_ms for each in arrived) <= rate


@pytest.mark.parametrize("urgent", [False, True])
def test_a_new_connection_begins_with_all_slots(urgent: bool) -> None:
    """What was sent on the connection before counts no more."""
    busy = pace()
    for name in "abc":
        busy.take(name, 0)
    busy.reset(Limits(rate=3, rate_per_ms=100))
    assert busy.wait(0, urgent) == 0
