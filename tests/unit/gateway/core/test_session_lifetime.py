"""session: what time, the pod and a token's end do to a connection."""

import pytest

from gateway.core.actions import Close, Ping, Send
from gateway.core.client_messages import Degraded, Error, Reconnect, Restored, Welcome
from gateway.core.permissions import Identity
from gateway.core.session import Session, SessionConfig, State
from warren.errors import CloseCode, ErrorCode
from warren.namespaces import Namespaces

CONFIG = SessionConfig(heartbeat_ms=30_000, auth_timeout_ms=10_000, rooms=())
WALL_US = 1_764_000_000_000_000
WALL_S = 1_764_000_000.0


def session(identity: Identity | None = None, now: float = 100.0) -> Session:
    """Return an open session."""
    made = Session("g~1", CONFIG, Namespaces())
    made.open(identity, now, WALL_US)
    return made


def ending(actions) -> tuple[ErrorCode, CloseCode]:
    """Return why and with which code a connection is closed; the ERROR comes first and agrees."""
    said, close = actions
    assert isinstance(said, Send)
    assert isinstance(said.message, Error)
    assert isinstance(close, Close)
    assert (said.message.close, said.message.reconnect) == (int(close.code), close.code.reconnect)
    return said.message.code, close.code


def test_who_sends_no_token_in_time_is_closed():
    """With 4001, at the time and not before."""
    one = session()
    assert one.tick(109.9) == []
    assert ending(one.tick(110.0)) == (ErrorCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED)
    assert one.tick(200.0) == []


def test_who_answers_pings_lives():
    """A ping each heartbeat."""
    one = session(Identity("ann"))
    assert one.tick(129.9) == []
    for now in (130.0, 160.0, 190.0):
        assert one.tick(now) == [Ping()]
        assert one.tick(now + 1) == []
        one.heard()


def test_who_gives_no_sign_of_life_by_the_next_ping_is_closed():
    """With 4004."""
    one = session(Identity("ann"))
    assert one.tick(130.0) == [Ping()]
    assert one.tick(159.9) == []
    assert ending(one.tick(160.0)) == (ErrorCode.HEARTBEAT_MISSED, CloseCode.HEARTBEAT_MISSED)
    assert one.state is State.CLOSED


def test_any_frame_is_a_sign_of_life():
    """Also one that can't be parsed."""
    one = session(Identity("ann"))
    one.tick(130.0)
    one.receive("?", 131.0, WALL_US)
    assert one.tick(160.0) == [Ping()]


def test_a_token_that_expires_ends_the_connection():
    """Its wall clock time is turned into ours at the moment it is taken."""
    one = session(Identity("ann", expires_at=WALL_S + 5))
    assert one.tick(104.9) == []
    assert ending(one.tick(105.0)) == (ErrorCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED)


def test_a_fresh_token_gives_a_longer_life():
    """From its own expiry on."""
    one = session(Identity("ann", expires_at=WALL_S + 5))
    one.identify(Identity("ann", expires_at=WALL_S + 20), 104.0, WALL_US + 4_000_000)
    assert one.tick(119.9) == []
    assert ending(one.tick(120.0))[1] is CloseCode.UNAUTHORIZED


def test_the_client_is_told_when_the_broker_goes_and_comes():
    """Once each."""
    one = session(Identity("ann"))
    assert one.degraded(up=True) == []
    assert one.degraded(up=False) == [Send(Degraded())]
    assert one.degraded(up=False) == []
    assert one.degraded(up=True) == [Send(Restored())]


def test_who_comes_while_the_broker_is_away_hears_it_after_its_welcome():
    """And not before it is known."""
    one = session()
    assert one.degraded(up=False) == []
    welcome, degraded, *_ = one.identify(Identity("ann"), 101.0, WALL_US)
    assert isinstance(welcome.message, Welcome)
    assert degraded == Send(Degraded())


def test_draining_asks_the_client_to_come_again_elsewhere():
    """Once; until it does, everything works."""
    one = session(Identity("ann"))
    assert one.drain(1_500) == [Send(Reconnect(1_500))]
    assert one.drain(1_500) == []
    assert one.state is State.DRAINING
    assert one.receive('{"type":"PING"}', 101.0, WALL_US).actions
    assert ending(one.end(CloseCode.DRAINING)) == (ErrorCode.DRAINING, CloseCode.DRAINING)


def test_draining_closes_who_is_not_known_yet():
    """It has nothing to lose."""
    assert ending(session().drain(1_500)) == (ErrorCode.DRAINING, CloseCode.DRAINING)


@pytest.mark.parametrize("code", [code for code in CloseCode if code.value >= 4000])
def test_after_the_end_nothing_comes_out(code):
    """Whatever goes in."""
    one = session(Identity("ann"))
    ending(one.end(code))
    assert one.end(code) == one.tick(1e9) == one.drain(1) == one.degraded(up=False) == one.too_large() == []
    assert one.receive('{"type":"PING"}', 101.0, WALL_US).actions == []
    assert one.identify(Identity("ann"), 101.0, WALL_US) == one.refuse() == []


def test_a_close_without_a_reason_has_no_error_before_it():
    """1000 and 1001 explain themselves."""
    assert session().end(CloseCode.NORMAL) == [Close(CloseCode.NORMAL)]


def test_a_message_too_large_is_told_with_the_limit():
    """4003."""
    one = session(Identity("ann"))
    actions = one.too_large()
    assert ending(actions) == (ErrorCode.MESSAGE_TOO_LARGE, CloseCode.MESSAGE_TOO_LARGE)
    assert "1048576" in actions[0].message.message
