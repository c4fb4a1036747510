"""session: its user's own room, and what backends want of a connection."""

import json

import pytest

from gateway.core.actions import Close, Exit, Join, Leave, Query, Send
from gateway.core.client_messages import Authenticated, Error, Joined, Left, error
from gateway.core.pending_requests import OPEN_MAX
from gateway.core.session import SILENT, STAYS, Identity, Session, SessionConfig, State
from warren import envelope
from warren.errors import CloseCode, ErrorCode
from warren.namespaces import Namespaces, RoomPolicy
from warren.position import Position

CONFIG = SessionConfig(rooms=("default",), rooms_max=3, rate=None)
NAMESPACES = Namespaces([RoomPolicy("vip", "vip:*", join="token")])
WALL_US = 1_764_000_000_000_000
POSITION = Position("e", 5)
ANN = Identity("ann")


def opened(identity=ANN, config=CONFIG, *, manual=False):
    made = Session("g~1", config, NAMESPACES, manual=manual)
    made.open(identity, 100.0, WALL_US)
    return made


def says(session, **fields):
    return session.receive(json.dumps(fields), 100.0, WALL_US).actions


def enters(session, room, ref, came_us=7):
    """Have it enter; return what the session says of that, and the answer to the client."""
    quiet = session.entered(envelope.Entered("g~1", room, POSITION, ref, None, came_us))
    if quiet is None:
        return None, []
    return quiet, session.answer(envelope.Joined("g~1", room, POSITION, recovered=False, ref=ref))


def silent(came_us=0, *, first=False, **more):
    return Join(envelope.Join("@ann", "g~1", "ann", SILENT, came_us=came_us, **more), 0, first)


def stays(came_us):
    return Join(envelope.Join("g~1", "g~1", "ann", STAYS, came_us=came_us), 0)


# ── the own room ────────────────────────────────────────────────────────────────────────────────────────────


def test_who_joins_by_itself_is_in_its_own_room_and_given_nothing_of_it():
    """Until it joins that by itself: then it is given what comes from there on, and its JOIN is answered."""
    session = opened(manual=True)
    assert enters(session, "@ann", SILENT) == (None, [])
    assert isinstance(says(session, type="HISTORY", room="@ann")[0].message, Error)
    (join,) = says(session, type="JOIN", room="@ann", id="j1")
    assert (join.envelope.ref, join.envelope.came_us) == ("j1", 7)
    assert enters(session, "@ann", "j1") == (False, [Send(Joined("@ann", "e", 5, False, 0, "j1"))])
    assert isinstance(says(session, type="HISTORY", room="@ann")[0], Query)


def test_a_leave_of_the_own_room_ends_what_it_is_given_alone():
    """The connection stays there, so that backends reach it; whatever was asked of it is not answered any
    more, and what it joins again is.
    """
    session = opened()
    says(session, type="JOIN", room="@ann", id="j1")
    assert says(session, type="LEAVE", room="@ann", id="l") == [Exit("@ann"), Send(Left("@ann", "l"))]
    assert enters(session, "@ann", "j1", 9) == (None, [])
    assert session.rejoin(0, {})[1:] == [silent(9), stays(9)]
    assert says(session, type="LEAVE", room="@ann", id="l2") == [Send(Left("@ann", "l2"))]
    says(session, type="JOIN", room="@ann", id="j2")
    assert enters(session, "@ann", "j2")[0] is False
    assert session.closed()[-1] == Leave(envelope.Leave(("default", "@ann"), "g~1", "", "ann"), 0, grace=True)


def test_who_joins_and_leaves_its_own_room_again_and_again_is_told_to_wait():
    """Each JOIN of it goes to the log, which backends are told by; one that is answered makes place."""
    session = opened()
    for number in range(OPEN_MAX):
        assert isinstance(says(session, type="JOIN", room="@ann", id=f"j{number}")[0], Join)
        says(session, type="LEAVE", room="@ann")
    refused = says(session, type="JOIN", room="@ann", id="more")[0].message
    assert (refused.code, refused.retry) == (ErrorCode.OVERLOADED, True)
    enters(session, "@ann", "j0")
    assert isinstance(says(session, type="JOIN", room="@ann", id="more")[0], Join)
    session.rejoin(0, {})
    assert isinstance(says(session, type="JOIN", room="@ann", id="again")[0], Join)


