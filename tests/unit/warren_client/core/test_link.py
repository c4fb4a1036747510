"""One connection that comes back: back-off, heartbeat, tokens and close codes."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.client_scene import EPOCH, Scene

from warren_client.core.link import Credentials, websocket_url, with_query
from warren_client.errors import ClosedError, ConnectError, InvalidError, WarrenError


def query(scene: Scene) -> dict[str, list[str]]:
    return parse_qs(urlsplit(scene.socket.dial.url).query)


def keep_alive(scene: Scene, ms: float) -> None:
    """Let time pass and answer each PING."""
    end = scene.now + ms
    answered = set()
    while scene.now < end:
        scene.wait(min(500, end - scene.now))
        for frame in scene.socket.of("PING"):
            if frame["id"] not in answered:
                answered.add(frame["id"])
                scene.say({"type": "PONG", "ref": frame["id"]})


def waits(scene: Scene, count: int) -> list[float]:
    """Lose the connection again and again before WELCOME; return how long each next attempt took to come."""
    found = []
    for _ in range(count):
        scene.drop()
        began = scene.now
        deadline = scene.session.deadline
        assert deadline is not None
        scene.wait(deadline - began)
        found.append(round(scene.now - began))
    return found


def test_it_offers_the_protocol_and_is_open_after_welcome() -> None:
    """The states are told."""
    scene = Scene()
    scene.connect()
    assert scene.socket.dial.subprotocols == ("warren.v1",)
    assert query(scene) == {}
    assert scene.state == "connecting"
    scene.welcome(connection="g1~7", limits={"rate": 5, "rate_per_ms": 1_000})
    assert scene.session.user == "ann"
    assert scene.states() == ["connecting", "open"]
    assert scene.session.link.ready.value is not None
    assert scene.session.link.ready.value.limits.rate == 5


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://warren.test/ws?a=1", "wss://warren.test/ws?a=1"),
        ("http://warren.test:8080", "ws://warren.test:8080/ws"),
        ("ws://warren.test/other", "ws://warren.test/other"),
    ],
)
def test_an_address_is_that_of_the_websocket_of_the_same_host(given: str, wanted: str) -> None:
    """Without a path it is /ws."""
    assert websocket_url(given) == wanted


@pytest.mark.parametrize("url", ["", "warren.test", "ftp://warren.test/ws", "ws://", "ws://[::1/ws"])
def test_what_is_no_address_is_refused_with_the_reason(url: str) -> None:
    """At once, not at the first attempt."""
    with pytest.raises(InvalidError, match="url: "):
        websocket_url(url)


def test_parameters_are_added_to_those_of_the_address() -> None:
    """And are escaped."""
    assert with_query("ws://x/ws?a=1&b=", [("user", "a&b c")]) == "ws://x/ws?a=1&b=&user=a%26b+c"


@pytest.mark.parametrize("where", ["header", "subprotocol", "query"])
def test_the_token_goes_where_the_options_say_and_the_grant_beside_it(where: str) -> None:
    """With a header the grant is a subprotocol, because there is no header for it."""
    scene = Scene(who=Credentials("t.o.k"), token_in=where)
    scene.open(grant="g.mac")
    scene.again()
    dial = scene.socket.dial
    assert (dial.token == "t.o.k") == (where == "header")
    assert ("bearer.t.o.k" in dial.subprotocols) == (where == "subprotocol")
    assert (query(scene).get("token") == ["t.o.k"]) == (where == "query")
    assert ("grant.g.mac" in dial.subprotocols) == (where != "query")
    assert (query(scene).get("grant") == ["g.mac"]) == (where == "query")


def test_a_grant_is_shown_until_a_newer_one_comes_and_not_after_4001() -> None:
    """Then it may be what was refused."""
    scene = Scene(who=Credentials("t", can_fetch=True))
    scene.open(grant="first.mac")
    for code in (1006, 1012, 1013):
        assert "grant.first.mac" in scene.again(code).dial.subprotocols
    scene.again(grant="second.mac")
    assert "grant.second.mac" in scene.again().dial.subprotocols
    scene.drop(4001)
    while not scene.fetches:
        scene.wait(500)
    scene.token("u")
    assert scene.socket.dial.subprotocols == ("warren.v1",)


def test_an_anonymous_user_keeps_the_name_that_the_server_gave() -> None:
    """A chosen one is asked for from the first attempt on."""
    scene = Scene()
    scene.open(user="guest-17")
    scene.again()
    assert query(scene)["user"] == ["guest-17"]
    chosen = Scene(who=Credentials(user="bob"))
    chosen.connect()
    assert query(chosen)["user"] == ["bob"]


def test_the_back_off_doubles_up_to_its_cap_and_is_drawn_from_the_full_interval() -> None:
    """From 1 s to 30 s; a random part of each."""
    scene = Scene(random=lambda: 0.999999)
    scene.connect()
    assert waits(scene, 8) == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
    for share in (0.1, 0.7):
        other = Scene(random=lambda share=share: share)
        other.connect()
        assert waits(other, 1) == [1_000 * share]


def test_a_stable_connection_resets_the_back_off() -> None:
    """One that is closed at once does not."""
    scene = Scene()
    scene.open()
    scene.wait(6_000)
    found = []
    for _ in range(3):
        found += waits(scene, 1)
        scene.welcome()
    scene.wait(6_000)
    assert [*found, *waits(scene, 1)] == [500, 1_000, 2_000, 500]


def test_max_tries_gives_up_and_says_why() -> None:
    """Everybody who waits is told."""
    scene = Scene(max_tries=5)
    scene.connect()
    room = scene.room("r", joined=False)
    for _ in range(6):
        scene.drop()
        scene.wait(60_000) if scene.state != "closed" else None
    assert len(scene.sockets) == 6
    assert (scene.state, scene.session.deadline) == ("closed", None)
    for outcome in (scene.session.link.ready, room.joined):
        assert isinstance(outcome.error, ClosedError)
        assert "gave up after 5 attempts" in outcome.error.message


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 4002, 4004, 4005])
def test_after_most_closes_it_comes_back(code: int) -> None:
    """With its back-off."""
    scene = Scene()
    scene.open()
    scene.again(code)
    assert scene.state == "open"


@pytest.mark.parametrize("code", [1000, 1002, 4003, 4006, 4007])
def test_after_some_closes_it_does_not_come_back(code: int) -> None:
    """The error has the code of the close."""
    scene = Scene()
    scene.open()
    room = scene.room("r")
    scene.drop(code, "why")
    scene.wait(120_000)
    assert (scene.state, len(scene.sockets)) == ("closed", 1)
    error = room.inbox.error
    assert isinstance(error, ClosedError)
    assert error.close_code == code
    assert "why" in error.message


def test_after_4001_it_asks_for_a_fresh_token() -> None:
    """And shows that one."""
    scene = Scene(who=Credentials(can_fetch=True))
    scene.connect()
    assert (scene.sockets, scene.fetches[-1].purpose) == ([], "dial")
    scene.token("old")
    scene.welcome()
    assert scene.socket.dial.token == "old"
    scene.drop(4001)
    scene.wait(1_000)
    scene.token("fresh")
    assert scene.socket.dial.token == "fresh"


def test_after_4001_with_a_fixed_token_it_does_not_come_back() -> None:
    """The reason of the ERROR before the close is told, with its code."""
    scene = Scene(who=Credentials("old"))
    scene.open()
    scene.refuse(None, "unauthorized", message="it has expired", close=4001, reconnect="fresh token")
    scene.drop(4001, "Unauthorized")
    error = scene.session.link.last_error
    assert isinstance(error, ClosedError)
    assert (error.code, error.close_code) == ("unauthorized", 4001)
    assert "it has expired" in error.message


def test_a_token_that_fails_is_reported_and_asked_for_again_after_the_back_off() -> None:
    """Nothing is dialled without it."""
    scene = Scene(who=Credentials(can_fetch=True))
    scene.connect()
    life = scene.fetches[-1].life
    error = WarrenError("unauthorized", "the login is away", retry=True)
    scene.do(lambda: scene.session.link.no_token(life, error, for_good=False))
    assert (scene.state, scene.errors()) == ("waiting", ["unauthorized"])
    scene.wait(500)
    scene.token("t")
    assert scene.socket.dial.token == "t"


def test_a_callback_that_says_stop_ends_everything() -> None:
    """Also while a connection is open."""
    for is_open in (False, True):
        scene = Scene(who=Credentials("t" if is_open else None, can_fetch=True))
        scene.open(expires_at=EPOCH + 31_000) if is_open else scene.connect()
        scene.wait(2_000)
        stop = ClosedError("stop", code="stopped")
        scene.do(
            lambda scene=scene, stop=stop: scene.session.link.no_token(scene.fetches[-1].life, stop, True)
        )
        assert (scene.state, scene.session.deadline) == ("closed", None)
        assert scene.session.link.last_error is stop


def test_a_token_that_comes_too_late_is_kept_for_the_next_attempt() -> None:
    """The attempt that it was for is over."""
    scene = Scene(who=Credentials(can_fetch=True))
    scene.connect()
    late = scene.fetches[-1].life
    scene.wait(10_100)
    assert scene.state == "waiting"
    scene.do(lambda: scene.session.token(late, "late"))
    assert scene.sockets == []
    scene.wait(1_000)
    assert scene.socket.dial.token == "late"


def test_the_error_before_a_close_counts_more_than_its_code() -> None:
    """It says whether to come back, and when."""
    scene = Scene()
    scene.open()
    scene.refuse(None, "overloaded", close=1013, reconnect="no")
    scene.drop(1013)
    assert scene.state == "closed"
    other = Scene()
    other.open()
    other.refuse(None, "draining", close=1012, reconnect="yes", retry_after_ms=5_000)
    assert waits(other, 1) == [5_500]


def test_before_a_token_expires_the_next_one_is_shown_again_and_again() -> None:
    """By AUTH, without a new connection."""
    scene = Scene(who=Credentials("t1", can_fetch=True))
    scene.open(expires_at=EPOCH + 100_000)
    keep_alive(scene, 69_000)
    assert scene.fetches == []
    keep_alive(scene, 1_500)
    assert scene.fetches[-1].purpose == "refresh"
    scene.token("t2")
    assert [frame["payload"] for frame in scene.socket.of("AUTH")] == [{"token": "t2"}]
    scene.say({"type": "AUTHENTICATED", "payload": {"expires_at": EPOCH + 140_000}})
    keep_alive(scene, 40_000)
    scene.token("t3")
    assert scene.socket.of("AUTH")[-1]["payload"] == {"token": "t3"}
    assert len(scene.sockets) == 1


def test_a_fresh_token_that_is_no_text_is_reported_and_not_sent() -> None:
    """The server could not read the whole frame."""
    scene = Scene(who=Credentials("t1", can_fetch=True))
    scene.open(expires_at=EPOCH + 31_000)
    scene.wait(1_500)
    scene.token("half \ud83d")
    assert scene.socket.of("AUTH") == []
    assert scene.errors() == ["invalid_format"]


def test_a_connection_lives_while_its_pings_are_answered() -> None:
    """Anything that is received counts as an answer."""
    scene = Scene()
    scene.open()
    keep_alive(scene, 125_000)
    assert len(scene.socket.of("PING")) == 3
    assert len(scene.sockets) == 1


def test_a_silent_connection_is_closed_and_another_one_opened() -> None:
    """What the old one says later changes nothing."""
    scene = Scene()
    first = scene.open()
    scene.wait(39_999)
    assert scene.state == "open"
    scene.wait(1)
    assert scene.errors() == ["heartbeat_missed"]
    assert first.closed == (4000, "No answer")
    scene.wait(1_000)
    assert len(scene.sockets) == 2
    scene.do(lambda: scene.session.link.lost(first.dial.life, 4006, ""))
    assert scene.state == "connecting"


def test_a_dead_connection_is_noticed_even_if_the_rate_is_used_up() -> None:
    """By frames without an answer."""
    scene = Scene(ack_timeout=1_000)
    scene.open(limits={"rate": 2, "rate_per_ms": 1_000})
    for number in range(10):
        scene.send(number)
    scene.wait(60_000)
    assert scene.errors()[0] == "heartbeat_missed"


def test_reconnect_is_followed_at_its_time_without_back_off() -> None:
    """The server spreads these times itself."""
    scene = Scene()
    first = scene.open()
    scene.say({"type": "RECONNECT", "payload": {"after_ms": 1_500}})
    scene.wait(1_499)
    assert len(scene.sockets) == 1
    scene.wait(1)
    assert first.closed == (1000, "Moving")
    assert len(scene.sockets) == 2
    scene.welcome()
    assert scene.errors() == []


def test_a_server_that_says_nothing_is_given_up() -> None:
    """After welcome_timeout."""
    scene = Scene()
    scene.connect()
    scene.wait(10_000)
    assert scene.socket.closed == (4000, "No answer")
    assert scene.errors() == ["connection"]
    assert scene.state == "waiting"


def test_a_refusal_that_will_not_pass_is_final_for_the_first_connection_alone() -> None:
    """The address is wrong; later, the server may be restarted with other settings."""
    wrong = ConnectError("HTTP 404", retry=False, status=404)
    scene = Scene()
    scene.connect()
    scene.do(lambda: scene.session.link.failed(scene.socket.dial.life, wrong, 0))
    assert (scene.state, scene.session.link.ready.error) == ("closed", wrong)
    other = Scene()
    other.open()
    other.drop()
    other.wait(1_000)
    other.do(lambda: other.session.link.failed(other.socket.dial.life, wrong, 0))
    assert other.state == "waiting"


def test_a_refusal_says_how_long_to_stay_away() -> None:
    """The back-off comes on top."""
    scene = Scene()
    scene.connect()
    busy = ConnectError("HTTP 503", status=503)
    scene.do(lambda: scene.session.link.failed(scene.socket.dial.life, busy, 7_000))
    scene.wait(7_499)
    assert len(scene.sockets) == 1
    scene.wait(1)
    assert len(scene.sockets) == 2


def test_close_ends_the_socket_and_all_timers() -> None:
    """Also during the back-off, and twice."""
    scene = Scene()
    first = scene.open()
    scene.do(scene.session.close)
    scene.do(scene.session.close)
    assert first.closed == (1000, "Bye")
    assert (scene.state, scene.session.deadline) == ("closed", None)
    other = Scene()
    other.open()
    other.drop()
    other.do(other.session.close)
    other.wait(120_000)
    assert len(other.sockets) == 1


def test_connect_during_the_back_off_makes_the_next_attempt_now() -> None:
    """As one does who knows that the network is back."""
    scene = Scene()
    scene.open()
    scene.drop()
    scene.connect()
    assert (scene.state, len(scene.sockets)) == ("connecting", 2)