def test_who_is_silent_joins_again_silently():
    """With since when it is there, or when it came on its way where nobody has said that."""
    session = opened(manual=True)
    assert session.rejoin(0, {}) == [silent(WALL_US), stays(WALL_US)]
    enters(session, "@ann", SILENT, 7)
    assert session.rejoin(0, {}) == [silent(7), stays(7)]


def test_a_refused_entry_and_a_question_whether_it_may_stay_are_none_of_the_clients_business():
    """An older router knows neither."""
    session = opened(manual=True)
    for ref in (SILENT, STAYS):
        assert session.answer(envelope.Refused("g~1", ref, "invalid_room", "no")) == []


def test_a_member_joins_again_with_since_when_it_is_there():
    """Each room by what its Entered said; where nothing was said, by when it was asked for, so that what a
    backend has commanded since then meets it.
    """
    session = opened()
    enters(session, "default", "~1", 7)
    enters(session, "@ann", "~2", 8)
    says(session, type="JOIN", room="x", id="j")
    joins = session.rejoin(0, {"default": POSITION, "@ann": POSITION})
    assert [(join.envelope.room, join.envelope.came_us) for join in joins] == [
        ("default", 7),
        ("@ann", 8),
        ("x", WALL_US),
        ("g~1", 8),
    ]
    enters(session, "x", "j", 0)
    (again, _) = session.rejoin(0, {"x": POSITION})
    assert again.envelope.came_us == WALL_US
    enters(session, "x", again.envelope.ref, 9)
    (again, _) = session.rejoin(0, {"x": POSITION})
    assert again.envelope.came_us == 9


def test_what_an_earlier_membership_was_told_is_nothing_for_the_next():
    """A room that was left and joined anew is not in before that is said."""
    session = opened()
    says(session, type="JOIN", room="x", id="j1")
    says(session, type="LEAVE", room="x")
    says(session, type="JOIN", room="x", id="j2")
    assert enters(session, "x", "j1", 7) == (None, [])
    assert session.answer(envelope.Left("g~1", "x", "", "removed")) == []
    assert enters(session, "x", "j2", 9) == (False, [Send(Joined("x", "e", 5, False, 0, "j2"))])


def test_the_own_room_is_told_how_the_client_came_in():
    """And the limit of the installation; no other room is."""
    config = SessionConfig(rooms=("default",), rate=None, connections_per_user=3)
    session = Session("g~1", config, NAMESPACES)
    _, default, own = session.open(Identity("ann", token_id="t", issued_s=5), 100.0, WALL_US)
    assert default.envelope == envelope.Join("default", "g~1", "ann", "~1")
    assert own.envelope == envelope.Join(
        "@ann", "g~1", "ann", "~2", token_id="t", issued_s=5, limit=3, replace=True
    )


def test_a_fresh_token_is_judged_where_the_first_one_was():
    """A client may show one that was revoked; the same one again is no news."""
    session = opened(Identity("ann", token_id="t1"))
    enters(session, "@ann", "~2", 8)
    fresh = session.identify(Identity("ann", token_id="t2", issued_s=9), 101.0, WALL_US)
    assert fresh == [Send(Authenticated(None, "")), silent(8, token_id="t2", issued_s=9)]
    assert enters(session, "@ann", SILENT) == (None, [])
    again = session.identify(Identity("ann", token_id="t2", issued_s=9), 102.0, WALL_US)
    assert again == [Send(Authenticated(None, ""))]


# ── what backends want ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "closes", "kind", "why"),
    [
        (4006, CloseCode.DISCONNECTED, ErrorCode.DISCONNECTED, "disconnected"),
        (4007, CloseCode.REPLACED, ErrorCode.REPLACED, "replaced"),
        (4001, CloseCode.UNAUTHORIZED, ErrorCode.UNAUTHORIZED, "revoked"),
        (1012, CloseCode.DRAINING, ErrorCode.DRAINING, ""),
        (4999, CloseCode.DISCONNECTED, ErrorCode.DISCONNECTED, "disconnected"),
    ],
)
def test_a_dismissed_client_hears_why_and_is_closed(code, closes, kind, why):
    """An ERROR with the backend's reason, then the close with it; backends are told why it left its rooms."""
    session = opened()
    reason, close = session.answer(envelope.Dismissed("g~1", code, "Bye"))
    assert (reason.message.code, reason.message.message, reason.message.close) == (kind, "Bye", closes)
    assert close == Close(closes, "Bye")
    assert session.state is State.CLOSED
    assert session.answer(envelope.Dismissed("g~1", code, "Bye")) == []
    assert session.closed()[-1].envelope.reason == why


@pytest.mark.parametrize(
    ("revoked", "met"),
    [
        (envelope.TokensRevoked("ann", "t1"), True),
        (envelope.TokensRevoked("ann", "t2"), False),
        (envelope.TokensRevoked("ann", "", 100), False),
        (envelope.TokensRevoked("ann", "", 101), True),
    ],
)
def test_a_client_that_came_by_a_revoked_token_is_closed(revoked, met):
    """By its id, or by when it was issued."""
    session = opened(Identity("ann", token_id="t1", issued_s=100))
    actions = session.answer(revoked)
    assert [type(action) for action in actions] == ([Send, Close] if met else [])
    if met:
        assert actions[-1] == Close(CloseCode.UNAUTHORIZED, "The token was revoked")


def test_a_token_that_does_not_say_when_it_was_issued_counts_as_old():
    """It can't be shown that it is not; and one without an id has none that could be revoked."""
    assert opened().answer(envelope.TokensRevoked("ann", "", 1)) != []
    assert opened().answer(envelope.TokensRevoked("ann", "t")) == []


def test_what_was_asked_of_a_room_that_a_backend_took_away_is_answered():
    """Then LEFT with the reason; a JOIN after that is a new one."""
    session = opened()
    says(session, type="JOIN", room="x", id="j1")
    enters(session, "x", "j1", 7)
    says(session, type="JOIN", room="x", id="j2")
    assert session.answer(envelope.Left("g~1", "x", "", "blocked")) == [
        Exit("x"),
        Send(error(ErrorCode.BLOCKED, "A backend has taken you out of this room", "j2")),
        Send(Left("x", "", "blocked")),
    ]
    (join,) = says(session, type="JOIN", room="x", id="j3")
    assert join.envelope.came_us == 0


def test_who_joins_again_where_a_backend_took_it_out_is_out():
    """What was said of that was lost; the JOIN, the client's own or ours, is answered by that it is out. One
    that is not open any more says nothing.
    """
    session = opened()
    says(session, type="JOIN", room="x", id="j1")
    assert session.answer(envelope.Left("g~1", "x", "j9", "removed")) == []
    assert session.answer(envelope.Left("g~1", "x", "j1", "removed")) == [
        Exit("x"),
        Send(error(ErrorCode.FORBIDDEN, "A backend has taken you out of this room", "j1")),
        Send(Left("x", "", "removed")),
    ]
    enters(session, "default", "~1", 7)
    (again, *_) = session.rejoin(0, {"default": POSITION})
    assert session.answer(envelope.Left("g~1", "default", again.envelope.ref, "removed")) == [
        Exit("default"),
        Send(Left("default", "", "removed")),
    ]
    assert session.rooms == ("@ann",)


def test_a_refused_join_of_a_room_that_is_blocked_is_told():
    """By the client's ref."""
    session = opened()
    says(session, type="JOIN", room="x", id="j1")
    refused = envelope.Refused("g~1", "j1", "blocked", "You are blocked here")
    assert session.answer(refused) == [Send(error(ErrorCode.BLOCKED, "You are blocked here", "j1"))]
    assert "x" not in session.rooms


def test_a_client_joins_what_a_backend_wants_as_far_as_there_is_place():
    """Whatever its token says, also a fresh one; where it is already it stays."""
    session = opened(Identity("ann", join=("default",)))
    actions = session.answer(envelope.Enrolled("g~1", ("vip:1", "default", "@ann", "x", "y", "vip:1")))
    assert [action.envelope.room for action in actions[:-1]] == ["vip:1", "x"]
    assert [action.envelope.ref[0] for action in actions[:-1]] == ["~", "~"]
    assert actions[-1].message.code is ErrorCode.TOO_MANY_ROOMS
    assert enters(session, "vip:1", actions[0].envelope.ref) == (
        False,
        [Send(Joined("vip:1", "e", 5, False))],
    )
    session.identify(Identity("ann", join=()), 101.0, WALL_US)
    assert session.rooms == ("default", "@ann", "vip:1", "x")
    session.answer(envelope.Left("g~1", "vip:1", "", "removed"))
    says(session, type="LEAVE", room="x")
    session.answer(envelope.Enrolled("g~1", ("y",)))
    assert session.rooms == ("default", "@ann", "y")
